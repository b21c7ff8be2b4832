"""PacketReader: input buffers, status, checksum and throughput."""

import dataclasses
import random

import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH, Layouts, Memory, n_beats
from eie_hdl.host.packet_reader import PacketReader
from eie_hdl.registers import Error
from support.load_packets import (
    CONFIGS,
    TINY,
    Settings,
    beats,
    crc,
    header,
    random_packet,
    seen,
    watch_errors,
)
from support.simulation import get, put


@pytest.mark.parametrize("n_pe", [1, 4])
@pytest.mark.parametrize("buffer", [0, 1])
def test_rows_of_an_input_buffer_go_to_the_pes_in_turn(simulate, n_pe, buffer):
    config = dataclasses.replace(TINY, n_pe=n_pe)
    dut = PacketReader(config)

    async def producer(ctx):
        Settings(input_base=10, input_words=5, input_stride=8).apply(ctx, dut)
        for _ in range(2):    # each packet starts with PE 0
            await put(ctx, dut.i, beats(
                header(Memory.INPUT, address=1, count=3 * n_pe - (n_pe > 1), buffer=buffer,
                       everyone=1, pe=3), *range(3 * n_pe - (n_pe > 1))))

    async def consumer(ctx):
        for _ in range(2):
            received = await get(ctx, dut.o, 3 * n_pe - (n_pe > 1))
            assert [seen(Layouts.of(config), word) for word in received] == [
                (Memory.ACT.value, 10 + 8 * buffer + 1 + row, 0, pe, row * n_pe + pe)
                for row in range(3) for pe in range(n_pe)][:len(received)]

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("settings, buffer, code", [
    (Settings(), 1, None),
    (Settings(in_use=1), 1, None),
    (Settings(input_stride=0), 1, Error.BAD_ADDRESS),
    (Settings(input_base=TINY.act_depth - 12), 1, None),
    (Settings(input_base=TINY.act_depth - 11), 0, Error.BAD_ADDRESS),
    (Settings(input_base=TINY.act_depth - 5, input_stride=0), 0, None),
])
def test_an_input_buffer_must_exist(simulate, settings, buffer, code):
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        settings.apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, beats(header(Memory.INPUT, count=1, buffer=buffer), 1))
        await ctx.tick()

    simulate(dut, bench, background=[watch])
    assert [error[0] for error in errors] == ([] if code is None else [code])


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("buffer", [0, 1])
def test_a_packet_waits_until_its_input_buffer_is_free(simulate, buffer, count):
    """Its header is not accepted until then; from then on it is received whatever happens."""
    dut = PacketReader(TINY)
    header_, *words = beats(header(Memory.INPUT, count=count, buffer=buffer), *range(count))

    async def bench(ctx):
        Settings(in_use=1).apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.waiting_input) == 0
        ctx.set(dut.i.payload, header_)
        ctx.set(dut.i.valid, 1)
        for in_use in (1 << buffer, 0b11):
            ctx.set(dut.buffer_in_use, in_use)
            for _ in range(4):
                assert ctx.get(dut.waiting_input) == 1 << buffer
                assert not ctx.get(dut.i.ready) and not ctx.get(dut.receiving)
                await ctx.tick()
        ctx.set(dut.buffer_in_use, 2 >> buffer)
        assert ctx.get(dut.i.ready) and ctx.get(dut.waiting_input) == 1 << buffer
        await ctx.tick()
        ctx.set(dut.buffer_in_use, 0b11)
        for beat in words:
            ctx.set(dut.i.payload, beat)
            assert ctx.get(dut.i.ready) and ctx.get(dut.receiving_input) == 1 << buffer
            assert ctx.get(dut.waiting_input) == 0
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.waiting_input) == 0
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.receiving)

    simulate(dut, bench)


