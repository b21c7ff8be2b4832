"""A compressed network: what the compiler is given."""

import dataclasses
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from .patches import Patches

__all__ = ["MAX_FRAC", "MAX_SIDE", "CompressedNetwork", "Layer", "NetworkError", "check_chain",
           "check_int", "check_shape"]

#: Fraction bits are from minus this to this.
MAX_FRAC = 64

#: Most rows or columns of a matrix, of which a file may promise more than it has numbers for.
MAX_SIDE = 1 << 24


class NetworkError(ValueError):
    """A network that cannot be; the message names file (if any), layer and field."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """One layer: ``y = relu?(codebook[codes] @ x + bias)``.

    Parameters
    ----------
    name : :class:`str`
        For people and for messages.
    codes : :class:`scipy.sparse.csc_array` of uint8, n_rows × n_cols
        Codebook index of each weight that is not zero; 0 is not stored. The rows of each column
        ascend.
    codebook : float64, ``2 ** v_width``
        Weight of each index; entry 0 is 0.
    bias : float64, n_rows
        Added to each row.
    relu : :class:`bool`
        Whether negative results become zero.
    output_frac : :class:`int`
        Fraction bits of the results: an output word `y` means ``y / 2 ** output_frac``.

    Raises
    ------
    NetworkError
        If a field has a wrong type, shape or value.
    """

    name: str
    codes: csc_array
    codebook: NDArray[np.float64]
    bias: NDArray[np.float64]
    relu: bool
    output_frac: int

    def __post_init__(self) -> None:
        try:
            _check_name(self.name)
            _check_codes(self.codes)
            _check_numbers("codebook", self.codebook)
            _check_codebook(self.codebook, self.codes.data)
            _check_numbers("bias", self.bias)
            if self.bias.shape != (self.n_rows,):
                raise NetworkError(f"bias must have a number for each of {self.n_rows} rows, "
                                   f"not shape {self.bias.shape}")
            if type(self.relu) is not bool:
                raise NetworkError(f"relu must be true or false, not {self.relu!r}")
            check_int("output_frac", self.output_frac, -MAX_FRAC, MAX_FRAC)
        except NetworkError as error:
            raise NetworkError(f"layer {self.name!r}: {error}") from error

    @property
    def n_rows(self) -> int:
        """Outputs."""
        return int(self.codes.shape[0])

    @property
    def n_cols(self) -> int:
        """Inputs."""
        return int(self.codes.shape[1])

    @property
    def n_nonzeros(self) -> int:
        """Weights that are stored."""
        return int(self.codes.nnz)


@dataclasses.dataclass(frozen=True, eq=False)
class CompressedNetwork:
    """Layers that follow one another, with their number formats.

    Parameters
    ----------
    layers : :class:`tuple` of :class:`Layer`
        In order of computation; each has as many columns as the one before has rows.
    input_frac : :class:`int`
        Fraction bits of the inputs of the first layer.
    v_width : :class:`int`, 2 to 8
        Bits of a codebook index, in all layers.
    patches : :class:`~.patches.Patches`, optional
        If the first layer is a convolution: how its input vectors are cut out of images.

    Raises
    ------
    NetworkError
        If the layers do not fit together.
    """

    layers: tuple[Layer, ...]
    input_frac: int
    v_width: int
    patches: Patches | None = None

    def __post_init__(self) -> None:
        if type(self.layers) is not tuple or not self.layers:
            raise NetworkError("layers must be a tuple of one layer or more")
        check_int("input_frac", self.input_frac, -MAX_FRAC, MAX_FRAC)
        check_int("v_width", self.v_width, 2, 8)
        check_chain([(layer.name, layer.codes.shape) for layer in self.layers])
        names = Counter(layer.name for layer in self.layers)
        for layer in self.layers:
            if names[layer.name] > 1:
                raise NetworkError(f"layer {layer.name!r}: name must belong to one layer only")
            if layer.codebook.shape != (1 << self.v_width,):
                raise NetworkError(f"layer {layer.name!r}: codebook must have 2 ** v_width = "
                                   f"{1 << self.v_width} entries, not {len(layer.codebook)}")
        if self.patches is not None and self.patches.n_inputs != self.layers[0].n_cols:
            raise NetworkError(f"layer {self.layers[0].name!r}: shape must have "
                               f"{self.patches.n_inputs} columns, one for each number of a patch, "
                               f"not {self.layers[0].n_cols}")


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Check that a field is an integer within its range."""
    if type(value) is not int or not low <= value <= high:
        raise NetworkError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_shape(name: str, shape: Sequence[Any]) -> None:
    """Check that rows and columns are within their range."""
    if len(shape) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in shape):
        raise NetworkError(f"{name} must be two integers, rows and columns, from 1 to {MAX_SIDE}, "
                           f"not {reprlib.repr(shape)}")


