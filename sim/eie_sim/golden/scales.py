"""Scales of rows and quantisation of their results; part of the golden model."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig, clog2
from eie_hdl.format import SCALE_SHIFT_WIDTH
from eie_hdl.numeric import relu, round_shift, saturate, wrap

from .tile import GoldenError, Memories

__all__ = ["Quantiser", "scale_rows"]

#: Bits of a zero point, and fraction bits of an accumulator when it is multiplied.
_ZERO_WIDTH = 8
_GUARD_BITS = 2


class Quantiser(NamedTuple):
    """Quantisation of the results of a tile, as docs/architecture.md defines it, "Row scales".

    Attributes
    ----------
    rounding, zero : int64 (n_rows, 1, 1)
        Low bits that are rounded away, and zero points, of all rows of all PEs.
    """

    rounding: NDArray[np.int64]
    zero: NDArray[np.int64]

    @classmethod
    def decode(cls, config: EIEConfig, memories: Memories, codebook: int, n_rows: int) -> Self:
        """Decode entry 0 of a codebook, for `n_rows` accumulators in each PE.

        Raises
        ------
        GoldenError
            If the image of a PE does not have it.
        """
        place = codebook << config.v_width
        absent = np.flatnonzero(memories.n_weights <= place)
        if absent.size:
            raise GoldenError(f"entry 0 of codebook {codebook} must be in the codebook image of PE "
                              f"{absent[0]}, as rows are scaled")
        entries = np.tile(memories.codebooks[:, place], n_rows)[:, np.newaxis, np.newaxis]
        width = clog2(config.act_width)
        return cls(np.minimum(entries % (1 << width), config.act_width - 1),
                   wrap(entries >> width, _ZERO_WIDTH))


def scale_rows(config: EIEConfig, acc: NDArray[np.int64], scales: NDArray[np.int64], *,
               shift: int, is_positive: bool, quantiser: Quantiser
               ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the results of accumulators, and a mask of those that did not fit.

    Parameters
    ----------
    acc : int64 (n_rows, pixels, batch)
        Accumulators, biases included.
    scales : int64 (n_rows, 1, batch)
        Their scale words.
    shift, is_positive : :class:`int`, :class:`bool`
        Fields `shift` and `relu` of the descriptor.
    quantiser : :class:`Quantiser`
        Quantisation. Results of which bits are rounded away may saturate; the mask does not have
        them.
    """
    width = config.act_width
    exponent = scales % (1 << SCALE_SHIFT_WIDTH)
    fraction_bits = width - SCALE_SHIFT_WIDTH - 1
    fraction = (scales >> SCALE_SHIFT_WIDTH) % (1 << fraction_bits)
    factor = np.where(scales < 0, fraction - (2 << fraction_bits), fraction + (1 << fraction_bits))

    whole = (acc << _GUARD_BITS) >> (shift + exponent) % (config.max_shift + 1)
    operand = saturate(whole, width + _GUARD_BITS)
    rounding, is_quantised = quantiser.rounding, quantiser.rounding > 0
    zero = np.where(is_quantised, quantiser.zero << width - 1 - _ZERO_WIDTH, 0)
    rounded = round_shift(operand * factor, fraction_bits + _GUARD_BITS + rounding)
    shifted = (rounded << rounding) + zero
    if is_positive:
        shifted = relu(shifted)
    words = np.where(is_quantised, saturate(shifted, width - 1), saturate(shifted, width)) >> rounding << rounding
    # An operand that saturates makes a result do so, unless it is exactly the lowest one.
    exceeds = (words != shifted) | ((operand != whole) & (shifted != 0))
    return words - zero, exceeds & ~is_quantised
