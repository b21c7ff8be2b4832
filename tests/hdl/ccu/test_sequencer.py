"""Sequencer: states of a program, with scripts in place of memory, PEs and host."""

import dataclasses
import random

import pytest

from eie_hdl.ccu.sequencer import Sequencer
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts, Memory
from eie_hdl.registers import Error
from support.simulation import Unwatched, get, nothing, put

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
N_ACTIVATIONS = 3


def tile(**fields):
    """Descriptor of a tile of one row, with its destination away from its source."""
    return {"end": {"destination": 9}, "valid": 1, **fields}


def dense(**fields):
    return {"start": {"dense": 1}, "valid": 1, **fields}


def serve(dut, program):
    """Background bench: the program memory."""
    words = [LAYOUTS.descriptor.const(descriptor).as_value().value for descriptor in program]

    async def bench(ctx):
        while True:
            *_, en, addr = await ctx.tick().sample(dut.program.en, dut.program.addr)
            if en:
                ctx.set(dut.program.data, words[addr])

    return bench


def scanner(dut, *, stall=0.0):
    """Background bench: after each start, some activations and an end."""
    async def bench(ctx):
        rng = random.Random(107)
        while True:
            await ctx.tick().until(dut.message.valid & dut.message.ready
                                   & (dut.message.p.kind == Kind.START))
            await put(ctx, dut.scan, [
                *({"column": n, "value": n + 1} for n in range(N_ACTIVATIONS)), {"end": 1}],
                stall=stall, rng=rng)

    return bench


def test_tiles_are_starts_activations_and_ends(simulate, stalls):
    rng = random.Random(109)
    program = [tile(ptr_base=5), tile(ptr_base=11, barrier=1), tile(final=1)]
    dut = Sequencer(CONFIG)
    counts = {"tile_sent": 0, "done": 0, "broadcasts": 0}

    async def host(ctx):
        ctx.set(dut.watched, 2)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.done)
        await ctx.tick()
        assert not ctx.get(dut.busy)

    async def consumer(ctx):
        for descriptor in program:
            [start] = await get(ctx, dut.message, 1, stall=stalls.output, rng=rng)
            assert start.kind == Kind.START and start.body.start.watched == 2
            found = await get(ctx, dut.message, N_ACTIVATIONS, stall=stalls.output, rng=rng)
            assert [(message.body.activation.pointer, message.body.activation.value)
                    for message in found] == [(descriptor.get("ptr_base", 0) + n, n + 1)
                                              for n in range(N_ACTIVATIONS)]
            assert all(message.kind == Kind.ACTIVATION for message in found)
            [end] = await get(ctx, dut.message, 1, stall=stalls.output, rng=rng)
            assert end.kind == Kind.END and end.body.end.destination == 9
        await nothing(ctx, dut.message)

    async def count(ctx):
        async for *_, tile_sent, done, broadcasts in ctx.tick().sample(
                dut.tile_sent, dut.done, dut.strobes.broadcasts):
            counts["tile_sent"] += tile_sent
            counts["done"] += done
            counts["broadcasts"] += broadcasts

    simulate(dut, host, consumer,
             background=[serve(dut, program), scanner(dut, stall=stalls.input), count])
    assert counts == {"tile_sent": 3, "done": 1, "broadcasts": 3 * N_ACTIVATIONS}


@pytest.mark.parametrize("barrier", [0, 1])
def test_barrier_waits_for_earlier_tiles_and_is_counted(simulate, barrier):
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.tiles_waiting, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().repeat(2)    # fetched and decoded
        for _ in range(10):
            assert ctx.get(dut.message.valid) == (not barrier)
            assert ctx.get(dut.strobes.stall_barrier) == barrier
            assert ctx.get(dut.strobes.phase_control) == (not barrier)
            await ctx.tick()
        ctx.set(dut.tiles_waiting, 0)
        assert ctx.get(dut.message.valid)

    simulate(dut, bench, background=[serve(dut, [tile(barrier=barrier, final=1)])])


