"""ActivationQueue, by itself and with all messages in flight."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.ccu.broadcast_throttle import BroadcastThrottle
from eie_hdl.config import FILLING_LIMIT, PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts
from eie_hdl.lib.sram import Sram
from eie_hdl.pe.ptr_read import PtrRead
from eie_hdl.pe.queue import ActivationQueue
from eie_hdl.tree.tree import Link, TreeNode
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "least": EIEConfig(n_pe=1, queue_depth=2),
    "odd": replace(PRESETS["tiny"], n_pe=64, queue_depth=5),
}


def column(n):
    return {"kind": Kind.ACTIVATION,
            "body": {"activation": {"value": n % 100 - 50, "begin": n % 64, "count": n % 5}}}


class Path(wiring.Component):
    """Path from the CCU to the queue of one PE, with all registers that hold a message."""

    def __init__(self, config):
        self._config = config
        layouts = Layouts.of(config)
        self.queue = ActivationQueue(config)
        # Each column has one entry: pointer `p` is `p`.
        self._banks = [Sram(width=layouts.ptr.width, depth=config.ptr_depth,
                            init=range(first, config.n_pointers, 2)) for first in (0, 1)]
        super().__init__({"i": In(stream.Signature(layouts.message)),
                          "o": Out(stream.Signature(layouts.column))})

    def elaborate(self, platform):
        m = Module()
        root = Link(self._config).flip().create()
        m.submodules.queue = queue = self.queue
        m.submodules.ptr_read = ptr_read = PtrRead(self._config)

        m.submodules.even, m.submodules.odd = even, odd = self._banks
        connect(m, ptr_read.even, even.r)
        connect(m, ptr_read.odd, odd.r)

        # CCU: throttle and register.
        m.submodules.throttle = throttle = BroadcastThrottle(self._config)
        m.d.comb += [
            throttle.filling.eq(root.filling),
            throttle.full.eq(root.full),
            throttle.sent.eq(self.i.valid & self.i.ready),
            self.i.ready.eq(~throttle.stop),
        ]
        m.d.sync += [
            root.message.valid.eq(self.i.valid & self.i.ready),
            root.message.payload.eq(self.i.payload),
        ]
        link = root
        for level in range(self._config.n_levels):
            node = TreeNode(self._config, n_children=4)
            m.submodules[f"level_{level}"] = node
            connect(m, link, node.parent)
            link = node.child[0]

        # PE: register, pointer read, queue.
        message, valid = Signal.like(link.message.payload), Signal()
        m.d.sync += [message.eq(link.message.payload), valid.eq(link.message.valid)]
        m.d.comb += [
            ptr_read.i.payload.eq(message),
            ptr_read.i.valid.eq(valid),
            link.filling.eq(queue.filling),
            link.full.eq(queue.full),
        ]
        connect(m, ptr_read.o, queue.i)
        connect(m, queue.o, flipped(self.o))
        return m


@pytest.mark.parametrize("name", CONFIGS)
def test_columns_come_out_in_order(simulate, stalls, name):
    config = CONFIGS[name]
    dut, layouts = ActivationQueue(config), Layouts.of(config)
    sent = [column(n) for n in range(120)]
    rng, held = random.Random(4), []

    async def producer(ctx):
        # Stops immediately: delayed back-pressure is tested with the whole path.
        for payload in sent:
            while ctx.get(dut.level) == config.queue_depth:
                await ctx.tick()
            await put(ctx, dut.i, [payload], stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(sent), stall=stalls.output, rng=random.Random(5))
        assert received == [layouts.column.const(payload) for payload in sent]
        await nothing(ctx, dut.o, cycles=4)

    async def model(ctx):
        filling = 0
        while True:
            *_, taken, given, level, called = await ctx.tick().sample(
                dut.i.valid, dut.o.valid & dut.o.ready, dut.level, dut.filling)
            assert (level, called) == (len(held), filling)
            filling = len(held) >= config.queue_depth
            if given:
                held.pop()
            if taken:
                held.append(None)

    simulate(dut, producer, consumer, background=[model])


def test_throughput_and_latency_are_one_cycle(simulate, transfers):
    dut = ActivationQueue(EIEConfig())
    log, note = transfers(dut.o)

    async def producer(ctx):
        await put(ctx, dut.i, [column(n) for n in range(60)])

    async def consumer(ctx):
        await get(ctx, dut.o, 60)

    simulate(dut, producer, consumer, background=[note])
    assert [cycle for cycle, _ in log] == list(range(1, 61))


@pytest.mark.parametrize("name", CONFIGS)
def test_filling_and_full_are_asserted_at_their_levels(simulate, name):
    config = CONFIGS[name]
    dut = ActivationQueue(config)
    assert dut.n_slots == config.queue_depth + config.n_in_flight
    calls = []

    async def bench(ctx):
        await put(ctx, dut.i, [column(n) for n in range(dut.n_slots)])
        assert ctx.get(dut.level) == dut.n_slots
        received = await get(ctx, dut.o, dut.n_slots)
        assert received == [Layouts.of(config).column.const(column(n)) for n in range(dut.n_slots)]
        await ctx.tick()

    async def watch(ctx):
        before = 0
        while True:
            *_, level, filling, full = await ctx.tick().sample(dut.level, dut.filling, dut.full)
            assert filling == (before >= config.queue_depth)
            assert full == (before >= dut.n_slots - FILLING_LIMIT)
            calls.append((filling, full))
            before = level

    simulate(dut, bench, background=[watch])
    assert set(calls) == {(0, 0), (1, 0), (1, 1)}


@pytest.mark.parametrize("n_pe", [1, 4, 16, 64])
@pytest.mark.parametrize("stall", [0, 0.5, 0.8])
def test_messages_in_flight_fill_every_slot_and_none_is_lost(simulate, n_pe, stall):
    config = EIEConfig(n_pe=n_pe, queue_depth=3, ptr_depth=128, spmat_depth=512)
    dut, levels = Path(config), []
    sent = [{"kind": Kind.ACTIVATION, "body": {"activation": {"value": n, "pointer": n % 64}}}
            for n in range(90)]

    async def producer(ctx):
        await put(ctx, dut.i, sent, stall=stall)

    async def consumer(ctx):
        await ctx.tick().repeat(150)    # long enough to fill the queue
        received = await get(ctx, dut.o, len(sent), stall=0.3)
        assert [payload.body.activation.value for payload in received] == list(range(len(sent)))

    async def watch(ctx):
        while True:
            *_, level = await ctx.tick().sample(dut.queue.level)
            levels.append(level)

    simulate(dut, producer, consumer, background=[watch])
    # A burst has the maximum in flight; a slower sequence is stopped slightly earlier.
    assert dut.queue.n_slots - FILLING_LIMIT <= max(levels) <= dut.queue.n_slots
    assert stall or max(levels) == dut.queue.n_slots
