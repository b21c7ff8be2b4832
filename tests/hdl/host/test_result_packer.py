"""ResultPacker."""

import dataclasses
import itertools
import random

import numpy as np
import pytest

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import BEAT_BYTES, result_lane_width
from eie_hdl.host.result_packer import ResultPacker
from eie_hdl.numeric import limits
from support.short import each_once
from support.simulation import STALLS, get, nothing, put

#: NumPy type of an element, by width of an activation.
TYPES = {4: "<i1", 8: "<i1", 9: "<i2", 16: "<i2", 17: "<i4", 24: "<i4"}
END = {"end": 1}


def make(act_width):
    return dataclasses.replace(EIEConfig(), act_width=act_width)


def random_values(rng, config, count):
    low, high = limits(config.act_width)
    return [rng.choice([low, -1, 0, high, rng.randint(low, high)]) for _ in range(count)]


def word(rng, config, values):
    """Word of these lanes; the others are don't-care."""
    others = random_values(rng, config, ACTS_PER_WORD - len(values))
    return {"word": values + others, "last_lane": len(values) - 1}


def tokens(rng, config, vector):
    """Words of a vector, each the values of its lanes, and the end."""
    return [*(word(rng, config, values) for values in vector), END]


def packet(vector, dtype):
    """Return the beats (data, keep, last) of a vector, from its memory in NumPy."""
    image = np.array(list(itertools.chain(*vector)), dtype).tobytes()
    chunks = [image[start:start + BEAT_BYTES] for start in range(0, len(image), BEAT_BYTES)]
    return [(int.from_bytes(chunk, "little"), (1 << len(chunk)) - 1, n == len(chunks) - 1)
            for n, chunk in enumerate(chunks)]


def seen(beat):
    return beat.data, beat.keep, bool(beat.last)


@pytest.mark.parametrize("act_width, dtype", TYPES.items())
def test_lanes_have_the_width_of_the_narrowest_type_that_holds_an_activation(act_width, dtype):
    config = EIEConfig(act_width=act_width)
    assert result_lane_width(config) == 8 * np.dtype(dtype).itemsize


@pytest.mark.parametrize("act_width, stalls", each_once(list(TYPES), STALLS))
def test_a_packet_is_the_vector_as_an_array_in_memory(simulate, act_width, stalls):
    """For every sequence of one to three words of one to four lanes, and for long vectors."""
    config = make(act_width)
    rng = random.Random(37)
    lanes = range(1, ACTS_PER_WORD + 1)
    shapes = [shape for n_words in (1, 2, 3) for shape in itertools.product(lanes, repeat=n_words)]
    shapes += [rng.choices(lanes, k=rng.randint(4, 20)) for _ in range(20)]
    rng.shuffle(shapes)
    vectors = [[random_values(rng, config, n) for n in shape] for shape in shapes]
    expected = [beat for vector in vectors for beat in packet(vector, TYPES[act_width])]
    dut = ResultPacker(config)

    async def producer(ctx):
        for vector in vectors:
            await put(ctx, dut.i, tokens(rng, config, vector), stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output)
        assert list(map(seen, received)) == expected
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("act_width, cycles", [(8, 1), (16, 1), (24, 2)])
def test_a_word_is_accepted_in_every_cycle_that_a_beat_has_place_for_it(simulate, act_width,
                                                                        cycles):
    """For every alignment of words of four lanes to beats; a word of 32-bit lanes fills two."""
    config = make(act_width)
    rng = random.Random(41)
    dut = ResultPacker(config)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for first in range(1, ACTS_PER_WORD + 1):
            elapsed = []
            for item in tokens(rng, config, [[1] * first, *[[2] * 4] * 9])[:-1]:
                ctx.set(dut.i.payload, item)
                elapsed.append(1)
                while not ctx.get(dut.i.ready):
                    await ctx.tick()
                    elapsed[-1] += 1
                await ctx.tick()
            # A beat may still have place for an element when the first long word comes.
            assert cycles * 8 - 1 <= sum(elapsed[2:]) <= cycles * 8
            assert max(elapsed) <= cycles
            ctx.set(dut.i.payload, END)
            while not ctx.get(dut.i.ready):
                await ctx.tick()
            await ctx.tick()

    simulate(dut, bench)


def test_beat_comes_with_what_follows_it_or_a_cycle_after_the_word_that_overfills_it(simulate):
    config = make(16)    # four lanes
    rng = random.Random(43)
    dut = ResultPacker(config)

    async def give(ctx, item, beat=None):
        """Give an item, with which a beat comes, or none."""
        ctx.set(dut.i.payload, item)
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.i.ready) and ctx.get(dut.o.valid) == (beat is not None)
        assert beat is None or seen(ctx.get(dut.o.payload)) == beat
        await ctx.tick()
        ctx.set(dut.i.valid, 0)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for follower in (word(rng, config, [9]), END):
            await give(ctx, word(rng, config, [1, 2, 3, 4]))
            for _ in range(5):    # it may be the last one
                assert not ctx.get(dut.o.valid)
                await ctx.tick()
            [(data, keep, _)] = packet([[1, 2, 3, 4]], "<i2")
            await give(ctx, follower, (data, keep, follower is END))
            assert not ctx.get(dut.o.valid)
            if follower is not END:
                await give(ctx, END, (9, 0b11, True))
        await give(ctx, word(rng, config, [1, 2, 3]))
        await give(ctx, word(rng, config, [4, 5]))
        assert ctx.get(dut.o.valid) and not ctx.get(dut.o.p.last)
        await ctx.tick()
        assert not ctx.get(dut.o.valid)
        await give(ctx, END, (5, 0b11, True))

    simulate(dut, bench)


def test_words_are_gathered_until_a_beat_is_full_that_waits(simulate):
    config = make(16)    # four lanes
    rng = random.Random(47)
    dut = ResultPacker(config)
    vector = [[1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    beats = packet(vector, "<i2")

    async def bench(ctx):
        *given, blocked, end = tokens(rng, config, vector)
        await put(ctx, dut.i, given)
        ctx.set(dut.i.payload, blocked)
        ctx.set(dut.i.valid, 1)
        for _ in range(3):
            assert ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)
            assert seen(ctx.get(dut.o.payload)) == beats[0]
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        ctx.set(dut.i.payload, end)
        assert seen(ctx.get(dut.o.payload)) == beats[1]
        assert not ctx.get(dut.i.ready)    # two beats precede the end
        await ctx.tick()
        assert seen(ctx.get(dut.o.payload)) == beats[2] and ctx.get(dut.i.ready)

    simulate(dut, bench)
