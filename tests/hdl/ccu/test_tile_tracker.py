"""TileTracker, against a list of the tiles in flight."""

import collections
import dataclasses
import random

import pytest

from eie_hdl.ccu.tile_tracker import TileTracker
from eie_hdl.config import PRESETS
from eie_hdl.format import N_BUFFERS
from support.simulation import put

CONFIG = PRESETS["tiny"]


def check(ctx, dut, order, tokens):
    """Compare the outputs with the programs of unwritten tiles, and the tokens of each program."""
    assert ctx.get(dut.n_unwritten) == len(order)
    assert ctx.get(dut.started.ready) == (len(order) < CONFIG.max_tiles)
    for program in range(N_BUFFERS):
        assert ctx.get(dut.unwritten) >> program & 1 == (program in order)
        assert ctx.get(dut.overflow) >> program & 1 == any(tokens[program])
        if any(tokens[program]):
            assert ctx.get(dut.overflow_tiles[program]) == tokens[program].index(True)


@pytest.mark.parametrize("seed", range(4))
def test_the_tiles_of_each_program_are_tracked(simulate, seed):
    """A program is cleared when all its tiles are written, or after its last possible tile."""
    dut, rng = TileTracker(CONFIG), random.Random(seed)
    order = collections.deque()
    n_started, tokens = [0] * N_BUFFERS, [[] for _ in range(N_BUFFERS)]
    n_full = 0

    async def bench(ctx):
        nonlocal n_full
        for cycle in range(800):
            program, overflows = rng.randrange(N_BUFFERS), rng.random() < 0.1
            fills = cycle // 50 % 2    # up to the limit, in turn
            starts = n_started[program] < CONFIG.program_depth and rng.random() < 0.3 + 0.6 * fills
            writes = bool(order) and rng.random() < 0.5 - 0.3 * fills
            cleared = [not starts and number not in order and rng.random() < 0.2
                       for number in range(N_BUFFERS)]
            ctx.set(dut.clear, sum(clear << number for number, clear in enumerate(cleared)))
            ctx.set(dut.started.payload, program)
            ctx.set(dut.started.valid, starts)
            ctx.set(dut.written.payload, overflows)
            ctx.set(dut.written.valid, writes)
            assert ctx.get(dut.written.ready)
            starts = starts and len(order) < CONFIG.max_tiles
            n_full += len(order) == CONFIG.max_tiles
            await ctx.tick()
            if writes:
                tokens[order.popleft()].append(overflows)
            if starts:
                order.append(program)
                n_started[program] += 1
            for number, clear in enumerate(cleared):
                if clear:
                    n_started[number], tokens[number] = 0, []
            check(ctx, dut, order, tokens)

    simulate(dut, bench)
    assert n_full > 20


def test_an_overflow_is_known_until_the_next_program_of_its_buffer(simulate):
    dut = TileTracker(CONFIG)

    async def bench(ctx):
        await put(ctx, dut.started, [1, 0, 1])
        await put(ctx, dut.written, [0, 0, 1])
        for cleared, overflow in ((0, 0b10), (0b01, 0b10), (0b10, 0)):
            ctx.set(dut.clear, cleared)
            await ctx.tick().repeat(3)
            assert ctx.get(dut.overflow) == overflow
            if overflow:
                assert ctx.get(dut.overflow_tiles[1]) == 1

    simulate(dut, bench)


def test_the_tiles_of_a_loop_have_one_number(simulate):
    """Two programs: one of a tile and loops of 3 and 2 tiles, one of a loop of 2 tiles."""
    dut = TileTracker(dataclasses.replace(CONFIG, loops=True))
    tiles = [(0, 1, 0), (0, 0, 0), (1, 0, 0), (0, 0, 0), (0, 1, 0), (1, 1, 1), (0, 0, 0),
             (0, 1, 1)]

    async def bench(ctx):
        for program, closes, overflows in tiles:
            ctx.set(dut.closes, closes)
            await put(ctx, dut.started, [program])
            await put(ctx, dut.written, [overflows])
        await ctx.tick()
        assert ctx.get(dut.overflow) == 0b11
        assert [ctx.get(tile) for tile in dut.overflow_tiles] == [2, 0]

    simulate(dut, bench)
