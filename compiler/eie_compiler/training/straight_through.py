"""Sign that can be learnt through (Courbariaux et al., Binarized Neural Networks, 2016)."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["sign"]


def sign(x: Tensor) -> Tensor:
    """Compute signs, -1, 0 or 1, whose gradient is that of the operand limited to -1 to 1."""
    result: Tensor = _Sign.apply(x)
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
