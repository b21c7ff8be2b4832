"""Operations on each element of one tensor or of two."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..operation import (
    Floats,
    GraphError,
    Interval,
    Monotone,
    Operation,
    Shape,
    Words,
    rescale,
    rescale_error,
)
from .arithmetic import add, constants_error, fix_constants, magnitude, multiply
from .fields import broadcast, check_constant, expand, only

__all__ = ["Add", "Affine", "Magnitude", "Maximum", "Multiply", "Pair", "Subtract"]


class Pair(Operation):
    """Operation on two tensors that are broadcast together, without the batch axis."""

    def shape(self, *shapes: Shape) -> Shape:
        if len(shapes) != 2:
            raise GraphError(f"there must be two operands, not {len(shapes)}")
        return broadcast(*shapes)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return rescale_error(max(fracs), frac)


def _align(tensors: Sequence[Any]) -> list[Any]:
    rank = max(tensor.ndim for tensor in tensors) - 1
    return [expand(tensor, rank) for tensor in tensors]


@dataclasses.dataclass(frozen=True)
class Add(Pair, Monotone):
    """Sum of two tensors."""

    def real(self, *tensors: Floats) -> Floats:
        one, other = _align(tensors)
        return one + other

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return add(*_align(tensors), fracs=fracs, frac=frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)


@dataclasses.dataclass(frozen=True)
class Subtract(Pair):
    """Difference of two tensors, the first less the second."""

    def real(self, *tensors: Floats) -> Floats:
        one, other = _align(tensors)
        return one - other

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        one, other = _align(tensors)
        return add(one, -other, fracs=fracs, frac=frac)

    def enclose(self, *intervals: Interval) -> Interval:
        (least, greatest), (least_other, greatest_other) = intervals
        return self.real(least, greatest_other), self.real(greatest, least_other)


@dataclasses.dataclass(frozen=True)
class Multiply(Pair):
    """Product of two tensors."""

    def real(self, *tensors: Floats) -> Floats:
        one, other = _align(tensors)
        return one * other

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return multiply(*_align(tensors), fracs=fracs, frac=frac)

    def enclose(self, *intervals: Interval) -> Interval:
        ends = [self.real(one, other) for one in intervals[0] for other in intervals[1]]
        return np.min(ends, axis=0), np.max(ends, axis=0)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return rescale_error(sum(fracs), frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)


@dataclasses.dataclass(frozen=True)
class Maximum(Pair, Monotone):
    """Maximum of two tensors."""

    def real(self, *tensors: Floats) -> Floats:
        return np.maximum(*_align(tensors))

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        # Rounding keeps the order, so that this is the rounded maximum.
        return np.maximum(*(rescale(tensor, one, frac)
                            for tensor, one in zip(_align(tensors), fracs)))

    def is_nonnegative(self, *operands: bool) -> bool:
        return any(operands)


@dataclasses.dataclass(frozen=True)
class Magnitude(Pair):
    """Root of the sum of the squares of two tensors, such as the parts of a spectrum."""

    def real(self, *tensors: Floats) -> Floats:
        return np.hypot(*_align(tensors))

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return magnitude(*_align(tensors), fracs=fracs, frac=frac)

    def enclose(self, *intervals: Interval) -> Interval:
        return (self.real(*(np.clip(0.0, *interval) for interval in intervals)),
                self.real(*(np.maximum(*np.abs(interval)) for interval in intervals)))

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return True


@dataclasses.dataclass(frozen=True, eq=False)
class Affine(Monotone):
    """Product with a constant plus a constant, such as a normalisation.

    In words, the constants are those of :func:`~.arithmetic.fix_constants`.

    Parameters
    ----------
    scale, shift : :class:`float`, or float64
        Finite constants, which are broadcast with the operand, without the batch axis.
    """

    scale: Floats | float
    shift: Floats | float

    def __post_init__(self) -> None:
        check_constant("scale", self.scale)
        check_constant("shift", self.shift)
        broadcast(np.shape(self.scale), np.shape(self.shift))

    def shape(self, *shapes: Shape) -> Shape:
        return broadcast(only(shapes), np.shape(self.scale), np.shape(self.shift))

    def real(self, *tensors: Floats) -> Floats:
        return self._expand(tensors[0]) * self.scale + self.shift

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        scaling = fix_constants(self.scale, self.shift, frac=fracs[0], to=frac)
        return scaling(self._expand(tensors[0]))

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats:
        return constants_error(self.scale, self.shift, self._expand(tensors[0]), frac=fracs[0],
                               to=frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands) and bool(np.all(np.asarray(self.scale) >= 0)
                                      and np.all(np.asarray(self.shift) >= 0))

    def _expand(self, tensor: Any) -> Any:
        return expand(tensor, max(tensor.ndim - 1, np.ndim(self.scale), np.ndim(self.shift)))
