"""Steps that can be learnt through (Courbariaux et al., Binarized Neural Networks, 2016)."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["nearest", "sign"]


def sign(x: Tensor) -> Tensor:
    """Compute signs, -1, 0 or 1, whose gradient is that of the operand limited to -1 to 1."""
    result: Tensor = _Sign.apply(x)
    return result


def nearest(x: Tensor) -> Tensor:
    """Round to the nearest integers, of halves to even ones; the gradient is that of the operand.
    """
    result: Tensor = _Nearest.apply(x)
    return result


class _Sign(torch.autograd.Function):

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        x, = context.saved_tensors
        return gradient * (x.abs() <= 1)


class _Nearest(torch.autograd.Function):

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient
