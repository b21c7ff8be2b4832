"""Sigmoid and tanh of results, by their table; part of the golden model."""

import numpy as np
from numpy.typing import NDArray

from eie_hdl.format import Table
from eie_hdl.numeric import TANH_TABLE, round_shift

__all__ = ["apply_table"]

#: Last position before the last entry, whose value is 1.
_LAST = (len(TANH_TABLE) - 2) * 256 + 255


def apply_table(table: int, words: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Apply the function `table` of a descriptor to activations of `width` bits.

    docs/operations.md defines the functions, "The table of tanh": an operand has ``width - 5``
    fraction bits, a result ``width - 2``.
    """
    if table == Table.NONE.value:
        return words
    is_tanh = table == Table.TANH.value
    magnitudes = _interpolate(np.abs(words), 18 - width if is_tanh else 17 - width)
    odd = np.sign(words) * round_shift(magnitudes, 25 - width if is_tanh else 26 - width)
    return odd if is_tanh else (1 << width - 3) + odd


def _interpolate(magnitudes: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Hyperbolic tangents, with 23 fraction bits.

    Their positions in the table are ``magnitudes * 2 ** shift``, in 256ths of an entry.
    """
    positions = magnitudes << shift if shift >= 0 else round_shift(magnitudes, -shift)
    entry, rest = np.divmod(np.minimum(positions, _LAST), 256)
    entries = np.array(TANH_TABLE, np.int64)
    return entries[entry] * 256 + (entries[entry + 1] - entries[entry]) * rest
