"""Trainable layers with pruned or shared weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..model import Model, ModelLayer
from ..preprocessing import Preprocessing
from .errors import TrainingError

__all__ = ["FreeWeight", "Module", "SharedWeight", "Trainable", "dense_matrix", "preprocess"]

#: Most weights of a new network, which take 3 GB while they learn; VGG-16 has 124 million in its
#: fully connected layers.
_MAX_WEIGHTS = 1 << 27


class FreeWeight(nn.Module):
    """Matrix of independent weights; those outside the mask stay zero.

    Parameters
    ----------
    matrix : n_rows × n_cols
        Weights.
    mask : bool n_rows × n_cols
        Weights that are not pruned.
    """

    def __init__(self, matrix: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)
        self.register_buffer("mask", mask)

    def forward(self) -> Tensor:
        return self.matrix * self.mask


class SharedWeight(nn.Module):
    """Matrix of codes into a trainable codebook.

    With `matrix`, the codes follow the weights in it: each weight that is not pruned has the code
    of the nearest shared value. The gradient of a weight is that of its shared value
    (straight-through estimator; Bengio et al., 2013).

    Parameters
    ----------
    codebook : n_codes
        Shared values; entry 0 stays zero.
    codes : int64 n_rows × n_cols
        Codebook index of each weight.
    matrix : n_rows × n_cols, optional
        Weights that choose the codes.
    """

    codes: Tensor

    def __init__(self, codebook: Tensor, codes: Tensor, matrix: Tensor | None = None) -> None:
        super().__init__()
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("codes", codes)
        self.matrix = None if matrix is None else nn.Parameter(matrix)

    def forward(self) -> Tensor:
        if self.matrix is not None:
            self._choose_codes(self.matrix.detach())
        return _Lookup.apply(self.codebook, self.codes, self.matrix)

    def _choose_codes(self, matrix: Tensor) -> None:
        ascending, order = self.codebook.detach()[1:].sort()
        nearest = torch.bucketize(matrix, (ascending[1:] + ascending[:-1]) / 2)
        # Pruned weights keep code 0.
        self.codes = (order + 1)[nearest] * (self.codes != 0)


class _Lookup(torch.autograd.Function):
    """``codebook[codes]``, where the gradient of a centroid is the sum over its members.

    This is section 3.3 of Deep Compression, except that entry 0, of the pruned weights, has no
    gradient. Ten times as fast as the gradient of indexing. The matrix that chose the codes, if
    there is one, gets the gradient of the result.
    """

    @staticmethod
    def forward(context: Any, codebook: Tensor, codes: Tensor, matrix: Tensor | None) -> Tensor:
        context.save_for_backward(codes)
        context.n_codes = len(codebook)
        return codebook[codes]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
        codes, = context.saved_tensors
        sums = torch.bincount(codes.ravel(), gradient.ravel(), context.n_codes)
        sums[0] = 0
        return sums, None, gradient * (codes != 0) if context.needs_input_grad[2] else None


class Trainable(nn.Module):
    """Base class of what :func:`~.loop.train` trains.

    Attributes
    ----------
    names : :class:`list` of :class:`str`
        Name of each weight matrix.
    weights : :class:`torch.nn.ModuleList` of :class:`FreeWeight` or :class:`SharedWeight`
        Modules that return each matrix, n_rows × n_cols, when called.
    """

    def __init__(self, names: Sequence[str], weights: Sequence[FreeWeight | SharedWeight]) -> None:
        super().__init__()
        self.names = list(names)
        self.weights = nn.ModuleList(weights)

    @property
    def others(self) -> list[nn.Parameter]:
        """Parameters besides the weights, such as biases."""
        raise NotImplementedError

    @property
    def n_inputs(self) -> int:
        """Number of elements of an input."""
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """Number of elements of an output."""
        raise NotImplementedError

    @property
    def structure(self) -> Any:
        """Description of the computation as plain JSON."""
        raise NotImplementedError

    @property
    def densities(self) -> list[float]:
        """Share of the weights of each matrix that are not pruned."""
        return [float(kept.mean()) for kept in self.kept]

    @property
    def density(self) -> float:
        """Share of the weights of all matrices that are not pruned."""
        kept = self.kept
        return float(sum(map(np.count_nonzero, kept)) / sum(matrix.size for matrix in kept))

    @property
    def kept(self) -> list[NDArray[np.bool_]]:
        """Mask of the weights of each matrix that are not pruned."""
        return [(weight.mask if isinstance(weight, FreeWeight) else weight.codes != 0).numpy()
                for weight in self.weights]


class Module(Trainable):
    """Trainable fully connected layers, computed as in :class:`~eie_compiler.model.Model`.

    Attributes
    ----------
    biases : :class:`torch.nn.ParameterList`
        Bias of each layer.
    """

    def __init__(self, names: Sequence[str], relus: Sequence[bool],
                 weights: Sequence[FreeWeight | SharedWeight], biases: Sequence[Tensor],
                 preprocessing: Preprocessing | None = None) -> None:
        super().__init__(names, weights)
        self._preprocessing = preprocessing
        self.relus = list(relus)
        self.biases = nn.ParameterList(biases)

    @classmethod
    def from_model(cls, model: Model) -> "Module":
        """Make a module from a model, with its zero weights pruned.

        Raises
        ------
        TrainingError
            If the model is a convolution.
        """
        if model.patches is not None:
            raise TrainingError("model to retrain must have fully connected layers only, not a "
                                "convolution: compress it without retraining, or choose layers")
        matrices = [dense_matrix(layer) for layer in model.layers]
        return cls([layer.name for layer in model.layers], [layer.relu for layer in model.layers],
                   [FreeWeight(matrix, matrix != 0) for matrix in matrices],
                   [torch.tensor(layer.bias, dtype=torch.float32) for layer in model.layers],
                   model.preprocessing)

    @classmethod
    def new(cls, sizes: Sequence[int], seed: int) -> "Module":
        """Make layers ``fc1``, ``fc2``, ... with random weights (He et al., 2015).

        All but the last end in a ReLU.

        Parameters
        ----------
        sizes : two or more :class:`int`
            Number of inputs, then of outputs of each layer.
        seed : :class:`int`
            Seed of the weights.

        Raises
        ------
        TrainingError
            If a layer has no outputs, or there are too many weights.
        """
        if min(sizes) < 1:
            raise TrainingError(f"layers must have at least 1 output, not {min(sizes)}")
        n_weights = sum(n_rows * n_cols for n_cols, n_rows in zip(sizes, sizes[1:]))
        if n_weights > _MAX_WEIGHTS:
            raise TrainingError(f"layers must have at most {_MAX_WEIGHTS:,} weights in all, not "
                                f"{n_weights:,}: choose smaller layers")
        rng = np.random.default_rng([seed, 0])
        weights, biases = [], []
        for n_cols, n_rows in zip(sizes, sizes[1:]):
            matrix = rng.normal(0, (2 / n_cols) ** 0.5, (n_rows, n_cols)).astype(np.float32)
            weights.append(FreeWeight(torch.from_numpy(matrix),
                                      torch.ones(n_rows, n_cols, dtype=torch.bool)))
            biases.append(torch.zeros(n_rows))
        n_layers = len(weights)
        return cls([f"fc{number + 1}" for number in range(n_layers)],
                   [number < n_layers - 1 for number in range(n_layers)], weights, biases)

    def to_model(self) -> Model:
        """Convert to a model with the current weights."""
        return Model(tuple(
            ModelLayer(name, weight().detach().numpy().astype(np.float64),
                       bias.detach().numpy().astype(np.float64), relu)
            for name, weight, bias, relu
            in zip(self.names, self.weights, self.biases, self.relus)),
            preprocessing=self._preprocessing)

    @property
    def others(self) -> list[nn.Parameter]:
        """Biases."""
        return list(self.biases)

    @property
    def n_inputs(self) -> int:
        """Columns of the first matrix."""
        return int(self.weights[0]().shape[1])

    @property
    def n_outputs(self) -> int:
        """Rows of the last matrix."""
        return int(self.weights[-1]().shape[0])

    @property
    def structure(self) -> Any:
        """Names of the layers, and which of them end in a ReLU."""
        return list(zip(self.names, self.relus))

    def forward(self, x: Tensor, dropout: Sequence[float] | None = None,
                generator: torch.Generator | None = None) -> Tensor:
        """Compute outputs (batch, n_outputs) for inputs (batch, n_inputs).

        Parameters
        ----------
        dropout : sequence of :class:`float`, 0 to below 1
            Share of the inputs of each layer that is dropped.
        generator : :class:`torch.Generator`
            Generator for the choice of dropped inputs.
        """
        x = preprocess(self._preprocessing, x)
        for number, (weight, bias, relu) in enumerate(zip(self.weights, self.biases, self.relus)):
            if dropout and dropout[number]:
                kept = torch.rand(x.shape, generator=generator) >= dropout[number]
                x = x * kept / (1 - dropout[number])
            x = nn.functional.linear(x, weight(), bias)
            if relu:
                x = nn.functional.relu(x)
        return x


def preprocess(preprocessing: Preprocessing | None, x: Tensor) -> Tensor:
    """Preprocess inputs (batch, ...), if there is preprocessing, to float32."""
    if preprocessing is None:
        return x
    offset, scale = (torch.tensor(numbers, dtype=torch.float64) for numbers
                     in (preprocessing.offset, preprocessing.scale))
    return ((x - offset) * scale).to(torch.float32)


def dense_matrix(layer: ModelLayer) -> Tensor:
    """Convert the weights of a layer to a dense matrix of float32."""
    weight = layer.weight
    return torch.tensor(weight if isinstance(weight, np.ndarray) else weight.toarray(),
                        dtype=torch.float32)
