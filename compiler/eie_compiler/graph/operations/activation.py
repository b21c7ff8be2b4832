"""Operations on each element of one tensor that are not linear."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ...network import MAX_FRAC
from ..operation import (
    Floats,
    GraphError,
    Interval,
    Monotone,
    Operation,
    Shape,
    Words,
    check_frac,
    rescale,
    rescale_error,
)
from .arithmetic import constants_error, divide, fix_constants, fix_limit
from .fields import broadcast, check_constant, check_number, only
from .tanh_table import TABLE_ERROR, tanh

__all__ = ["Activation", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid", "Sign", "Tanh"]

#: Most fraction bits of the operand of a hard swish, whose square must fit 64 bits.
_MAX_SWISH_FRAC = 32

#: Most fraction bits of a result of the table.
_MAX_TABLE_FRAC = 32


class Activation(Operation):
    """Operation that keeps the shape of its only operand."""

    def shape(self, *shapes: Shape) -> Shape:
        return only(shapes)


@dataclasses.dataclass(frozen=True)
class Clip(Activation, Monotone):
    """Nearest number from `low` to `high`, such as ReLU, ``Clip(0, inf)``.

    In words, the limits are rounded half up.

    Parameters
    ----------
    low, high : :class:`float`
        Limits; infinite ones do not limit.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            check_number(name, getattr(self, name), finite=False)
        if self.low > self.high:
            raise GraphError(f"low must be at most high, {self.high}, not {self.low}")

    def real(self, *tensors: Floats) -> Floats:
        return np.clip(tensors[0], self.low, self.high)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        # Rounding keeps the order, so that this is the rounded number.
        return np.clip(rescale(tensors[0], fracs[0], frac), fix_limit(self.low, frac),
                       fix_limit(self.high, frac))

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats:
        # Limits are not always words, and those of words have a greatest magnitude.
        low, high = (math.ldexp(fix_limit(limit, frac), -frac) for limit in (self.low, self.high))
        moved: Floats = np.abs(np.clip(tensors[0], low, high) - self.real(tensors[0]))
        return moved + rescale_error(fracs[0], frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return self.low >= 0 or all(operands) and self.high >= 0


@dataclasses.dataclass(frozen=True, eq=False)
class LeakyRelu(Activation):
    """Number itself, or its product with a slope if it is negative.

    In words, the slope is that of :func:`~.arithmetic.fix_constants`.

    Parameters
    ----------
    slope : :class:`float`, or float64
        Finite factor, or one for each channel, in a shape that is broadcast with the operand
        without the batch axis.
    """

    slope: Floats | float

    def __post_init__(self) -> None:
        check_constant("slope", self.slope)

    def shape(self, *shapes: Shape) -> Shape:
        if broadcast(shape := only(shapes), np.shape(self.slope)) != shape:
            raise GraphError(f"slope must have a shape that is broadcast to {shape}, not "
                             f"{np.shape(self.slope)}")
        return shape

    def real(self, *tensors: Floats) -> Floats:
        return np.where(tensors[0] < 0, tensors[0] * self.slope, tensors[0])

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        scaling = fix_constants(self.slope, 0.0, frac=fracs[0], to=frac)
        return np.where(tensors[0] < 0, scaling(tensors[0]), rescale(tensors[0], fracs[0], frac))

    def enclose(self, *intervals: Interval) -> Interval:
        least, greatest = intervals[0]
        # Between the ends, the extreme is at 0.
        corners = [self.real(each) for each in (least, greatest, np.clip(0.0, least, greatest))]
        return np.min(corners, axis=0), np.max(corners, axis=0)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats:
        error = constants_error(self.slope, 0.0, tensors[0], frac=fracs[0], to=frac)
        return np.where(tensors[0] < 0, error, rescale_error(fracs[0], frac))

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands) or bool(np.all(np.asarray(self.slope) <= 0))