def test_packets_for_other_memories_do_not_wait_for_input_buffers(simulate):
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.buffer_in_use, 0b11)
        for memory in (Memory.ACT, Memory.PROGRAM):
            ctx.set(dut.i.valid, 1)
            for beat in beats(header(memory, count=1, buffer=1), 1):
                ctx.set(dut.i.payload, beat)
                assert ctx.get(dut.i.ready) and ctx.get(dut.waiting_input) == 0
                await ctx.tick()

    simulate(dut, bench, background=[watch])
    assert not errors


@pytest.mark.parametrize("when", ["discard", "failing", "restart"])
def test_a_packet_that_waits_is_dropped_when_there_is_an_error(simulate, transfers, when):
    """A clear alone leaves its header where it is."""
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut, clears=False)
    words, watch_words = transfers(dut.o)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.buffer_in_use, 0b11)
        if when == "failing":    # the error of an earlier packet is not yet pending
            await put(ctx, dut.i, beats(header(Memory.PTR, count=2), 1))
            await ctx.tick()
        ctx.set(dut.i.payload, beats(header(Memory.INPUT, count=1), 1)[0])
        ctx.set(dut.i.valid, 1)
        if when != "failing":
            await ctx.tick().repeat(3)
            assert ctx.get(dut.waiting_input) == 1
            ctx.set(getattr(dut, when), 1)
        assert ctx.get(dut.waiting_input) == 0
        assert ctx.get(dut.i.ready) == (when != "restart")
        await ctx.tick()
        ctx.set(dut.restart, 0)
        if when == "restart":
            assert ctx.get(dut.waiting_input) == 1 and not ctx.get(dut.i.ready)
            ctx.set(dut.buffer_in_use, 0)
            await ctx.tick()
        await put(ctx, dut.i, beats(header(Memory.INPUT, count=1), 1)[1:])
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.i.valid)

    simulate(dut, bench, background=[watch, watch_words])
    assert [error[0] for error in errors] == ([Error.TRUNCATED] if when == "failing" else [])
    assert [word.memory for _, word in words if word.memory is Memory.ACT] == (
        [Memory.ACT] if when == "restart" else [])


@pytest.mark.parametrize("memory, buffer, model, inputs", [
    (Memory.PTR, 1, 1, 0), (Memory.INPUT, 0, 0, 1), (Memory.INPUT, 1, 0, 2)])
