"""LoadPath: packets to words, and the zeros of a wipe."""

import dataclasses
import random
import zlib

import numpy as np
import pytest

from eie_compiler.vectors import packet
from eie_hdl.config import PRESETS
from eie_hdl.format import BEAT_BYTES, Layouts, Memory
from eie_hdl.host.load_path import LoadPath
from eie_hdl.registers import Error
from support.simulation import get, nothing

CONFIG = PRESETS["tiny"]
WHOLE = (1 << BEAT_BYTES) - 1


async def send(ctx, axis, beats, *, stall=0.0, rng=None):
    """Send a packet."""
    for number, beat in enumerate(beats):
        while rng and rng.random() < stall:
            await ctx.tick()
        ctx.set(axis.tdata, int(beat))
        ctx.set(axis.tkeep, WHOLE)
        ctx.set(axis.tlast, number == len(beats) - 1)
        ctx.set(axis.tvalid, 1)
        taken = False
        while not taken:
            *_, taken = await ctx.tick().sample(axis.tready)
        ctx.set(axis.tvalid, 0)


def pointers(rng, count):
    """Words of one beat each for the pointer memory."""
    return np.array([[rng.getrandbits(8)] for _ in range(count)], np.uint64)


def test_words_of_packets_reach_the_core_and_are_summed_up(simulate, stalls):
    rng, pauses, sink = random.Random(19), random.Random(20), random.Random(21)
    dut = LoadPath(CONFIG)
    words = [pointers(rng, rng.randint(1, 6)) for _ in range(8)]
    packets = [packet(CONFIG, Memory.PTR, data, address=4 * n, pe=n % CONFIG.n_pe)
               for n, data in enumerate(words)]

    async def producer(ctx):
        for beats in packets:
            await send(ctx, dut.i, beats, stall=stalls.input, rng=pauses)
        while ctx.get(dut.interlock.receiving) or ctx.get(dut.waiting):
            await ctx.tick()
        await ctx.tick().repeat(3)
        assert ctx.get(dut.registers.checksum_value) == zlib.crc32(
            np.concatenate(packets).astype("<u8").tobytes())

    async def consumer(ctx):
        received = await get(ctx, dut.o, sum(map(len, words)), stall=stalls.output, rng=sink)
        assert [(word.address, word.pe, word.data) for word in received] == [
            (4 * n + k, n % CONFIG.n_pe, int(word[0]))
            for n, data in enumerate(words) for k, word in enumerate(data)]

    simulate(dut, producer, consumer)


def test_words_of_an_input_buffer_go_to_the_rows_in_the_registers(simulate):
    dut = LoadPath(CONFIG)
    n_rows = 2
    words = np.arange(1, n_rows * CONFIG.n_pe + 1, dtype=np.uint64)[:, np.newaxis]

    async def producer(ctx):
        ctx.set(dut.registers.input_base_value, 3)
        ctx.set(dut.registers.input_words_words, n_rows)
        ctx.set(dut.registers.input_stride_value, 5)
        ctx.set(dut.interlock.in_use, 1)    # ignored for an input buffer
        await ctx.tick()
        await send(ctx, dut.i, packet(CONFIG, Memory.INPUT, words, buffer=1))

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(words))
        assert [(word.memory, word.address, word.pe, word.data) for word in received] == [
            (Memory.ACT, 3 + 5 + row, pe, 1 + row * CONFIG.n_pe + pe)
            for row in range(n_rows) for pe in range(CONFIG.n_pe)]

    simulate(dut, producer, consumer)


def test_packet_for_a_memory_in_use_is_an_error_and_pending_errors_drop_packets(simulate):
    dut = LoadPath(CONFIG)
    beats = packet(CONFIG, Memory.PTR, pointers(random.Random(23), 3))
    errors = []

    async def producer(ctx):
        ctx.set(dut.interlock.in_use, 1)
        await send(ctx, dut.i, beats)
        await ctx.tick().repeat(4)
        assert set(errors) == {Error.LOAD_IN_USE}
        ctx.set(dut.interlock.in_use, 0)
        ctx.set(dut.supervision.error_pending, 1)
        await ctx.tick().repeat(2)
        n_errors = len(errors)
        await send(ctx, dut.i, beats)
        await nothing(ctx, dut.o)
        ctx.set(dut.supervision.error_pending, 0)
        await send(ctx, dut.i, beats)
        await get(ctx, dut.o, 1)
        assert len(errors) == n_errors

    async def watch(ctx):
        async for *_, code in ctx.tick().sample(dut.error.code):
            if code:
                errors.append(code)

    simulate(dut, producer, background=[watch])


