"""Training of any PyTorch module with pruned and shared weights."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import TrainingError
from .module import FreeWeight, Trainable

__all__ = ["TorchModule"]

#: Layers with one weight matrix, whose rows are outputs.
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class TorchModule(Trainable):
    """PyTorch module whose weight matrices are pruned and shared like those of fully connected
    layers.

    Each Linear, Conv1d and Conv2d layer has a matrix: outputs × all weights of an output, so that a
    convolution has out_channels × (in_channels / groups · kernel). Each layer and direction of an
    LSTM, GRU or RNN has one of the weights of inputs and of states, (gates · hidden) × (inputs +
    states), as the accelerator has, and a projection has its own. Their zero weights are pruned.
    All other parameters, such as those of a normalisation, train unchanged.

    The module itself keeps its weights until :meth:`release` writes the trained ones to it.

    Parameters
    ----------
    module : :class:`torch.nn.Module`
        Module that computes outputs (batch, n_outputs) from one input (batch, ...).
    shape : :class:`tuple` of :class:`int`
        Shape of an input without the batch; data are rows of as many numbers.

    Raises
    ------
    TrainingError
        If the module has no layers of these kinds.
    """

    def __init__(self, module: nn.Module, shape: Sequence[int]) -> None:
        tensors = dict(_matrices(module))
        if not tensors:
            raise TrainingError("module must have Linear, Conv1d, Conv2d, LSTM, GRU or RNN layers "
                                f"to train, but {type(module).__name__} has none")
        parameters = dict(module.named_parameters())
        matrices = [torch.cat([parameters[name].detach().flatten(1) for name in names], dim=1)
                    for names in tensors.values()]
        super().__init__(list(tensors), [FreeWeight(matrix, matrix != 0) for matrix in matrices])
        self.inner = module
        self._tensors = tensors
        self._shape = tuple(shape)

    @property
    def others(self) -> list[nn.Parameter]:
        """Parameters of the module outside the weight matrices."""
        held = {name for names in self._tensors.values() for name in names}
        return [parameter for name, parameter in self.inner.named_parameters() if name not in held]

    @property
    def n_inputs(self) -> int:
        """Number of elements of an input."""
        return math.prod(self._shape)

    @property
    def n_outputs(self) -> int:
        """Number of elements of an output, from a computation without effect on the module."""
        self.eval()
        with torch.no_grad():
            return int(self(torch.zeros(1, self.n_inputs)).shape[1])

    @property
    def structure(self) -> Any:
        """Shape of an input, and the module as PyTorch prints it."""
        return [self._shape, repr(self.inner)]

    def release(self) -> nn.Module:
        """Write the trained weights to the module, and return it in evaluation mode."""
        parameters = dict(self.inner.named_parameters())
        with torch.no_grad():
            for name, weight in self._parts():
                parameters[name].copy_(weight)
        return self.inner.eval()

    def forward(self, x: Tensor, dropout: Sequence[float] | None = None,
                generator: torch.Generator | None = None) -> Tensor:
        """Compute outputs (batch, n_outputs) for inputs (batch, n_inputs)."""
        if dropout and any(dropout):
            raise TrainingError("dropout must be 0 for a PyTorch module, not "
                                f"{max(dropout)}: give the module Dropout layers of its own")
        x = x.reshape(-1, *self._shape)
        if x.dim() == 4:
            # Faster on the CPU: one epoch of LeNet-5 takes 15 instead of 21 s.
            x = x.to(memory_format=torch.channels_last)
        return torch.func.functional_call(self.inner, dict(self._parts()), (x,))

    def _parts(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the current values of each weight tensor of the module."""
        parameters = dict(self.inner.named_parameters())
        for weight, names in zip(self.weights, self._tensors.values()):
            shapes = [parameters[name].shape for name in names]
            blocks = weight().split([math.prod(shape[1:]) for shape in shapes], dim=1)
            for name, shape, block in zip(names, shapes, blocks):
                yield name, block.reshape(shape)


def _matrices(module: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each matrix, and the names of the parameters that are its columns."""
    for path, layer in module.named_modules():
        prefix = f"{path}." if path else ""
        if isinstance(layer, _LAYERS):
            yield path or "weight", [f"{prefix}weight"]
        elif isinstance(layer, nn.RNNBase):
            for name, _ in layer.named_parameters():
                if name.startswith("weight_ih"):
                    place = name.removeprefix("weight_ih_")
                    yield f"{prefix}{place}", [f"{prefix}{name}", f"{prefix}weight_hh_{place}"]
                elif name.startswith("weight_hr"):
                    yield f"{prefix}{name.removeprefix('weight_')}", [f"{prefix}{name}"]