@dataclasses.dataclass(frozen=True)
class HardSigmoid(Activation, Monotone):
    """Number ``alpha * x + beta``, limited to 0 to 1.

    In words, the constants are those of :func:`~.arithmetic.fix_constants`, and 1 is rounded half
    up.

    Parameters
    ----------
    alpha, beta : :class:`float`
        Finite constants.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)
        check_number("beta", self.beta)

    def real(self, *tensors: Floats) -> Floats:
        return np.clip(tensors[0] * self.alpha + self.beta, 0.0, 1.0)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        scaling = fix_constants(self.alpha, self.beta, frac=fracs[0], to=frac)
        return np.clip(scaling(tensors[0]), 0, fix_limit(1.0, frac))

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats:
        # Half a step, by which 1 may be rounded, is included.
        return constants_error(self.alpha, self.beta, tensors[0], frac=fracs[0], to=frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return True


@dataclasses.dataclass(frozen=True)
class HardSwish(Activation):
    """Number ``x * min(max(x + 3, 0), 6) / 6``, exact before it is rounded half up."""

    def real(self, *tensors: Floats) -> Floats:
        return tensors[0] * np.clip(tensors[0] + 3.0, 0.0, 6.0) / 6.0

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        (words,), (operand,) = tensors, fracs
        check_frac(operand, frac)
        if operand > _MAX_SWISH_FRAC:
            raise GraphError(f"operand of a hard swish must have at most {_MAX_SWISH_FRAC} "
                             f"fraction bits, not {operand}: choose a coarser format")
        # Coarser words than steps of 4 have no number between 0 and 3, either.
        fine = max(operand, 0)
        inside = np.clip(words, -4, 4) << min(-operand, 2) if operand < 0 else words
        three = 3 << fine
        inside = np.clip(inside, -three, three)
        shift = 2 * fine - frac
        curve = divide(inside * (inside + three) << max(-shift, 0),
                       6 << min(max(shift, 0), _MAX_SWISH_FRAC + 24))
        line = rescale(words, operand, frac)
        return np.where(inside < three, curve, line)

    def enclose(self, *intervals: Interval) -> Interval:
        least, greatest = intervals[0]
        # Between the ends, the extreme is the minimum, at -1.5.
        corners = [self.real(each) for each in (least, greatest, np.clip(-1.5, least, greatest))]
        return np.min(corners, axis=0), np.max(corners, axis=0)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)


@dataclasses.dataclass(frozen=True)
class Sign(Activation, Monotone):
    """Sign: -1, 0 or 1."""

    def real(self, *tensors: Floats) -> Floats:
        return np.sign(tensors[0])

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return rescale(np.sign(tensors[0]), 0, frac)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return rescale_error(0, frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)


@dataclasses.dataclass(frozen=True)
class Sigmoid(Activation, Monotone):
    """Logistic function ``1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2``.

    In words, tanh is that of :func:`~.tanh_table.tanh`, so that results for `x` and `-x` are
    exactly 1 together. The error is at most 2 ** -13.5 and half a step of the result.
    """

    def real(self, *tensors: Floats) -> Floats:
        return 0.5 + 0.5 * np.tanh(0.5 * tensors[0])

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        _check_table_frac("sigmoid", frac, 1)
        return (1 << frac - 1) + tanh(tensors[0], fracs[0] + 1, frac - 1)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return TABLE_ERROR / 2 + math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return True


@dataclasses.dataclass(frozen=True)
class Tanh(Activation, Monotone):
    """Hyperbolic tangent.

    In words, it is that of :func:`~.tanh_table.tanh`, which is odd. The error is at most 2 ** -12.5
    and half a step of the result.
    """

    def real(self, *tensors: Floats) -> Floats:
        return np.tanh(tensors[0])

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        _check_table_frac("tanh", frac, -MAX_FRAC)
        return tanh(tensors[0], fracs[0], frac)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return TABLE_ERROR + math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)


def _check_table_frac(name: str, frac: int, low: int) -> None:
    if not low <= frac <= _MAX_TABLE_FRAC:
        raise GraphError(f"result of a {name} must have from {low} to {_MAX_TABLE_FRAC} fraction "
                         f"bits, not {frac}: choose another format")
