"""SkewedSram against a list of rows, each part in its cycle."""

import random

import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal

from eie_hdl.lib.skewed_sram import SkewedSram, make_skewed_sram
from eie_hdl.lib.sram import Sram
from support.simulation import Unwatched


@pytest.mark.parametrize("widths", [(5,), (3, 4), (2, 1, 5)])
def test_each_part_is_a_cycle_later_than_the_one_below(simulate, widths):
    """Reads without enable repeat the row; what is written at the same time is read."""
    depth, n_cycles, rng = 5, 300, random.Random(len(widths))
    init = [rng.getrandbits(sum(widths)) for _ in range(depth)]
    dut = SkewedSram(widths=widths, depth=depth, init=init)
    lows = [sum(widths[:n]) for n in range(len(widths))]

    def cut(number, n):
        return number >> lows[n] & (1 << widths[n]) - 1

    rows = [[cut(row, n) for row in init] for n in range(len(widths))]
    reads = [(rng.randrange(depth), rng.random() < 0.7) for _ in range(n_cycles)]
    writes = [(rng.randrange(depth), rng.random() < 0.5, rng.getrandbits(sum(widths)))
              for _ in range(n_cycles)]
    read_rows = [0] * len(widths)

    async def bench(ctx):
        for cycle in range(n_cycles):
            ctx.set(dut.r.addr, reads[cycle][0])
            ctx.set(dut.r.en, reads[cycle][1])
            ctx.set(dut.w.addr, writes[cycle][0])
            ctx.set(dut.w.en, writes[cycle][1])
            ctx.set(dut.w.data, sum(cut(writes[cycle - n][2], n) << low
                                    for n, low in enumerate(lows)))
            await ctx.tick()
            for n, contents in enumerate(rows[:cycle + 1]):
                row, reads_it = reads[cycle - n]
                written, writes_it, data = writes[cycle - n]
                if writes_it:
                    contents[written] = cut(data, n)
                if reads_it:
                    read_rows[n] = row
                assert cut(ctx.get(dut.r.data), n) == contents[read_rows[n]]

    simulate(Unwatched(dut), bench)


def test_a_reset_ends_a_write_before_its_later_parts(simulate):
    reset, dut = Signal(), SkewedSram(widths=(3, 4), depth=5)

    async def bench(ctx):
        ctx.set(dut.r.addr, 2)
        ctx.set(dut.r.en, 1)
        ctx.set(dut.w.addr, 2)
        ctx.set(dut.w.data, 0b1111_111)
        ctx.set(dut.w.en, 1)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(dut.w.en, 0)
        ctx.set(reset, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.r.data) == 0b0000_111

    simulate(Unwatched(ResetInserter(reset)(dut)), bench)


def test_a_row_of_one_part_is_a_plain_register_file():
    one, two = (make_skewed_sram(widths=widths, depth=4) for widths in [(8,), (4, 4)])
    assert (type(one), one.width, one.depth, one.block) == (Sram, 8, 4, False)
    assert type(two) is SkewedSram
    for dut in (one, two):
        Fragment.get(dut, platform=None)    # an unused component is a warning
