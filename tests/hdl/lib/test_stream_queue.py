# amaranth: UnusedElaboratable=no
"""StreamQueue, against a list."""

import random
import re
from functools import partial

import pytest
from amaranth.lib import data

from eie_hdl.lib.register_queue import RegisterQueue
from eie_hdl.lib.stream_queue import StreamQueue
from support.simulation import get, nothing, put

PAIR = data.StructLayout({"x": 5, "y": 3})


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_payloads_come_out_in_order(simulate, stalls, depth):
    dut = StreamQueue(16, depth=depth)
    rng, held = random.Random(depth), []
    sent = [rng.getrandbits(16) for _ in range(150)]

    async def producer(ctx):
        await put(ctx, dut.i, sent, stall=stalls.input, rng=random.Random(1))

    async def consumer(ctx):
        assert await get(ctx, dut.o, len(sent), stall=stalls.output, rng=random.Random(2)) == sent
        await nothing(ctx, dut.o, cycles=4)

    async def model(ctx):
        while True:
            *_, taken, payload, given, ready, valid, level = await ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.i.payload, dut.o.valid & dut.o.ready, dut.i.ready,
                dut.o.valid, dut.level)
            assert (level, valid, ready) == (len(held), len(held) > 0, len(held) < depth)
            if given:
                held.pop(0)
            if taken:
                held.append(payload)

    simulate(dut, producer, consumer, background=[model])


def test_payload_may_be_a_structure(simulate):
    dut = StreamQueue(PAIR, depth=2)
    sent = [{"x": n, "y": n % 7} for n in range(20)]

    async def producer(ctx):
        await put(ctx, dut.i, sent)

    async def consumer(ctx):
        assert await get(ctx, dut.o, len(sent)) == [PAIR.const(payload) for payload in sent]

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_one_payload_passes_every_cycle_one_cycle_later(simulate, transfers, depth):
    dut = StreamQueue(8, depth=depth)
    inputs, watch_i = transfers(dut.i)
    outputs, watch_o = transfers(dut.o)

    async def producer(ctx):
        await put(ctx, dut.i, range(60))

    async def consumer(ctx):
        await get(ctx, dut.o, 60)

    simulate(dut, producer, consumer, background=[watch_i, watch_o])
    assert [cycle for cycle, _ in inputs] == list(range(60))
    assert [cycle for cycle, _ in outputs] == list(range(1, 61))


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_queue_holds_as_many_as_its_depth(simulate, depth):
    dut = StreamQueue(8, depth=depth)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for n in range(depth):
            assert ctx.get(dut.level) == n
            assert ctx.get(dut.i.ready)
            ctx.set(dut.i.payload, n)
            await ctx.tick()
        ctx.set(dut.i.payload, 99)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.level) == depth
        ctx.set(dut.i.valid, 0)
        assert await get(ctx, dut.o, depth) == list(range(depth))
        assert ctx.get(dut.level) == 0

    simulate(dut, bench)


@pytest.mark.parametrize("make", [partial(StreamQueue, depth=2), RegisterQueue])
def test_there_is_no_combinational_path(simulate, make):
    dut = make(8)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 7)
        await ctx.delay(1e-9)
        assert not ctx.get(dut.o.valid)
        await ctx.tick().repeat(2)
        for ready in (0, 1):
            ctx.set(dut.o.ready, ready)
            await ctx.delay(1e-9)
            assert ctx.get(dut.o.valid)
            assert not ctx.get(dut.i.ready)

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [1, 0, -3, 2.0, "4", None])
def test_invalid_depth_is_rejected(depth):
    message = f"Queue depth must be an integer of at least 2, not {depth!r}"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        StreamQueue(8, depth=depth)
