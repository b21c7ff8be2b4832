"""Fixed-point arithmetic of the write-back, on integers and arrays."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["TANH_TABLE", "limits", "relu", "round_shift", "saturate", "wrap"]

Number = TypeVar("Number", int, NDArray[np.int64])

#: Entries ``tanh(i / 32)`` with 15 fraction bits, rounded half up, of `i` from 0 to 191. The last
#: three are 1.
TANH_TABLE = tuple(math.floor(math.tanh(i / 32) * 2 ** 15 + 0.5) for i in range(192))


def limits(width: int) -> tuple[int, int]:
    """Return the least and the greatest two's complement number of `width` bits."""
    return -(1 << width - 1), (1 << width - 1) - 1


def wrap(value: Number, width: int) -> Number:
    """Wrap around to `width` bits, two's complement, as an adder without carry out does."""
    sign = 1 << width - 1
    return ((value + sign) & ((1 << width) - 1)) - sign


def round_shift(value: Number, shift: Number | int) -> Number:
    """Divide by ``2 ** shift``, rounding to nearest; ties go towards positive infinity."""
    return (value + (1 << shift >> 1)) >> shift


def relu(value: Number) -> Number:
    """Replace negative numbers by zero."""
    return value * (value > 0)


def saturate(value: Number, width: int) -> Number:
    """Clamp to the range of a `width`-bit two's complement number."""
    low, high = limits(width)
    if isinstance(value, int):
        return min(max(value, low), high)
    return np.clip(value, low, high)
