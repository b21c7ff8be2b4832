"""PacketTerminator with a queue, against a model."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.host.axi import stream_beat
from eie_hdl.host.packet_terminator import PacketTerminator
from eie_hdl.lib.stream_queue import StreamQueue
from support.simulation import get, nothing, put

CLOSING = stream_beat.const({"last": 1})


class Queued(wiring.Component):
    """Terminator with the queue of the result path, which offers beats until they are taken."""

    i: In(stream.Signature(stream_beat))
    cut: In(1)
    o: Out(stream.Signature(stream_beat))

    def elaborate(self, platform):
        m = Module()
        m.submodules.terminator = terminator = PacketTerminator()
        m.submodules.queue = queue = StreamQueue(stream_beat, depth=2)
        connect(m, flipped(self.i), terminator.i)
        connect(m, terminator.o, queue.i)
        connect(m, queue.o, flipped(self.o))
        m.d.comb += terminator.cut.eq(self.cut)
        return m


def defined(beat):
    """Return a beat without data that is undefined."""
    return beat if beat.keep else stream_beat.const({"last": beat.last})


def random_beat(rng, last):
    # Distinct from the null beat of a cut: all beats of the source have bytes.
    return stream_beat.const({"data": rng.getrandbits(64), "keep": rng.randint(1, 255),
                              "last": last})


def closed(events):
    """Return the expected output for beats, with None where the source was reset."""
    beats, is_open = [], False
    for event in events:
        if event is not None:
            beats.append(event)
            is_open = not event.last
        elif is_open:
            beats.append(CLOSING)
            is_open = False
    return beats


@pytest.mark.parametrize("cuts", [0, 0.02, 0.3])
def test_every_packet_ends_whenever_it_is_cut(simulate, stalls, cuts):
    """A reset withdraws the beat of the source; a new packet starts immediately or later."""
    rng = random.Random(71)
    dut = Queued()
    events, received = [], []

    async def source(ctx):
        beat = None
        for _ in range(500):
            if beat is None and rng.random() >= stalls.input:
                beat = random_beat(rng, rng.random() < 0.3)
            if beat is not None:
                ctx.set(dut.i.payload, beat)
            ctx.set(dut.i.valid, beat is not None)
            ctx.set(dut.cut, cut := rng.random() < cuts)
            *_, taken = await ctx.tick().sample(dut.i.ready)
            assert not (cut and taken)
            if beat is not None and taken:
                events.append(beat)
                beat = None
            if cut:
                events.append(None)
                beat = None
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.cut, 1)
        events.append(None)
        await ctx.tick()
        ctx.set(dut.cut, 0)
        await ctx.tick().repeat(20)
        assert received == closed(events)
        assert received[-1].last
        assert (CLOSING in received[:-1]) == (cuts > 0)

    async def consumer(ctx):
        sink = random.Random(73)
        while True:
            received.extend(map(defined, await get(ctx, dut.o, 1, stall=stalls.output, rng=sink)))

    simulate(dut, source, background=[consumer])


def test_a_beat_passes_in_every_cycle_one_cycle_later(simulate, transfers):
    rng = random.Random(79)
    dut = Queued()
    beats = [random_beat(rng, n % 5 == 4) for n in range(20)]
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, beats)
        await ctx.tick()

    simulate(dut, bench, background=[note])
    assert log == [(1 + n, beat) for n, beat in enumerate(beats)]


def test_cut_between_packets_adds_nothing(simulate):
    dut = Queued()
    beat = random_beat(random.Random(83), last=1)

    async def bench(ctx):
        for _ in range(2):
            ctx.set(dut.cut, 1)
            await ctx.tick()
            ctx.set(dut.cut, 0)
            await nothing(ctx, dut.o, cycles=4)
            await put(ctx, dut.i, [beat])
            assert await get(ctx, dut.o, 1) == [beat]

    simulate(dut, bench)


def test_beat_that_was_offered_comes_before_the_end(simulate):
    """The host stalls the beat while the source continues with another packet."""
    rng = random.Random(89)
    dut = Queued()
    first, second = random_beat(rng, last=0), random_beat(rng, last=1)

    async def producer(ctx):
        await put(ctx, dut.i, [first])
        ctx.set(dut.cut, 1)
        await ctx.tick()
        ctx.set(dut.cut, 0)
        await put(ctx, dut.i, [second])

    async def consumer(ctx):
        await ctx.tick().repeat(9)
        beats = await get(ctx, dut.o, 3, stall=0.8)
        assert [defined(beat) for beat in beats] == [first, CLOSING, second]

    simulate(dut, producer, consumer)