def test_a_packet_is_received_until_its_last_word_is_taken(simulate, memory, buffer, model,
                                                           inputs):
    dut = PacketReader(TINY)

    def state(ctx):
        return tuple(map(ctx.get, (dut.receiving, dut.receiving_model, dut.receiving_input)))

    async def bench(ctx):
        Settings().apply(ctx, dut)
        assert state(ctx) == (0, 0, 0)
        for beat in beats(header(memory, count=1, buffer=buffer), 1):
            await put(ctx, dut.i, [beat])
            assert state(ctx) == (1, model, inputs)
        # The header of the next packet is accepted in the meantime.
        await put(ctx, dut.i, beats(header(Memory.PTR)))
        await ctx.tick().repeat(3)
        assert state(ctx) == (1, model, inputs)
        await get(ctx, dut.o, 1)
        assert state(ctx) == (0, 0, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("memory, model, inputs", [(Memory.PTR, 1, 0), (Memory.INPUT, 0, 1)])
@pytest.mark.parametrize("name, packet", {
    "address": lambda memory: beats(header(memory, address=1 << 20, count=1), 1),
    "truncated-header": lambda memory: beats(header(memory, count=1)),
    "overlong-header": lambda memory: beats(header(memory), 1),
    "truncated": lambda memory: beats(header(memory, count=2), 1),
    "partial": lambda memory: [*beats(header(memory, count=1), last=False),
                               {"data": 1, "whole": 0, "last": 1}],
}.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_failed_packet_is_failing_until_its_error_is_pending(simulate, memory, model, inputs,
                                                               name, packet):
    """However long that takes: in between, neither a start nor a word is accepted."""
    dut = PacketReader(TINY)

    def is_received(ctx):
        return (ctx.get(dut.receiving_model), ctx.get(dut.receiving_input)) == (model, inputs)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        for beat in packet(memory):
            await put(ctx, dut.i, [beat])
            assert ctx.get(dut.receiving) and (is_received(ctx) or ctx.get(dut.failing))
        if not ctx.get(dut.failing):    # the header is being checked
            await ctx.tick()
        for following in beats(header(Memory.SPMAT, count=2), 1, 2):
            assert ctx.get(dut.receiving) and ctx.get(dut.failing)
            await put(ctx, dut.i, [following])
        ctx.set(dut.discard, 1)
        assert ctx.get(dut.failing)
        await ctx.tick()
        assert not ctx.get(dut.receiving) and not ctx.get(dut.failing)

    async def no_spmat(ctx):
        async for *_, valid, word in ctx.tick().sample(dut.o.valid, dut.o.payload):
            assert not valid or word.memory != Memory.SPMAT

    simulate(dut, bench, background=[no_spmat])


def test_in_use_is_sampled_in_the_cycle_of_the_header(simulate):
    """A start of that cycle finds the packet being received in the next."""
    dut = PacketReader(TINY)
    errors, watch = watch_errors(dut)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        packet = beats(header(Memory.PTR, count=1), 1)
        for used in ([0, 1, 0], [0, 0, 1], [1, 0, 0]):
            for in_use, beat in zip(used, packet):
                ctx.set(dut.in_use, in_use)
                await put(ctx, dut.i, [beat])
                assert ctx.get(dut.receiving_model) or ctx.get(dut.failing)
            ctx.set(dut.in_use, used[2])
            await ctx.tick()
        await ctx.tick()

    simulate(dut, bench, background=[watch])
    assert [error[0] for error in errors] == [Error.LOAD_IN_USE]


def test_checksum_clear_includes_the_beat_of_its_cycle(simulate):
    dut = PacketReader(TINY)
    packet = beats(header(Memory.SPMAT, count=4), *range(10, 14))

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cleared in range(5):
            for n, beat in enumerate(packet):
                ctx.set(dut.checksum_clear, n == cleared)
                await put(ctx, dut.i, [beat])
            ctx.set(dut.checksum_clear, 0)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.checksum) == crc([beat["data"] for beat in packet[cleared:]])

    simulate(dut, bench)


def test_a_beat_is_accepted_in_every_cycle_across_packets(simulate):
    """Packets for all memories, also empty and invalid ones; a word follows its beat by two."""
    config = CONFIGS["widest"]
    assert n_beats(Layouts.of(config).memories[Memory.SPMAT].shape) == 4
    rng = random.Random(5)
    packets = [random_packet(rng, config, Settings()) for _ in range(100)]
    dut = PacketReader(config)
    _, watch = watch_errors(dut)

    async def bench(ctx):
        Settings().apply(ctx, dut)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for packet in packets:
            for beat in packet:
                ctx.set(dut.i.payload, beat)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.i.valid, 1)
        for beat in beats(header(Memory.SPMAT, count=1), 1, 2, 3, 4):
            ctx.set(dut.i.payload, beat)
            assert ctx.get(dut.i.ready)
            await ctx.tick()
            assert not ctx.get(dut.o.valid)
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, bench, background=[watch])


def test_beats_wait_only_while_the_word_before_them_is_offered(simulate):
    """A beat is accepted meanwhile; the next ones wait."""
    config = EIEConfig()
    assert n_beats(Layouts.of(config).memories[Memory.SPMAT].shape) == 2
    dut = PacketReader(config)

    async def bench(ctx):
        await put(ctx, dut.i, beats(header(Memory.SPMAT, count=2), 1, 2, 3, last=False))
        ctx.set(dut.i.payload, beats(4)[0])
        ctx.set(dut.i.valid, 1)
        for _ in range(3):
            assert not ctx.get(dut.i.ready) and ctx.get(dut.o.valid)
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        assert [word.data for word in await get(ctx, dut.o, 1)] == [3 + (4 << BEAT_WIDTH)]

    simulate(dut, bench)
