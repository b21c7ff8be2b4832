"""Integer arithmetic of operations: sums, products, quotients, roots, constants as integers.

A result is exact, rounded half up once, and fits 64 bits for words of up to 24 bits.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.numeric import round_shift

from ...vectors import dequantise, quantise
from ..operation import Floats, GraphError, Words, check_frac

__all__ = ["MULTIPLIER_BITS", "Scaling", "add", "constants_error", "divide", "divide_sum",
           "fix_constants", "fix_limit", "magnitude", "multiply"]

#: Width of the magnitude of a multiplier in bits; with its sign it has 16.
MULTIPLIER_BITS = 15

#: Greatest right shift of a product. A multiplier of a lesser scale has fewer bits, but the product
#: is then a small part of one step of the result.
_MAX_SHIFT = 37

#: Width of a constant in bits, at which it saturates. If an addend does, its result is beyond 24
#: bits, whatever the product.
_CONSTANT_WIDTH = 62

#: Most fraction bits of a product beyond those of its operands together.
_EXTRA_PRODUCT_FRAC = 15

#: Most fraction bits of a magnitude beyond those of an operand, of which it is never less.
_EXTRA_MAGNITUDE_FRAC = 6


def add(one: Words, other: Words, *, fracs: Sequence[int], frac: int) -> Words:
    """Add words of two formats."""
    for operand in fracs:
        check_frac(operand, frac)
    # The sum is needed to half a step of the result. Bits of one word that are below these and
    # below all bits of the other word do not change how the sum rounds: they may be cut off.
    finest = max(min(fracs), frac + 1)
    left, right = (words << finest - operand if finest >= operand
                   else words >> min(operand - finest, 63)
                   for words, operand in zip((one, other), fracs))
    return round_shift(left + right, min(finest - frac, 62))


def multiply(one: Words, other: Words, *, fracs: Sequence[int], frac: int) -> Words:
    """Multiply words of two formats."""
    shift = sum(fracs) - frac
    if shift < -_EXTRA_PRODUCT_FRAC:
        raise GraphError(f"result must have at most {sum(fracs) + _EXTRA_PRODUCT_FRAC} fraction "
                         f"bits, {_EXTRA_PRODUCT_FRAC} more than the operands together, not "
                         f"{frac}: choose a coarser format")
    product = one * other
    return product << -shift if shift < 0 else round_shift(product, min(shift, 62))


def magnitude(one: Words, other: Words, *, fracs: Sequence[int], frac: int) -> Words:
    """Compute the root of the sum of the squares of words of two formats."""
    if frac > min(fracs) + _EXTRA_MAGNITUDE_FRAC:
        raise GraphError(f"result must have at most {min(fracs) + _EXTRA_MAGNITUDE_FRAC} fraction "
                         f"bits, {_EXTRA_MAGNITUDE_FRAC} more than an operand, not {frac}: choose "
                         "a coarser format")
    # The root is needed to half a step of the result: that of the squares in quarters of its
    # square, rounded down. Bits of one square below these and below the other may be cut off.
    finest = max(min(fracs), frac + 1)
    left, right = (words * words << 2 * (finest - operand) if finest >= operand
                   else words * words >> min(2 * (operand - finest), 63)
                   for words, operand in zip((one, other), fracs))
    return _floor_root(left + right >> min(2 * (finest - frac - 1), 63)) + 1 >> 1


def _floor_root(squares: Words) -> Words:
    """Compute roots of integers from 0 to below 2 ** 62, rounded down."""
    # In float64, the root of a rounded square r * r is r, and neither rounding changes an order:
    # the root of a number from there to below (r + 1) * (r + 1) is r, or r + 1, one too much.
    roots = np.sqrt(squares.astype(np.float64)).astype(np.int64)
    return roots - (roots * roots > squares)


def divide(numerator: Any, denominator: Any) -> Any:
    """Divide integers by positive ones, rounding half up: ``floor((2n + d) / 2d)``."""
    return (2 * numerator + denominator) // (2 * denominator)


def divide_sum(sums: Words, count: Any, *, frac: int, to: int) -> Words:
    """Divide sums of words with `frac` fraction bits by their `count`, to `to` fraction bits."""
    check_frac(frac, to)
    # A mean has at most 23 bits beside its sign: 25 bits further right, it rounds to zero.
    right = min(max(frac - to, 0), 25)
    return divide(sums << max(to - frac, 0), count << right)


def fix_limit(number: float, frac: int) -> int:
    """Convert a limit of results to a word, rounding half up, or to ±2 ** 61 if it is beyond."""
    if math.isinf(number):
        number = math.copysign(2.0 ** 62, number)
        frac = 0
    return int(quantise(number, frac, _CONSTANT_WIDTH))


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """Product with a constant, and sum, in integers: ``(word * multiplier + addend) >> shift``.

    The addend contains the half of the last bit that the shift removes, so that results are rounded
    half up.

    Attributes
    ----------
    multiplier, addend, shift : int64, of one shape
        Integers of each element: multipliers of 16 bits, addends of 63, shifts from 1 to 37.
    """

    multiplier: NDArray[np.int64]
    addend: NDArray[np.int64]
    shift: NDArray[np.int64]

    def __call__(self, words: Words) -> Words:
        return (words * self.multiplier + self.addend) >> self.shift


def fix_constants(scale: Floats | float, shift: Floats | float, *, frac: int, to: int) -> Scaling:
    """Choose the integers that compute ``x * scale + shift``.

    With `r = scale · 2 ** (to - frac)`, the result for one step of the operand, in its own steps:

    - the right shift is the one that brings ``|r|`` to 15 bits, ``2 ** 14 <= |r| · 2 ** s <
      2 ** 15``, but 1 to 37;
    - multiplier `m = r · 2 ** s`, rounded half up. If that is ±2 ** 15, both are reduced to the
      same product with a shift less by 1;
    - addend `a = shift · 2 ** (to + s)`, rounded half up and limited to ±2 ** 61, plus
      ``2 ** (s - 1)``.

    A result for the word `x` is therefore at most ``1/2 + (|x| + 1) / 2 ** (s + 1)`` steps from the
    exact one, which is at most ``1/2 + |r·x| / 2 ** 15 + 1 / 2 ** (s + 1)`` unless `s` is 37.

    Parameters
    ----------
    scale, shift : float64
        Constants that are broadcast together.
    frac, to : :class:`int`
        Fraction bits of the operand and of the result.

    Raises
    ------
    GraphError
        If a scale is so great for the formats that the shift would be less than 2.
    """
    scale, shift = np.broadcast_arrays(np.asarray(scale, np.float64),
                                       np.asarray(shift, np.float64))
    # |r| < 2 ** exponent
    exponent = np.where(scale, np.frexp(scale)[1] + (to - frac), 0).astype(np.int64)
    right = np.clip(MULTIPLIER_BITS - exponent, 1, _MAX_SHIFT)
    if (exponent > MULTIPLIER_BITS - 2).any():
        raise GraphError(f"scale must be less than {2.0 ** (MULTIPLIER_BITS - 2 + frac - to):g} "
                         f"for {frac} fraction bits of the operand and {to} of the result, not "
                         f"{np.abs(scale).max():g}: choose a coarser format of the result")
    multiplier = _fix(scale, to - frac + right)
    full = np.abs(multiplier) == 1 << MULTIPLIER_BITS
    multiplier, right = np.where(full, multiplier >> 1, multiplier), right - full
    addend = _fix(shift, to + right) + (1 << (right - 1))
    return Scaling(multiplier, addend, right)


def constants_error(scale: Floats | float, shift: Floats | float, numbers: Floats, *, frac: int,
                    to: int) -> Floats:
    """Bound the error of ``x * scale + shift`` with the integers of :func:`fix_constants`.

    It is that of the integers, and half a step of the result. Cancellation in floating point is
    included.

    Parameters
    ----------
    scale, shift, frac, to
        As for :func:`fix_constants`.
    numbers : float64 (batch, ...)
        Operand `x`.
    """
    fixed = fix_constants(scale, shift, frac=frac, to=to)
    products = dequantise(fixed.multiplier, to + fixed.shift - frac)
    sums = dequantise(fixed.addend - (1 << fixed.shift - 1), to + fixed.shift)
    magnitudes = np.abs(numbers)
    error: Floats = magnitudes * np.abs(products - scale) + np.abs(sums - shift) \
        + math.ldexp(0.5, -to) + 2.0 ** -50 * (magnitudes * np.abs(scale) + np.abs(shift))
    return error


def _fix(numbers: Floats, frac: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(quantise(numbers, frac, _CONSTANT_WIDTH), np.int64)
