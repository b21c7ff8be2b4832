"""VectorSender."""

import random

import pytest

from eie_hdl.ccu.vector_sender import VectorSender
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "smallest": EIEConfig(n_pe=1, act_depth=2),
}


def random_vector(rng, config, length):
    low = -(1 << config.act_width - 1)
    return [{"column": rng.randrange(config.n_pe * 4 * config.act_depth),
             "value": rng.randint(low, -low - 1), "dense": 1} for _ in range(length)]


def results(vector):
    return [(element["column"], element["value"], n == len(vector) - 1)
            for n, element in enumerate(vector)]


END = {"dense": 1, "end": 1}


@pytest.mark.parametrize("name", CONFIGS)
def test_elements_pass_in_order_and_the_last_of_each_vector_is_marked(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(17)
    vectors = [random_vector(rng, config, length) for length in [1, 2, 30, 1, 1, 7]]
    expected = [result for vector in vectors for result in results(vector)]
    dut = VectorSender(Layouts.of(config))

    async def producer(ctx):
        for vector in vectors:
            await put(ctx, dut.i, [*vector, END], stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output)
        assert [(got.column, got.value, bool(got.last)) for got in received] == expected
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)


def test_an_element_passes_in_every_cycle_one_cycle_later(simulate):
    """It goes on once the next one is there; vectors are no further apart than by the end."""
    config = PRESETS["tiny"]
    vector = random_vector(random.Random(1), config, 6)
    dut = VectorSender(Layouts.of(config))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for _ in range(2):
            for n, element in enumerate([*vector, END]):
                ctx.set(dut.i.payload, element)
                assert ctx.get(dut.i.ready)
                assert ctx.get(dut.o.valid) == (n > 0)
                if n > 0:
                    got = ctx.get(dut.o.payload)
                    assert (got.column, got.value, bool(got.last)) == results(vector)[n - 1]
                await ctx.tick()

    simulate(dut, bench)


def test_element_waits_until_it_is_known_whether_it_is_the_last(simulate):
    config = PRESETS["tiny"]
    dut = VectorSender(Layouts.of(config))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, random_vector(random.Random(1), config, 1))
        for _ in range(4):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        ctx.set(dut.i.payload, END)
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.p.last)

    simulate(dut, bench)


def test_end_is_taken_with_the_last_element(simulate):
    config = PRESETS["tiny"]
    dut = VectorSender(Layouts.of(config))

    async def bench(ctx):
        await put(ctx, dut.i, random_vector(random.Random(1), config, 1))
        ctx.set(dut.i.payload, END)
        ctx.set(dut.i.valid, 1)
        for ready in (0, 0, 1):
            ctx.set(dut.o.ready, ready)
            assert ctx.get(dut.o.valid) and ctx.get(dut.i.ready) == ready
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert not ctx.get(dut.o.valid) and ctx.get(dut.i.ready)

    simulate(dut, bench)
