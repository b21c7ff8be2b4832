"""Trained floating-point models, as returned by the front ends."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, sparray

from .patches import Patches
from .preprocessing import Preprocessing

__all__ = ["Model", "ModelError", "ModelLayer", "check_columns"]

#: Vectors that are multiplied by a sparse matrix at once. SciPy copies them transposed, which is
#: slow beyond the cache.
_PART = 128


class ModelError(ValueError):
    """Invalid model; the message names the layer and the field."""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelLayer:
    """Layer that computes ``y = relu?(weight @ x + bias)``.

    Parameters
    ----------
    name : :class:`str`
        Name, for display and messages.
    weight : n_rows × n_cols
        Weights: a dense matrix or sparse array of floating-point numbers. A sparse array is
        converted to a :class:`scipy.sparse.csc_array` of float64, a dense matrix to float64.
    bias : n_rows, optional
        Bias of each row, converted to float64; zeros by default.
    relu : :class:`bool`
        True if negative results become zero.

    Raises
    ------
    ModelError
        If a type or shape is wrong, or a number is not finite.
    """

    name: str
    weight: Any
    bias: Any = None
    relu: bool = False

    def __post_init__(self) -> None:
        weight = self.weight
        if not isinstance(weight, (np.ndarray, sparray)) or weight.dtype.kind != "f" \
                or weight.ndim != 2 or 0 in weight.shape:
            raise ModelError(f"layer {self.name!r}: weight must be a matrix of floating-point "
                             f"numbers, not {getattr(weight, 'dtype', type(weight).__name__)} of "
                             f"shape {getattr(weight, 'shape', '()')}")
        if isinstance(weight, sparray):
            # Sort a copy only: the caller's array must not change.
            canonical = getattr(weight, "has_canonical_format", False)
            weight = csc_array(weight, dtype=np.float64, copy=not canonical)
            weight.sum_duplicates()
        else:
            weight = weight.astype(np.float64, copy=False)
        bias = np.zeros(weight.shape[0]) if self.bias is None else np.asarray(self.bias)
        if bias.dtype.kind != "f" or bias.shape != weight.shape[:1]:
            raise ModelError(f"layer {self.name!r}: bias must be floating-point numbers of shape "
                             f"{weight.shape[:1]}, not {bias.dtype} of shape {bias.shape}")
        numbers = weight if isinstance(weight, np.ndarray) else weight.data
        if not np.isfinite(numbers).all() or not np.isfinite(bias).all():
            raise ModelError(f"layer {self.name!r}: weight and bias must be finite")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias.astype(np.float64))

    @property
    def n_rows(self) -> int:
        """Number of outputs."""
        return int(self.weight.shape[0])

    @property
    def n_cols(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute outputs (batch, n_rows) for inputs (batch, n_cols)."""
        if isinstance(self.weight, np.ndarray):
            y = (self.weight @ x.T).T
        else:
            y = np.concatenate([(self.weight @ x[first:first + _PART].T).T
                                for first in range(0, max(len(x), 1), _PART)])
        return np.maximum(y + self.bias, 0) if self.relu else y + self.bias


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """Sequence of layers, after an optional preprocessing of the inputs.

    Parameters
    ----------
    layers : :class:`tuple` of :class:`ModelLayer`
        In order of computation; each has as many columns as its predecessor has rows.
    patches : :class:`~.patches.Patches`, optional
        If the first layer is a convolution: the patches that its inputs are cut from. Every pixel
        is then a separate inference, and all later layers are 1 × 1 convolutions.
    preprocessing : :class:`~.preprocessing.Preprocessing`, optional
        Offset and scale of each input; of a convolution, of each element of a patch.
    notes : :class:`tuple` of :class:`str`
        What a front end assumed, and the parts of its source that are not used.

    Raises
    ------
    ModelError
        If the shapes of successive layers do not match.
    """

    layers: tuple[ModelLayer, ...]
    patches: Patches | None = None
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.layers) is not tuple or not self.layers:
            raise ModelError("layers must be a tuple of one or more layers")
        for before, layer in zip(self.layers, self.layers[1:]):
            check_columns(layer.name, layer.n_cols, before)
        if self.patches is not None and self.patches.n_inputs != self.layers[0].n_cols:
            raise ModelError(f"layer {self.layers[0].name!r}: weight must have "
                             f"{self.patches.n_inputs} columns, one for each element of a patch, "
                             f"not {self.layers[0].n_cols}")
        if self.preprocessing is not None and \
                self.preprocessing.scale.shape != (self.layers[0].n_cols,):
            raise ModelError(f"preprocessing must have {self.layers[0].n_cols} elements, one for "
                             f"each column of layer {self.layers[0].name!r}, not "
                             f"{' × '.join(map(str, self.preprocessing.scale.shape))}")

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute outputs (batch, n_outputs) for inputs (batch, n_inputs), in floating point."""
        for vector in self.vectors(x):
            outputs = vector    # the others are not kept
        return outputs

    def vectors(self, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Compute the input after preprocessing, then the results of each layer."""
        x = self.preprocess(x)
        yield x
        for layer in self.layers:
            x = layer(x)
            yield x

    def preprocess(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Preprocess inputs (batch, n_inputs), if the model has preprocessing."""
        return x if self.preprocessing is None else self.preprocessing(x)


def check_columns(name: str, n_cols: int, before: ModelLayer) -> None:
    """Check that a layer has a column for each row of its predecessor."""
    if n_cols != before.n_rows:
        raise ModelError(f"layer {name!r}: weight must have {before.n_rows} columns, one for each "
                         f"row of {before.name!r}, not {n_cols}: layers are computed in the order "
                         "given")