def test_packets_are_dropped_while_a_failed_core_is_stopped_unless_the_error_is_cleared(simulate):
    """The host may have to send a packet before it takes the results that the stop waits for."""
    dut = LoadPath(CONFIG)
    beats = packet(CONFIG, Memory.PTR, pointers(random.Random(23), 3))

    async def bench(ctx):
        ctx.set(dut.supervision.core_resetting, 1)
        ctx.set(dut.supervision.error_pending, 1)
        await send(ctx, dut.i, beats)
        await nothing(ctx, dut.o)
        assert not ctx.get(dut.interlock.receiving) and not ctx.get(dut.waiting)
        ctx.set(dut.supervision.error_pending, 0)
        await send(ctx, dut.i, beats[:2])    # into the queue
        await nothing(ctx, dut.o)
        assert ctx.get(dut.waiting) and not ctx.get(dut.i.tready)
        ctx.set(dut.supervision.core_resetting, 0)
        await send(ctx, dut.i, beats[2:])
        assert (await get(ctx, dut.o, 1))[0].address == 0

    simulate(dut, bench)


def test_a_wipe_drops_the_beats_of_a_packet_that_waits_but_a_clear_does_not(simulate):
    dut = LoadPath(CONFIG)
    beats = packet(CONFIG, Memory.INPUT, np.array([[5], [6]], np.uint64))

    async def bench(ctx):
        ctx.set(dut.registers.input_words_words, 1)
        ctx.set(dut.interlock.buffer_in_use, 1)
        await send(ctx, dut.i, beats[:2])    # into the queue
        await nothing(ctx, dut.o)
        assert ctx.get(dut.waiting) and not ctx.get(dut.i.tready)
        ctx.set(dut.supervision.clear_request, 1)
        await ctx.tick()
        assert ctx.get(dut.waiting)
        ctx.set(dut.supervision.clear_request, 0)
        ctx.set(dut.wipe, 1)
        await ctx.tick()
        ctx.set(dut.wipe, 0)
        assert not ctx.get(dut.waiting) and ctx.get(dut.i.tready)
        ctx.set(dut.o.ready, 1)
        while ctx.get(dut.wiping):
            await ctx.tick()
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.interlock.buffer_in_use, 0)
        await nothing(ctx, dut.o)
        await send(ctx, dut.i, beats)
        assert [word.data for word in await get(ctx, dut.o, 2)] == [5, 6]

    simulate(dut, bench)


@pytest.mark.parametrize("bit", ["new_model", "soft_reset"])
def test_checksum_restarts_on_command(simulate, bit):
    dut = LoadPath(CONFIG)

    async def producer(ctx):
        ctx.set(dut.o.ready, 1)
        await send(ctx, dut.i, packet(CONFIG, Memory.PTR, pointers(random.Random(29), 3)))
        await ctx.tick().repeat(6)
        assert ctx.get(dut.registers.checksum_value) != 0
        ctx.set(getattr(dut.registers, f"control_{bit}"), 1)
        await ctx.tick()
        assert ctx.get(dut.registers.checksum_value) != 0    # nothing was written
        ctx.set(dut.registers.control_write, 1)
        await ctx.tick()
        assert ctx.get(dut.registers.checksum_value) == 0

    simulate(dut, producer)


def test_wipe_writes_zero_to_every_word_while_packets_wait(simulate):
    config = dataclasses.replace(CONFIG, entries_per_word=16)    # words of two beats
    dut = LoadPath(config)
    memories = Layouts.of(config).memories
    beats = packet(config, Memory.SPMAT, np.array([[5, 6]], np.uint64), pe=1)

    async def producer(ctx):
        await send(ctx, dut.i, beats)    # a word that remains in the register
        await ctx.tick().until(dut.o.valid)
        ctx.set(dut.supervision.core_resetting, 1)
        ctx.set(dut.wipe, 1)
        await ctx.tick()
        ctx.set(dut.wipe, 0)
        assert ctx.get(dut.wiping)
        await send(ctx, dut.i, beats[:1])    # accepted by the input queue
        await ctx.tick().until(~dut.wiping)
        assert ctx.get(dut.waiting) and not ctx.get(dut.interlock.receiving)

    async def consumer(ctx):
        count = sum(image.depth for image in memories.values())
        [word] = await get(ctx, dut.o, 1)
        assert word.data == 6 << 64 | 5
        received = await get(ctx, dut.o, count)
        assert all(word.everyone and word.data == word.read == 0 for word in received)
        assert {(word.memory, word.address) for word in received} == {
            (memory, address) for memory, image in memories.items()
            for address in range(image.depth)}
        await nothing(ctx, dut.o)

    simulate(dut, producer, consumer)
