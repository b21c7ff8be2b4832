# amaranth: UnusedElaboratable=no
"""Leading-nonzero detection within a word."""

import re

import pytest

from eie_hdl.lib.leading_nonzero import LeadingNonZero


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
def test_first_set_bit_of_every_mask_is_found(simulate, width):
    dut = LeadingNonZero(width)

    async def bench(ctx):
        for mask in range(2 ** width):
            ctx.set(dut.mask, mask)
            await ctx.delay(1e-9)
            assert ctx.get(dut.found) == (mask != 0)
            assert ctx.get(dut.index) == next((n for n in range(width) if mask >> n & 1), 0)

    simulate(dut, bench)


@pytest.mark.parametrize("width", [0, -1, 4.0, "4", None])
def test_invalid_mask_width_is_rejected(width):
    message = f"Mask width must be a positive integer, not {width!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        LeadingNonZero(width)
