"""Operations of graphs in PyTorch, with gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..graph.operation import Operation
from ..graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Sigmoid,
    Sign,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from ..graph.operations.fields import expand
from .straight_through import nearest, sign

__all__ = ["TORCH_OPERATIONS", "TorchOperation"]

#: Function of operands (batch, ...) that computes the real numbers of an operation.
TorchOperation = Callable[..., Tensor]


def _pair(compute: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any], TorchOperation]:
    """Make an operation on two tensors that are broadcast together, without the batch axis."""
    def apply(one: Tensor, other: Tensor) -> Tensor:
        rank = max(one.dim(), other.dim()) - 1
        return compute(expand(one, rank), expand(other, rank))
    return lambda operation: apply


def _each(compute: Callable[[Tensor], Tensor]) -> Callable[[Any], TorchOperation]:
    """Make an operation without fields on each element."""
    return lambda operation: compute


def _affine(operation: Affine) -> TorchOperation:
    scale, shift = map(torch.as_tensor, (operation.scale, operation.shift))
    rank = max(scale.dim(), shift.dim())
    return lambda x: expand(x, max(x.dim() - 1, rank)) * scale.to(x) + shift.to(x)


def _leaky_relu(operation: LeakyRelu) -> TorchOperation:
    slope = torch.as_tensor(operation.slope)
    return lambda x: torch.where(x < 0, x * slope.to(x), x)


def _clip(operation: Clip) -> TorchOperation:
    if (operation.low, operation.high) == (0, float("inf")):
        return functional.relu    # whose gradient at 0 is 0, as of layers
    low, high = (torch.tensor(limit, dtype=torch.float64)
                 for limit in (operation.low, operation.high))
    return lambda x: x.clamp(low.to(x), high.to(x))


def _hard_sigmoid(operation: HardSigmoid) -> TorchOperation:
    return lambda x: (x * operation.alpha + operation.beta).clamp(0, 1)


def _quantise(operation: Quantise) -> TorchOperation:
    scale = torch.as_tensor(operation.scale)
    return lambda x: nearest((x * scale.to(x)).clamp(operation.low, operation.high))


def _magnitude(one: Tensor, other: Tensor) -> Tensor:
    # The root has no gradient at 0; it is 0 there.
    return (one * one + other * other).clamp_min(1e-30).sqrt()


def _reshape(operation: Reshape) -> TorchOperation:
    return lambda x: x.reshape(len(x), *operation.to)


def _transpose(operation: Transpose) -> TorchOperation:
    return lambda x: x.permute(0, *(axis + 1 for axis in operation.order))


def _slice(operation: Slice) -> TorchOperation:
    place = (slice(None),) * (operation.axis + 1)
    return lambda x: x[*place, operation.start:operation.stop:operation.step]


def _pad(operation: Pad) -> TorchOperation:
    # From the last axis to the first.
    sides = [n for pair in zip(operation.before[::-1], operation.after[::-1]) for n in pair]
    return lambda x: functional.pad(x, sides)


def _concat(operation: Concat) -> TorchOperation:
    return lambda *tensors: torch.cat(tensors, operation.axis + 1)


def _sides(padding: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Padding in the order of PyTorch: left, right, top, bottom."""
    top, left, bottom, right = padding
    return left, right, top, bottom


def _max_pool(operation: MaxPool) -> TorchOperation:
    def apply(x: Tensor) -> Tensor:
        if any(operation.padding):
            x = functional.pad(x, _sides(operation.padding), value=-float("inf"))
        return functional.max_pool2d(x, operation.kernel, operation.stride)
    return apply


def _average_pool(operation: AveragePool) -> TorchOperation:
    def apply(x: Tensor) -> Tensor:
        padded = functional.pad(x, _sides(operation.padding))
        sums = functional.avg_pool2d(padded, operation.kernel, operation.stride, divisor_override=1)
        return sums / torch.from_numpy(operation.count(x.shape)).to(x)
    return apply


def _mean(operation: Mean) -> TorchOperation:
    return lambda x: x.mean([axis + 1 for axis in operation.axes], keepdim=operation.keep)


#: Class of each operation -> function that makes it in PyTorch. It computes the real numbers of the
#: operation; constants stay as they are.
TORCH_OPERATIONS: dict[type[Operation], Callable[[Any], TorchOperation]] = {
    Add: _pair(torch.add),
    Affine: _affine,
    AveragePool: _average_pool,
    Clip: _clip,
    Concat: _concat,
    HardSigmoid: _hard_sigmoid,
    HardSwish: _each(lambda x: x * (x + 3).clamp(0, 6) / 6),
    LeakyRelu: _leaky_relu,
    Magnitude: _pair(_magnitude),
    MaxPool: _max_pool,
    Maximum: _pair(torch.maximum),
    Mean: _mean,
    Multiply: _pair(torch.mul),
    Pad: _pad,
    Quantise: _quantise,
    Reshape: _reshape,
    Reverse: lambda operation: lambda x: x.flip(operation.axis + 1),
    Sigmoid: _each(torch.sigmoid),
    Sign: _each(sign),
    Slice: _slice,
    Subtract: _pair(torch.sub),
    Tanh: _each(torch.tanh),
    Transpose: _transpose,
}
