"""Readback: requests, and responses of a value and an end."""

import random

import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory
from eie_hdl.numeric import wrap
from eie_hdl.pe.readback import Readback
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(readback=True),
    # One PE, and pointers and weights wider than a row of entries.
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, acc_depth=4,
                           spmat_depth=1 << 20, act_width=4, n_codebooks=1, readback=True),
    "widest": EIEConfig(n_pe=256, v_width=8, z_width=8, entries_per_word=16, act_width=24,
                        codebook_width=24, acc_width=60, readback=True),
}
MEMORIES = (Memory.SPMAT, Memory.PTR, Memory.CODEBOOK)


def word_name(memory, address):
    if memory is Memory.PTR:
        return "ptr_odd" if address % 2 else "ptr_even"
    return memory.name.lower()


def serve(dut, words):
    """Background bench of the memories: words one cycle after a request, garbage otherwise."""
    async def bench(ctx):
        rng = random.Random(103)
        while True:
            *_, valid, request = await ctx.tick().sample(dut.i.valid, dut.i.payload)
            ctx.set(dut.words, {
                name: words[name][request.address % len(words[name])] if valid
                else rng.getrandbits(Shape.cast(shape).width)
                for name, shape in dut.words.shape().members.items()})

    return bench


@pytest.mark.parametrize("name", CONFIGS)
def test_elements_make_up_the_words(simulate, stalls, name):
    """All elements of some words of each memory; the response for other PEs is an end."""
    config = CONFIGS[name]
    layouts = Layouts.of(config)
    rng = random.Random(107)
    dut = Readback(config)
    index = config.n_pe // 2
    words = {name: [rng.getrandbits(Shape.cast(shape).width) for _ in range(6)]
             for name, shape in dut.words.shape().members.items()}

    async def bench(ctx):
        ctx.set(dut.index, index)
        for _ in range(12):
            memory, address = rng.choice(MEMORIES), rng.randrange(6)
            pe = rng.choice([index, rng.randrange(config.n_pe)])
            width = Shape.cast(layouts.memories[memory].shape).width
            for piece in range(-(-width // config.act_width)):
                await put(ctx, dut.i, [{"memory": memory, "address": address, "pe": pe,
                                        "data": piece, "read": 1}], stall=stalls.input, rng=rng)
                if pe == index:
                    [found] = await get(ctx, dut.o, 1, stall=stalls.output, rng=rng)
                    assert (found.end, found.last_lane) == (0, 0)
                    assert found.word[0] == wrap(words[word_name(memory, address)][address]
                                                 >> piece * config.act_width, config.act_width)
                [found] = await get(ctx, dut.o, 1, stall=stalls.output, rng=rng)
                assert found.end
            await nothing(ctx, dut.o, cycles=3)

    simulate(dut, bench, background=[serve(dut, words)])


def test_latency_is_two_cycles(simulate, transfers):
    dut = Readback(PRESETS["tiny"])
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [{"memory": Memory.PTR}])
        await ctx.tick().repeat(5)

    simulate(dut, bench, background=[note])
    assert [(cycle, found.end) for cycle, found in log] == [(2, 0), (3, 1)]
