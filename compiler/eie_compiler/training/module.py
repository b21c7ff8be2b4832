"""Layers that learn: weights of which some are held at zero, or that share a few values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..model import Model, ModelLayer
from .errors import TrainingError

__all__ = ["FreeWeight", "Module", "SharedWeight"]

#: Most weights of a new network, which take 3 GB while they learn; VGG-16 has 124 million in its
#: fully connected layers.
_MAX_WEIGHTS = 1 << 27


class FreeWeight(nn.Module):
    """A matrix of weights of its own; those outside the mask are zero and stay it.

    Parameters
    ----------
    matrix : n_rows × n_cols
        Weights.
    mask : bool n_rows × n_cols
        Which of them there are.
    """

    def __init__(self, matrix: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)
        self.register_buffer("mask", mask)

    def forward(self) -> Tensor:
        return self.matrix * self.mask


class SharedWeight(nn.Module):
    """A matrix of codes into a few values, which learn.

    Parameters
    ----------
    codebook : n_codes
        The values; entry 0 is zero and stays it.
    codes : int64 n_rows × n_cols
        Which value each weight has.
    """

    def __init__(self, codebook: Tensor, codes: Tensor) -> None:
        super().__init__()
        self.codebook = nn.Parameter(codebook)
        self.register_buffer("codes", codes)

    def forward(self) -> Tensor:
        return _Lookup.apply(self.codebook, self.codes)


class _Lookup(torch.autograd.Function):
    """``codebook[codes]``, whose gradient is the sum of that of the members of each centroid.

    That is Deep Compression's section 3.3, but for entry 0, which belongs to the weights that were
    pruned and has none. Ten times as fast as the gradient of indexing.
    """

    @staticmethod
    def forward(context: Any, codebook: Tensor, codes: Tensor) -> Tensor:
        context.save_for_backward(codes)
        context.n_codes = len(codebook)
        return codebook[codes]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        codes, = context.saved_tensors
        sums = torch.bincount(codes.ravel(), gradient.ravel(), context.n_codes)
        sums[0] = 0
        return sums, None


class Module(nn.Module):
    """Fully connected layers, computed as in :class:`~eie_compiler.model.Model`.

    Attributes
    ----------
    weights : :class:`torch.nn.ModuleList` of :class:`FreeWeight` or :class:`SharedWeight`
        Called, they give the matrix of each layer.
    biases : :class:`torch.nn.ParameterList`
        One vector a layer.
    """

    def __init__(self, names: Sequence[str], relus: Sequence[bool],
                 weights: Sequence[FreeWeight | SharedWeight], biases: Sequence[Tensor]) -> None:
        super().__init__()
        self.names = list(names)
        self.relus = list(relus)
        self.weights = nn.ModuleList(weights)
        self.biases = nn.ParameterList(biases)

    @classmethod
    def from_model(cls, model: Model) -> "Module":
        """Weights that are zero are pruned already, and stay it.

        Raises
        ------
        TrainingError
            If it is a convolution.
        """
        if model.patches is not None:
            raise TrainingError("a model to retrain must be of fully connected layers, not a "
                                "convolution: compress it without retraining, or choose layers")
        matrices = [_dense(layer) for layer in model.layers]
        return cls([layer.name for layer in model.layers], [layer.relu for layer in model.layers],
                   [FreeWeight(matrix, matrix != 0) for matrix in matrices],
                   [torch.tensor(layer.bias, dtype=torch.float32) for layer in model.layers])

    @classmethod
    def new(cls, sizes: Sequence[int], seed: int) -> "Module":
        """Layers ``fc1``, ``fc2``, ... of random weights, of He et al. (2015); all but the last
        end in a ReLU.

        Parameters
        ----------
        sizes : two or more :class:`int`
            Inputs, then the outputs of each layer.
        seed : :class:`int`
            Of the weights.

        Raises
        ------
        TrainingError
            If a layer has no outputs, or there are too many weights.
        """
        if min(sizes) < 1:
            raise TrainingError(f"layers must have 1 output or more, not {min(sizes)}")
        n_weights = sum(n_rows * n_cols for n_cols, n_rows in zip(sizes, sizes[1:]))
        if n_weights > _MAX_WEIGHTS:
            raise TrainingError(f"layers must have {_MAX_WEIGHTS:,} weights or fewer together, not "
                                f"{n_weights:,}: choose smaller ones")
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
        """The network as it is now."""
        return Model(tuple(
            ModelLayer(name, weight().detach().numpy().astype(np.float64),
                       bias.detach().numpy().astype(np.float64), relu)
            for name, weight, bias, relu
            in zip(self.names, self.weights, self.biases, self.relus)))

    @property
    def densities(self) -> list[float]:
        """Share of the weights of each layer that are there."""
        return [float(kept.mean()) for kept in self.kept]

    @property
    def density(self) -> float:
        """The same of all layers together."""
        kept = self.kept
        return float(sum(map(np.count_nonzero, kept)) / sum(layer.size for layer in kept))

    @property
    def kept(self) -> list[NDArray[np.bool_]]:
        """Which weights of each layer are there."""
        return [(weight.mask if isinstance(weight, FreeWeight) else weight.codes != 0).numpy()
                for weight in self.weights]

    def forward(self, x: Tensor, dropout: Sequence[float] | None = None,
                generator: torch.Generator | None = None) -> Tensor:
        """Outputs (batch, n_outputs) for inputs (batch, n_inputs).

        Parameters
        ----------
        dropout : sequence of :class:`float`, 0 to below 1
            Share of the inputs of each layer that is left out.
        generator : :class:`torch.Generator`
            Chooses which.
        """
        for number, (weight, bias, relu) in enumerate(zip(self.weights, self.biases, self.relus)):
            if dropout and dropout[number]:
                kept = torch.rand(x.shape, generator=generator) >= dropout[number]
                x = x * kept / (1 - dropout[number])
            x = nn.functional.linear(x, weight(), bias)
            if relu:
                x = nn.functional.relu(x)
        return x


def _dense(layer: ModelLayer) -> Tensor:
    weight = layer.weight
    return torch.tensor(weight if isinstance(weight, np.ndarray) else weight.toarray(),
                        dtype=torch.float32)
