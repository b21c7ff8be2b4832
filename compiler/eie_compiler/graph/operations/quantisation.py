"""Quantisation of numbers to a few integers."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..operation import Floats, GraphError, Monotone, Shape, Words
from .activation import Activation
from .arithmetic import constants_error, fix_constants
from .fields import broadcast, check_constant, only

__all__ = ["Quantise"]

#: Greatest magnitude of a limit.
_MAX_LIMIT = 1 << 23

#: Most fraction bits of a result, which fits 64 bits.
_MAX_RESULT_FRAC = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Quantise(Activation, Monotone):
    """Integer nearest to ``scale * x``, limited to `low` to `high`.

    Numbers `q` of n bits with zero point `z` are here ``q - z``, so that zero is zero: `low` is
    ``-2 ** (n - 1) - z``, and `high` is ``2 ** (n - 1) - 1 - z``.

    Real numbers halfway between integers become the even one, as in ONNX. In words, the scale is
    that of :func:`~.arithmetic.fix_constants` for a result without fraction bits, and halves are
    rounded up.

    Parameters
    ----------
    scale : :class:`float`, or float64
        Finite factor above 0, or one for each channel, in a shape that is broadcast with the
        operand without the batch axis.
    low, high : :class:`int`
        Limits.
    """

    scale: Floats | float
    low: int
    high: int

    def __post_init__(self) -> None:
        check_constant("scale", self.scale)
        if not np.all(np.asarray(self.scale) > 0):
            raise GraphError(f"scale must be above 0, not {np.min(self.scale):g}")
        for name in ("low", "high"):
            limit = getattr(self, name)
            if type(limit) is not int or abs(limit) > _MAX_LIMIT:
                raise GraphError(f"{name} must be an integer from {-_MAX_LIMIT} to {_MAX_LIMIT}, "
                                 f"not {limit!r}")
        if not self.low < self.high:
            raise GraphError(f"low must be less than high, {self.high}, not {self.low}")

    def shape(self, *shapes: Shape) -> Shape:
        if broadcast(shape := only(shapes), np.shape(self.scale)) != shape:
            raise GraphError(f"scale must have a shape that is broadcast to {shape}, not "
                             f"{np.shape(self.scale)}")
        return shape

    def real(self, *tensors: Floats) -> Floats:
        return np.clip(np.rint(tensors[0] * self.scale), self.low, self.high)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        if not 0 <= frac <= _MAX_RESULT_FRAC:
            raise GraphError(f"result must have 0 to {_MAX_RESULT_FRAC} fraction bits, as it is "
                             f"an integer, not {frac}: quantise to fewer bits, or widen words")
        integers = fix_constants(self.scale, 0.0, frac=fracs[0], to=0)(tensors[0])
        return np.clip(integers, self.low, self.high) << frac

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats:
        # Both are integers. They differ by no more than 1, as they are within 1/2 of the product,
        # or of what the constants make of it.
        return 0.5 + constants_error(self.scale, 0.0, tensors[0], frac=fracs[0], to=0)

    def is_nonnegative(self, *operands: bool) -> bool:
        return self.low >= 0 or all(operands) and self.high >= 0
