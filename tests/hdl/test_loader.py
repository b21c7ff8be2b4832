"""Loader, against packets taken apart in Python."""

import random

import pytest
from amaranth.hdl import Shape

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from eie_hdl.host.loader import Loader
from eie_sim.testing import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    # Words of one beat only; and words of up to four.
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, act_width=4,
                           codebook_width=4, acc_width=8, acc_depth=4, ptr_depth=16,
                           act_depth=16, n_codebooks=1, program_depth=2),
    "widest": EIEConfig(n_pe=256, v_width=8, z_width=8, entries_per_word=16, act_width=24),
}
UNKNOWN = [value for value in range(8) if value not in {memory.value for memory in Memory}]


def width_of(layouts, memory):
    return Shape.cast(layouts.memories[memory].shape).width


def header(layouts, memory, **fields):
    """A beat; what is above the header in it is of no meaning."""
    return layouts.load_header.const({"memory": memory, **fields}).as_value().value \
        | 1 << layouts.load_header.size


def random_packet(rng, config, memory):
    """Beats of a packet, and the words (memory, address, pe or None for all, data) in it."""
    layouts = Layouts(config)
    count = rng.choice([0, 1, 2, rng.randint(1, 6)])
    image = layouts.memories[memory]
    address = rng.randint(0, max(0, image.depth - count))
    count = min(count, image.depth)
    everyone, pe = rng.randrange(2), rng.randrange(config.n_pe)
    beats = [header(layouts, memory, address=address, count=count, pe=pe, everyone=everyone)]
    words = []
    for n in range(count):
        parts = [rng.randrange(1 << BEAT_WIDTH) for _ in range(n_beats(image.shape))]
        word = sum(part << n * BEAT_WIDTH for n, part in enumerate(parts))
        beats += parts
        words.append((memory, address + n, None if everyone else pe,
                      word & (1 << width_of(layouts, memory)) - 1))
    return beats, words


def unknown_packet(rng, layouts):
    """Without a memory there is no width: a word is one beat."""
    count = rng.randrange(4)
    beats = [header(layouts, 0, count=count) & ~(7 << memory_offset(layouts))
             | rng.choice(UNKNOWN) << memory_offset(layouts)]
    return beats + [rng.randrange(1 << BEAT_WIDTH) for _ in range(count)]


def memory_offset(layouts):
    return layouts.load_header["memory"].offset


def seen(layouts, word):
    data = word.data & (1 << width_of(layouts, word.memory)) - 1
    return word.memory, word.address, None if word.everyone else word.pe, data


@pytest.mark.parametrize("name", CONFIGS)
def test_words_of_all_memories_follow_the_model(simulate, stalls, name):
    """Packets follow one another at once; some are empty, some for no memory."""
    config = CONFIGS[name]
    layouts = Layouts(config)
    rng = random.Random(13)
    beats, expected = [], []
    for memory in [*Memory, *rng.choices(list(Memory), k=25)]:
        packet, words = random_packet(rng, config, memory)
        beats += packet
        expected += words
        if rng.random() < 0.3:
            beats += unknown_packet(rng, layouts)
    dut = Loader(layouts)

    async def producer(ctx):
        await put(ctx, dut.i, beats, stall=stalls.input, rng=rng)
        assert ctx.get(dut.idle)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output)
        assert [seen(layouts, word) for word in received] == expected
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)


def test_a_beat_is_taken_in_every_cycle_and_the_last_one_completes_its_word(simulate):
    config = CONFIGS["widest"]
    layouts = Layouts(config)
    assert n_beats(layouts.memories[Memory.SPMAT].shape) == 4
    dut = Loader(layouts)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for packet in range(2):
            ctx.set(dut.i.payload, header(layouts, Memory.SPMAT, address=30, count=3))
            assert ctx.get(dut.i.ready) and ctx.get(dut.idle) and not ctx.get(dut.o.valid)
            await ctx.tick()
            for n in range(12):
                ctx.set(dut.i.payload, packet + n)
                assert ctx.get(dut.i.ready) and not ctx.get(dut.idle)
                assert ctx.get(dut.o.valid) == (n % 4 == 3)
                if n % 4 == 3:
                    assert seen(layouts, ctx.get(dut.o.payload)) == (
                        Memory.SPMAT, 30 + n // 4, 0,
                        sum(packet + n - 3 + beat << 64 * beat for beat in range(4)))
                await ctx.tick()
        assert ctx.get(dut.idle)

    simulate(dut, bench)


def test_only_the_last_beat_of_a_word_waits_for_it_to_be_taken(simulate):
    layouts = Layouts(EIEConfig())
    assert n_beats(layouts.memories[Memory.SPMAT].shape) == 2
    dut = Loader(layouts)

    async def bench(ctx):
        await put(ctx, dut.i, [header(layouts, Memory.SPMAT, count=1), 1])
        ctx.set(dut.i.payload, 2)
        for valid in (0, 1, 1):
            ctx.set(dut.i.valid, valid)
            assert ctx.get(dut.o.valid) == valid and not ctx.get(dut.i.ready)
            await ctx.tick()
        assert not ctx.get(dut.idle)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        assert ctx.get(dut.idle)

    simulate(dut, bench)


def test_empty_packet_leaves_the_loader_idle(simulate):
    layouts = Layouts(PRESETS["tiny"])
    dut = Loader(layouts)

    async def bench(ctx):
        for memory in Memory:
            await put(ctx, dut.i, [header(layouts, memory, count=0)])
            assert ctx.get(dut.idle) and not ctx.get(dut.o.valid)

    simulate(dut, bench)


@pytest.mark.parametrize("memory", UNKNOWN)
def test_packet_for_an_unknown_memory_is_taken_though_nobody_takes_its_words(simulate, memory):
    layouts = Layouts(PRESETS["tiny"])
    dut = Loader(layouts)
    beat = header(layouts, 0, count=5, everyone=1) | memory << memory_offset(layouts)

    async def bench(ctx):
        await put(ctx, dut.i, [beat])
        for n in range(5):
            assert not ctx.get(dut.idle)
            await put(ctx, dut.i, [n])
        assert ctx.get(dut.idle)

    async def observer(ctx):
        async for *_, valid in ctx.tick().sample(dut.o.valid):
            assert not valid

    simulate(dut, bench, background=[observer], deadline=20)


@pytest.mark.parametrize("memory", Memory)
@pytest.mark.parametrize("fields, n_placed", [
    ({"pe": PRESETS["tiny"].n_pe}, 0),
    ({"pe": 255}, 0),
    ({"pe": 255, "everyone": 1}, 3),
    ({"address": -1}, 1),
    ({"address": 0}, 0),
], ids=["pe-one-too-high", "pe-far-too-high", "everyone", "last-address", "behind-the-last"])
def test_words_without_a_place_are_taken_and_ignored(simulate, memory, fields, n_placed):
    """Packets of three words; addresses count from the end of the memory."""
    layouts = Layouts(PRESETS["tiny"])
    dut = Loader(layouts)
    image = layouts.memories[memory]
    place = {"address": 0, "pe": 0, **fields}
    if "address" in fields:
        place["address"] = image.depth + fields["address"]
    beats = [0] * (3 * n_beats(image.shape))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [header(layouts, memory, count=3, **place), *beats])
        assert ctx.get(dut.idle)

    n_seen = 0

    async def observer(ctx):
        nonlocal n_seen
        async for *_, valid in ctx.tick().sample(dut.o.valid):
            n_seen += valid

    simulate(dut, bench, background=[observer], deadline=40)
    assert n_seen == n_placed
