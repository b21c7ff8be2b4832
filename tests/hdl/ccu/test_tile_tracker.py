"""TileTracker, against a list of the tiles in flight."""

import random

import pytest

from eie_hdl.ccu.tile_tracker import TileTracker
from eie_hdl.config import PRESETS


@pytest.mark.parametrize("seed", range(4))
def test_the_tiles_of_each_program_are_tracked(simulate, seed):
    dut, rng = TileTracker(PRESETS["tiny"]), random.Random(seed)
    n_tiles = PRESETS["tiny"].program_depth

    async def bench(ctx):
        for _ in range(4):
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            n_sent, done = 0, []
            while len(done) < n_tiles:
                sends = n_sent < n_tiles and rng.random() < 0.5
                writes = n_sent > len(done) and rng.random() < 0.4
                overflows = rng.random() < 0.1
                ctx.set(dut.sent, sends)
                ctx.set(dut.written.valid, writes)
                ctx.set(dut.written.payload, overflows)
                assert ctx.get(dut.written.ready)
                await ctx.tick()
                n_sent += sends
                done += [overflows] * writes
                assert ctx.get(dut.waiting) == (n_sent > len(done))
                assert ctx.get(dut.overflow) == any(done)
                if any(done):
                    assert ctx.get(dut.overflow_tile) == done.index(True)
            ctx.set(dut.sent, 0)
            ctx.set(dut.written.valid, 0)

    simulate(dut, bench)


def test_what_overflowed_is_known_until_the_next_program(simulate):
    dut = TileTracker(PRESETS["tiny"])

    async def bench(ctx):
        for overflows in (0, 1):
            ctx.set(dut.sent, 1)
            await ctx.tick()
            ctx.set(dut.sent, 0)
            ctx.set(dut.written.valid, 1)
            ctx.set(dut.written.payload, overflows)
            await ctx.tick()
            ctx.set(dut.written.valid, 0)
        await ctx.tick().repeat(3)
        assert (ctx.get(dut.overflow), ctx.get(dut.overflow_tile)) == (1, 1)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert not ctx.get(dut.overflow)

    simulate(dut, bench)
