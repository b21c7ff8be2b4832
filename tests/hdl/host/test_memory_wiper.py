"""MemoryWiper."""

import dataclasses

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts
from eie_hdl.host.memory_wiper import MemoryWiper
from eie_hdl.lib.registered_reset import RESET_CYCLES
from support.simulation import get, nothing

TINY = PRESETS["tiny"]
CONFIGS = {
    "tiny": TINY,
    "odd depths": dataclasses.replace(TINY, spmat_depth=37, ptr_depth=11, act_depth=2,
                                      program_depth=3),
}


def every_word(config):
    return [(memory, address) for memory, image in Layouts.of(config).memories.items()
            for address in range(image.depth)]


def pulse(dut):
    async def bench(ctx):
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    return bench


@pytest.mark.parametrize("name", CONFIGS)
def test_every_word_of_every_memory_is_found(simulate, stalls, name):
    """Wipe twice; a strobe in between is ignored."""
    config = CONFIGS[name]
    dut = MemoryWiper(config)
    expected = every_word(config)

    async def bench(ctx):
        assert not ctx.get(dut.busy)
        await nothing(ctx, dut.o)
        for _ in range(2):
            await pulse(dut)(ctx)
            received = await get(ctx, dut.o, 5, stall=stalls.output)
            await pulse(dut)(ctx)
            received += await get(ctx, dut.o, len(expected) - 5, stall=stalls.output)
            assert [(word.memory, word.address) for word in received] == expected
            assert not ctx.get(dut.busy)
            await nothing(ctx, dut.o)

    simulate(dut, bench)


def test_a_word_is_offered_in_every_cycle_after_the_reset_of_the_core(simulate):
    dut = MemoryWiper(TINY)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await pulse(dut)(ctx)
        for _ in range(RESET_CYCLES + 1):    # a cycle later in the PEs
            assert not ctx.get(dut.o.valid) and ctx.get(dut.busy)
            await ctx.tick()
        for _ in every_word(TINY):
            assert ctx.get(dut.o.valid) and ctx.get(dut.busy)
            await ctx.tick()
        assert not ctx.get(dut.o.valid) and not ctx.get(dut.busy)

    simulate(dut, bench)
