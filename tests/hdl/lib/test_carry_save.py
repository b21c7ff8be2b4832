"""CarrySaveMultiplier, against products."""

import itertools
import random

import pytest

from eie_hdl.lib.carry_save import CarrySaveMultiplier
from eie_hdl.numeric import limits
from support.simulation import Unwatched


def factors(a_width, b_width):
    """All pairs of factors, or many of wide ones, mostly near the ends of the range and zero."""
    if a_width + b_width <= 10:
        return list(itertools.product(*(range(low, high + 1) for low, high in
                                        (limits(a_width), limits(b_width)))))
    rng = random.Random(a_width)

    def number(width):
        low, high = limits(width)
        return rng.choice([low, low + 1, -1, 0, 1, high, *(rng.randint(low, high),) * 3])

    return [(number(a_width), number(b_width)) for _ in range(500)]


@pytest.mark.parametrize("a_width, b_width", [
    (4, 4), (4, 5), (5, 4), (5, 5), (6, 4), (4, 24), (24, 4), (16, 16), (16, 7), (24, 24)])
def test_numbers_and_offset_add_up_to_the_product(simulate, a_width, b_width):
    """Not modulo a power of two, so that the sum can have any number of bits."""
    dut = CarrySaveMultiplier(a_width, b_width)

    async def bench(ctx):
        for a, b in factors(a_width, b_width):
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            await ctx.tick()
            assert ctx.get(dut.o[0]) + ctx.get(dut.o[1]) + dut.offset == a * b, (a, b)

    simulate(Unwatched(dut), bench)
