"""SegmentWalk, against the loops of docs/architecture.md on numbers of columns."""

import random
from dataclasses import replace

import pytest

from eie_hdl.ccu.segment_walk import SegmentWalk
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import last_element
from support.segment_loops import random_fields, walk
from support.simulation import Unwatched, get, nothing

CONFIGS = {
    "tiny": replace(PRESETS["tiny"], loops=True),
    "default": EIEConfig(loops=True),
    "one PE, no power of two": replace(PRESETS["tiny"], n_pe=1, act_depth=21, loops=True),
    "64 PEs": EIEConfig(n_pe=64, act_depth=8192, ptr_depth=8192, loops=True),
    "tiny, local": replace(PRESETS["tiny"], act_depth=256, loops=True, local=True),
    "one PE, local": replace(PRESETS["tiny"], n_pe=1, act_depth=256, loops=True, local=True),
    "64 PEs, local": EIEConfig(n_pe=64, act_depth=8192, ptr_depth=8192, loops=True, local=True),
}


def place(config, segment):
    """First and last column of a segment, in all PEs."""
    first = (segment.source * 4 + segment.first_lane) * config.n_pe + segment.first_pe
    last_row = segment.source + segment.last_word
    return first, (last_row * 4 + segment.last_lane) * config.n_pe + segment.last_pe


async def check(ctx, dut, config, fields, stall, rng):
    """Walk the descriptor and compare each segment."""
    ctx.set(dut.descriptor, fields)
    ctx.set(dut.source, fields["start"]["source"])
    await ctx.tick().repeat(2)    # sums of the descriptor are registers
    ctx.set(dut.begin, 1)
    await ctx.tick()
    ctx.set(dut.begin, 0)
    is_first = opens = True
    mask = (1 << len(dut.o.p.origin)) - 1
    for first, last, origin, is_last, closes in walk(config, fields):
        segment, = await get(ctx, dut.o, 1, stall=stall, rng=rng)
        assert (segment.ends_tile, segment.closes, segment.begins_loop, segment.opens) == (
            is_last, closes, is_first, opens)
        if first is None:
            assert (segment.first_lane, segment.first_pe, segment.last_lane, segment.last_pe,
                    segment.last_word) == (1, 0, 0, config.n_pe - 1, 0)
            assert segment.source == fields["start"]["source"]
        else:
            assert place(config, segment) == (first, last)
            assert segment.origin == origin & mask
        is_first, opens = False, is_last
    await nothing(ctx, dut.o, cycles=6)


@pytest.mark.parametrize("name", CONFIGS)
def test_segments_are_those_of_the_loops(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(7 + len(name))
    dut = SegmentWalk(config)

    async def bench(ctx):
        for _ in range(12):
            await check(ctx, dut, config, random_fields(config, rng), stalls.output, rng)

    simulate(dut, bench)


def test_counters_wrap_far_outside_of_a_map(simulate):
    """The last pixels of a row are beyond the greatest number of a column."""
    config = CONFIGS["tiny"]    # columns have 10 bits
    fields = {"start": {"source": 0, **last_element(config, 12)}, "end": {},
              "loop": {"x": -4, "x_step": 700, "last_x": 4, "width": 12, "y": 0, "y_step": 900,
                       "length": 8, "columns": 8, "last_slot": 19}}
    dut = SegmentWalk(config)

    async def bench(ctx):
        await check(ctx, dut, config, {"ptr_base": 3, **fields}
                    | {"loop": {"segment_step": 0, **fields["loop"]},
                       "end": {"last_word": 0, "last_lane": 0}}, 0, random.Random(1))

    simulate(dut, bench)


def test_first_segment_comes_four_cycles_after_the_beginning_and_one_in_each_cycle_after_it(
        simulate, transfers):
    config = CONFIGS["default"]
    fields = {"start": {"source": 2, **last_element(config, 64)}, "end": {"last_lane": 1},
              "loop": {"x_step": 4, "last_x": 2, "width": 16, "y_step": 16, "segment_step": 16,
                       "length": 8, "columns": 16, "last_slot": 11}}
    dut = SegmentWalk(config)
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.descriptor, fields)
        ctx.set(dut.source, 2)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        await ctx.tick().repeat(30)

    simulate(dut, bench, background=[note])
    assert [cycle for cycle, _ in log] == list(range(4, 16))
    assert [segment.closes for _, segment in log] == [0] * 10 + [1] * 2


def test_another_beginning_drops_the_segments_that_are_left(simulate):
    config = CONFIGS["tiny"]
    rng = random.Random(4)
    first, second = (random_fields(config, rng) for _ in range(2))
    dut = SegmentWalk(config)

    async def bench(ctx):
        for n_cycles in range(1, 8):
            ctx.set(dut.descriptor, first)
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            await ctx.tick().repeat(n_cycles)
            await check(ctx, dut, config, second, 0, rng)

    simulate(Unwatched(dut), bench)