def test_program_is_done_when_all_tiles_are_written(simulate):
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.tiles_waiting, 1)
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.tile_sent)
        for _ in range(10):
            assert not ctx.get(dut.done) and ctx.get(dut.busy)
            await ctx.tick()
        ctx.set(dut.tiles_waiting, 0)
        assert ctx.get(dut.done)
        await ctx.tick()
        assert not ctx.get(dut.done) and not ctx.get(dut.busy)

    simulate(dut, bench, background=[serve(dut, [tile(final=1)]), scanner(dut)])


def test_dense_descriptor_sends_its_source_to_the_host(simulate, stalls):
    """From the input buffer whose offset was given with the start."""
    program = [dense(input=1, final=1)]
    dut = Sequencer(CONFIG)

    async def host(ctx):
        await put(ctx, dut.run, [{"offset": 7}])
        await ctx.tick().until(dut.done)

    async def pes(ctx):
        [start] = await get(ctx, dut.message, 1)
        assert start.kind == Kind.START and start.body.start.source == 7
        assert start.body.start.dense
        await nothing(ctx, dut.message, cycles=60)

    async def consumer(ctx):
        received = await get(ctx, dut.results, N_ACTIVATIONS + 1, stall=stalls.output)
        assert [item.value for item in received[:-1]] == [n + 1 for n in range(N_ACTIVATIONS)]
        assert [item.end for item in received] == [0] * N_ACTIVATIONS + [1]

    simulate(dut, host, pes, consumer,
             background=[serve(dut, program), scanner(dut, stall=stalls.input)])


@pytest.mark.parametrize("program, code, address", [
    ([tile(end={"destination": 0}, final=1)], Error.BAD_DESCRIPTOR, 0),
    ([tile(), {}], Error.NO_END, 1),
    ([tile(), tile(ptr_base=CONFIG.n_pointers - 3, final=1)], Error.BAD_POINTER, 1),
])
def test_fault_stops_the_program_and_stays(simulate, program, code, address):
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.fault.code != Error.NONE)
        for _ in range(20):
            assert (ctx.get(dut.fault.code), ctx.get(dut.fault.address)) == (code, address)
            assert not ctx.get(dut.message.valid) and not ctx.get(dut.scan.ready)
            assert ctx.get(dut.busy) and not ctx.get(dut.done)
            await ctx.tick()

    simulate(Unwatched(dut), bench, background=[serve(dut, program), scanner(dut)])


def test_read_of_activations_is_a_dense_scan_of_the_words_asked_for(simulate):
    dut = Sequencer(CONFIG)

    async def host(ctx):
        await put(ctx, dut.read, [{"memory": Memory.ACT, "address": 5, "count": 3}])
        assert ctx.get(dut.reading) and ctx.get(dut.busy)
        await ctx.tick().until(~dut.busy)

    async def pes(ctx):
        [start] = await get(ctx, dut.message, 1)
        assert (start.body.start.source, start.body.start.last_word) == (5, 2)

    async def consumer(ctx):
        received = await get(ctx, dut.results, N_ACTIVATIONS + 1)
        assert received[-1].end

    async def watch(ctx):
        async for *_, done in ctx.tick().sample(dut.done):
            assert not done    # a read is no program

    simulate(dut, host, pes, consumer, background=[scanner(dut), watch])


def test_read_of_another_memory_asks_for_its_pieces(simulate):
    config = dataclasses.replace(CONFIG, readback=True)
    dut = Sequencer(config)

    async def host(ctx):
        await put(ctx, dut.read, [{"memory": Memory.CODEBOOK, "pe": 1, "address": 4, "count": 2}])
        assert not ctx.get(dut.busy)

    async def pes(ctx):
        for address in (4, 5):
            [request] = await get(ctx, dut.message, 1)
            load = request.body.load
            assert request.kind == Kind.LOAD
            assert (load.read, load.memory, load.pe, load.address) == (
                1, Memory.CODEBOOK, 1, address)
            await put(ctx, dut.scan, [{"value": address}, {"end": 1}])

    async def consumer(ctx):
        received = await get(ctx, dut.results, 3)
        assert [(item.value, item.end) for item in received[:2]] == [(4, 0), (5, 0)]
        assert received[2].end

    simulate(dut, host, pes, consumer)
