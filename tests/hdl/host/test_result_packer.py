"""ResultPacker."""

import dataclasses
import random

import numpy as np
import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import result_lane_width
from eie_hdl.host.result_packer import ResultPacker
from support.simulation import get, nothing, put

#: NumPy type of an element, by width of an activation.
TYPES = {4: "<i1", 8: "<i1", 9: "<i2", 16: "<i2", 17: "<i4", 24: "<i4"}


def make(act_width):
    return dataclasses.replace(EIEConfig(), act_width=act_width)


def random_vector(rng, config, length):
    high = (1 << config.act_width - 1) - 1
    return [rng.choice([-high - 1, -1, 0, high, rng.randint(-high - 1, high)])
            for _ in range(length)]


def elements(rng, vector):
    """Elements of a vector; column numbers are don't-care."""
    return [{"column": rng.getrandbits(8), "value": value, "last": n == len(vector) - 1}
            for n, value in enumerate(vector)]


def packet(vector, dtype):
    """Return the beats (data, keep, last) of a vector, from its memory in NumPy."""
    image = np.array(vector, dtype).tobytes()
    chunks = [image[start:start + 8] for start in range(0, len(image), 8)]
    return [(int.from_bytes(chunk, "little"), (1 << len(chunk)) - 1, chunk is chunks[-1])
            for chunk in chunks]


def seen(beat):
    return beat.data, beat.keep, bool(beat.last)


@pytest.mark.parametrize("act_width, dtype", TYPES.items())
def test_lanes_have_the_width_of_the_narrowest_type_that_holds_an_activation(act_width, dtype):
    config = EIEConfig(act_width=act_width)
    assert result_lane_width(config) == 8 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("act_width, dtype", TYPES.items())
def test_a_packet_is_the_vector_as_an_array_in_memory(simulate, stalls, act_width, dtype):
    config = make(act_width)
    rng = random.Random(37)
    vectors = [random_vector(rng, config, length)
               for length in [*range(1, 18), *(rng.randint(1, 40) for _ in range(10))]]
    expected = [beat for vector in vectors for beat in packet(vector, dtype)]
    dut = ResultPacker(config)

    async def producer(ctx):
        for vector in vectors:
            await put(ctx, dut.i, elements(rng, vector), stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output)
        assert list(map(seen, received)) == expected
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)


def test_an_element_is_taken_in_every_cycle_and_the_beat_comes_a_cycle_after_its_last(simulate):
    config = PRESETS["tiny"]    # eight lanes
    vector = random_vector(random.Random(1), config, 20)
    beats = packet(vector, "<i1")
    dut = ResultPacker(config)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for _ in range(2):
            for n, element in enumerate(elements(random.Random(2), vector)):
                ctx.set(dut.i.payload, element)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
                assert ctx.get(dut.o.valid) == (n in (7, 15, 19))
                if ctx.get(dut.o.valid):
                    assert seen(ctx.get(dut.o.payload)) == beats[n // 8]

    simulate(dut, bench)


def test_elements_are_gathered_while_a_beat_waits_but_the_next_beat_must_wait(simulate):
    config = make(16)    # four lanes
    vector = [1, 2, 3, 4, 5, 6, 7, 8]
    dut = ResultPacker(config)

    async def bench(ctx):
        given = elements(random.Random(2), vector)
        await put(ctx, dut.i, given[:7])
        ctx.set(dut.i.payload, given[7])
        ctx.set(dut.i.valid, 1)
        for _ in range(3):
            assert ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)
            assert seen(ctx.get(dut.o.payload)) == packet(vector[:4], "<i2")[0][:2] + (False,)
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        assert seen(ctx.get(dut.o.payload)) == packet(vector, "<i2")[1]

    simulate(dut, bench)
