"""Hyperbolic tangent by a table with linear interpolation, in integers."""

import numpy as np

from eie_hdl.numeric import TANH_TABLE, round_shift

from ..operation import Words, rescale

__all__ = ["FRAC", "TABLE", "TABLE_ERROR", "interpolate", "tanh"]

#: Entries ``tanh(i / 32)`` with 15 fraction bits, of `i` from 0 to 191.
TABLE = np.array(TANH_TABLE, np.int64)

#: Fraction bits of a position: 8 bits count entries and 8 bits divide the distance between two.
_POSITION_FRAC = 13

#: Last position before entry 191; all greater arguments take its value, 1.
_LAST = (191 << 8) - 1

#: Fraction bits of an interpolated value.
FRAC = 23

#: Greatest error of an interpolated value: 9.4e-5 from the chord between two entries, 1.6e-5 from
#: the entries, 6.2e-5 from the argument.
TABLE_ERROR = 2.0 ** -12.5


def interpolate(magnitudes: Words, frac: int) -> Words:
    """Compute ``tanh(m / 2 ** frac)`` of integers of 0 or more, with :data:`FRAC` fraction bits.

    The argument is rounded half up to 13 fraction bits, a position of 16 bits `p`: with the entry
    ``i = p >> 8`` and the rest ``r = p & 255``, the value is ``(T[i] << 8) + (T[i + 1] - T[i]) *
    r``, without another rounding. It never decreases as the argument increases.

    Its error is at most :data:`TABLE_ERROR`.
    """
    shift = _POSITION_FRAC - frac
    position = np.minimum(magnitudes, _LAST) << min(shift, 16) if shift >= 0 \
        else round_shift(magnitudes, min(-shift, 62))
    position = np.minimum(position, _LAST)
    at, rest = position >> 8, position & 255
    return (TABLE[at] << 8) + (TABLE[at + 1] - TABLE[at]) * rest


def tanh(words: Words, frac: int, to: int) -> Words:
    """Compute ``tanh(word / 2 ** frac)`` with `to` fraction bits.

    Magnitudes are rounded half up, so that the function is odd.
    """
    magnitudes = rescale(interpolate(np.abs(words), frac), FRAC, to)
    return np.where(words < 0, -magnitudes, magnitudes)
