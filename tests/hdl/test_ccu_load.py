"""Ccu loading memories, and keeping that apart from programs."""

import random

from eie_hdl.ccu import Ccu
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts, Memory, n_beats
from eie_sim.testing import nothing, put

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts(CONFIG)


def program_packet(descriptors):
    header = LAYOUTS.load_header.const({"memory": Memory.PROGRAM, "count": len(descriptors)})
    words = [LAYOUTS.descriptor.const(descriptor).as_value().value for descriptor in descriptors]
    return [header.as_value().value,
            *(word >> 64 * beat & (1 << 64) - 1 for word in words
              for beat in range(n_beats(LAYOUTS.descriptor)))]


def random_packets(rng, count):
    """Beats of packets of one word each, and the messages that they become."""
    loads, beats = [], []
    for _ in range(count):
        memory = rng.choice([memory for memory in Memory if memory is not Memory.PROGRAM])
        fields = {"address": rng.randrange(LAYOUTS.memories[memory].depth), "memory": memory,
                  "pe": rng.randrange(CONFIG.n_pe), "everyone": rng.randrange(2)}
        data = rng.getrandbits(5)    # fits all memories
        beats += [LAYOUTS.load_header.const({"count": 1, **fields}).as_value().value, data]
        loads.append(LAYOUTS.load.const({"data": data, **fields}))
    return loads, beats


def listener(dut):
    """Messages, with whether the machine was busy, and the bench that notes them."""
    messages = []

    async def listen(ctx):
        async for *_, given, message, busy in ctx.tick().sample(
                dut.link.message.valid, dut.link.message.payload, dut.host.busy):
            if given:
                messages.append((message.kind, message.body.load, busy))

    return messages, listen


async def finish(ctx, dut):
    """Be the PEs: find nothing, and write the tile."""
    await put(ctx, dut.link.scan, [{"end": 1}])
    await put(ctx, dut.link.written, [0])
    while ctx.get(dut.host.busy):
        await ctx.tick()


def test_words_are_broadcast_and_descriptors_kept(simulate, stalls):
    rng = random.Random(31)
    words = [rng.getrandbits(LAYOUTS.descriptor.size) for _ in range(CONFIG.program_depth)]
    loads, beats = random_packets(rng, 20)
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def bench(ctx):
        program = program_packet([LAYOUTS.descriptor.from_bits(word) for word in words])
        await put(ctx, dut.host.load, beats[:20] + program + beats[20:], stall=stalls.input,
                  rng=rng)
        await ctx.tick().repeat(2)
        assert messages == [(Kind.LOAD, load, 0) for load in loads]
        assert [ctx.get(dut.program.data[row]) for row in range(CONFIG.program_depth)] == words

    simulate(dut, bench, background=[listen])


def test_a_word_is_broadcast_in_every_cycle_one_behind_its_beat(simulate):
    dut = Ccu(CONFIG)

    async def bench(ctx):
        ctx.set(dut.link.full, 1)    # words do not go through the queues
        header = LAYOUTS.load_header.const({"memory": Memory.PTR, "count": 9, "address": 7})
        await put(ctx, dut.host.load, [header.as_value().value])
        ctx.set(dut.host.load.valid, 1)
        for n in range(9):
            assert ctx.get(dut.host.load.ready) and not ctx.get(dut.host.run.ready)
            ctx.set(dut.host.load.payload, n)
            await ctx.tick()
            assert ctx.get(dut.link.message.valid)
            load = ctx.get(dut.link.message.p.body.load)
            assert (load.address, load.data) == (7 + n, n)
        ctx.set(dut.host.load.valid, 0)
        await ctx.tick()
        assert not ctx.get(dut.link.message.valid) and ctx.get(dut.host.run.ready)

    simulate(dut, bench)


def test_words_wait_while_a_program_runs(simulate):
    loads, beats = random_packets(random.Random(37), 4)
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def loader(ctx):
        await put(ctx, dut.host.load, program_packet([{"final": 1}]))
        await put(ctx, dut.host.run, [0])
        await put(ctx, dut.host.load, beats)
        await ctx.tick().repeat(2)

    async def pes(ctx):
        await ctx.tick().until(dut.host.busy)
        await ctx.tick().repeat(20)
        await finish(ctx, dut)

    simulate(dut, loader, pes, background=[listen])
    assert [kind for kind, _, _ in messages[:2]] == [Kind.START, Kind.END]
    assert messages[2:] == [(Kind.LOAD, load, 0) for load in loads]


def test_descriptor_that_waits_is_not_stored_while_a_program_runs(simulate):
    """It would replace the one that the program comes to next."""
    dut = Ccu(CONFIG)

    async def loader(ctx):
        await put(ctx, dut.host.load, program_packet([{"final": 1}]))
        await put(ctx, dut.host.run, [0])
        await put(ctx, dut.host.load, program_packet([{"ptr_base": 5}]))
        await ctx.tick()
        assert ctx.get(dut.program.data[0]) == LAYOUTS.descriptor.const(
            {"ptr_base": 5}).as_value().value

    async def pes(ctx):
        await ctx.tick().until(dut.host.busy)
        for _ in range(20):
            assert ctx.get(dut.program.data[0]) == LAYOUTS.descriptor.const(
                {"final": 1}).as_value().value
            await ctx.tick()
        await finish(ctx, dut)

    simulate(dut, loader, pes)


def test_program_waits_for_the_end_of_a_packet(simulate):
    dut = Ccu(CONFIG)
    *begun, rest = program_packet([{"final": 1}] * 2)

    async def bench(ctx):
        await put(ctx, dut.host.load, begun)
        ctx.set(dut.host.run.valid, 1)
        for _ in range(5):
            assert not ctx.get(dut.host.run.ready) and not ctx.get(dut.host.busy)
            await ctx.tick()
        await put(ctx, dut.host.load, [rest])
        assert ctx.get(dut.host.run.ready)
        await ctx.tick()
        assert ctx.get(dut.host.busy) and not ctx.get(dut.host.run.ready)

    simulate(dut, bench)


def test_nothing_is_sent_without_a_program_or_a_packet(simulate):
    dut = Ccu(CONFIG)
    messages, listen = listener(dut)

    async def bench(ctx):
        await nothing(ctx, dut.host.result, cycles=20)
        assert not messages and not ctx.get(dut.host.busy)

    simulate(dut, bench, background=[listen])