def check_chain(shapes: Sequence[tuple[str, Sequence[int]]]) -> None:
    """Check names and shapes of layers: each must have the columns that the one before has rows."""
    for (before, (n_rows, _)), (name, (_, n_cols)) in zip(shapes, shapes[1:]):
        if n_cols != n_rows:
            raise NetworkError(f"layer {name!r}: shape must have {n_rows} columns, one for each "
                               f"row of {before!r}, not {n_cols}")


def _check_name(name: object) -> None:
    """Results are written to files of this name."""
    if type(name) is not str or not name.isprintable() or not re.fullmatch(r"[^/\\.][^/\\]*", name):
        raise NetworkError(f"name must be printable text without slashes that does not begin with "
                           f"a dot, not {name!r}")


def _check_numbers(name: str, values: object) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
        raise NetworkError(f"{name} must be float64 of one dimension, "
                           f"not {getattr(values, 'dtype', type(values).__name__)} "
                           f"of shape {getattr(values, 'shape', '()')}")
    if not (finite := np.isfinite(values)).all():
        first = int(np.argmin(finite))
        raise NetworkError(f"{name}[{first}] must be finite, not {values[first]}")


def _check_codebook(codebook: NDArray[np.float64], codes: NDArray[np.uint8]) -> None:
    # Which length it is is a matter of the network's v_width.
    if len(codebook) not in (1 << width for width in range(2, 9)):
        raise NetworkError(f"codebook must have a power of two from 4 to 256 entries, "
                           f"not {len(codebook)}")
    if codebook[0] != 0:
        raise NetworkError(f"codebook[0] must be 0, not {codebook[0]}")
    if len(codes) and codes.max() >= len(codebook):
        raise NetworkError(f"codes must be below {len(codebook)}, the length of the codebook, "
                           f"not {codes.max()}")


def _check_indptr(name: str, indptr: NDArray[Any], n_cols: int, n_codes: int) -> None:
    if indptr.shape != (n_cols + 1,):
        raise NetworkError(f"{name} must have {n_cols + 1} numbers, one more than there are "
                           f"columns, not {len(indptr)}")
    if indptr[0] != 0 or indptr[-1] != n_codes or (indptr[1:] < indptr[:-1]).any():
        raise NetworkError(f"{name} must ascend from 0 to {n_codes}, the number of codes")


def _check_codes(codes: Any) -> None:
    if not isinstance(codes, csc_array) or codes.dtype != np.uint8 or codes.ndim != 2:
        raise NetworkError(f"codes must be a csc_array of uint8, not {type(codes).__name__} "
                           f"of {getattr(codes, 'dtype', 'nothing')}")
    check_shape("shape", codes.shape)
    n_rows, n_cols = codes.shape
    if len(codes.data) != codes.indptr[-1] or len(codes.indices) != codes.indptr[-1]:
        raise NetworkError(f"codes must hold the {codes.indptr[-1]} numbers that indptr ends at, "
                           f"not {len(codes.data)} and {len(codes.indices)} indices")
    _check_indptr("indptr", codes.indptr, n_cols, len(codes.data))
    if codes.data.size and codes.data.min() == 0:
        raise NetworkError("codes must not store code 0: zero weights are left out "
                           "(call eliminate_zeros)")
    rows = codes.indices
    if rows.size and not 0 <= rows.min() <= rows.max() < n_rows:
        raise NetworkError(f"indices must be rows from 0 to {n_rows - 1}, "
                           f"not from {rows.min()} to {rows.max()}")
    _check_order(rows, codes.indptr)


def _check_order(rows: NDArray[Any], indptr: NDArray[Any]) -> None:
    descends = np.flatnonzero(rows[1:] <= rows[:-1]) + 1
    wrong = descends[~np.isin(descends, indptr)]    # where a column begins, rows may fall back
    if wrong.size:
        column = int(np.searchsorted(indptr, wrong[0], side="right")) - 1
        raise NetworkError(f"indices must ascend in column {column}, and no row must be there "
                           f"twice: {rows[wrong[0]]} follows {rows[wrong[0] - 1]}")
