"""Fixed-point rules on integers and arrays: what the end of the datapath does to a number."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["limits", "relu", "round_shift", "saturate", "wrap"]

Number = TypeVar("Number", int, NDArray[np.int64])


def limits(width: int) -> tuple[int, int]:
    """Least and greatest number of `width` bits, two's complement."""
    return -(1 << width - 1), (1 << width - 1) - 1


def wrap(value: Number, width: int) -> Number:
    """Keep the low `width` bits as a two's complement number: what an adder without carry does."""
    sign = 1 << width - 1
    return ((value + sign) & ((1 << width) - 1)) - sign


def round_shift(value: Number, shift: int) -> Number:
    """Divide by ``2 ** shift``; a half is rounded up, towards positive infinity."""
    return (value + (1 << shift >> 1)) >> shift


def relu(value: Number) -> Number:
    """Replace what is negative by zero."""
    return value * (value > 0)


def saturate(value: Number, width: int) -> Number:
    """Replace what does not fit `width` bits by the nearest number that does."""
    low, high = limits(width)
    if isinstance(value, int):
        return min(max(value, low), high)
    return np.clip(value, low, high)
