"""Scales of rows and quantisation of their results; part of the golden model."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig, clog2
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


def scale_rows(config: EIEConfig, acc: NDArray[np.int64], words: NDArray[np.int64], *,
               shift: int, is_positive: bool, quantiser: Quantiser
               ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the results of accumulators, and a mask of those that did not fit.

    Parameters
    ----------
    acc : int64 (n_rows, pixels, batch)
        Accumulators, biases included.
    words : int64 (n_words * 2 * 4 * n_pe, 1, batch)
        Activations with fractions and shifts alternately, four slots each, of at least all rows.
    shift, is_positive : :class:`int`, :class:`bool`
        Fields `shift` and `relu` of the descriptor.
    quantiser : :class:`Quantiser`
        Quantisation. Results of which bits are rounded away may saturate; the mask does not have
        them.
    """
    width, rounding = config.act_width, quantiser.rounding
    pairs = words.reshape(-1, 2, ACTS_PER_WORD * config.n_pe, *words.shape[1:])
    fraction, exponent = (pairs[:, place].reshape(-1, *words.shape[1:])[:len(acc)] % (1 << bits)
                          for place, bits in enumerate((width, SCALE_SHIFT_WIDTH)))

    whole = (acc << _GUARD_BITS) >> (shift + exponent) % (config.max_shift + 1)
    operand = saturate(whole, width + _GUARD_BITS)
    rounded = round_shift(operand * ((1 << width) + fraction), width + _GUARD_BITS + rounding)
    is_quantised = rounding > 0
    zero = np.where(is_quantised, quantiser.zero << width - 1 - _ZERO_WIDTH, 0)
    shifted = (rounded << rounding) + zero
    if is_positive:
        shifted = relu(shifted)
    limit = np.where(is_quantised, 1 << width - 2, 1 << width - 1)
    kept = np.clip(shifted, -limit, limit - 1)
    # An operand that saturates makes a result do so, unless it is exactly the lowest one.
    exceeds = (kept != shifted) | ((operand != whole) & (shifted != 0))
    # A word wraps only if all bits but the sign are rounded away.
    return wrap((kept >> rounding << rounding) - zero, width), exceeds & ~is_quantised
