"""The activation queue, alone and at the end of all that may still be in flight."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts
from eie_hdl.pe.ptr_read import PtrRead
from eie_hdl.pe.queue import ActivationQueue
from eie_hdl.sram import Sram
from eie_hdl.tree import Link, TreeNode, n_in_flight
from eie_sim.testing import get, nothing, put

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
    """The way from the CCU to the queue of one PE: every register that holds a message."""

    def __init__(self, config):
        self._config = config
        layouts = Layouts(config)
        self.queue = ActivationQueue(config)
        # A column of one entry each: pointer `p` is `p`.
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

        # As the CCU: stop when it is full, and register.
        m.d.comb += self.i.ready.eq(~root.full)
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

        # As the PE: register, look up, queue.
        message, valid = Signal.like(link.message.payload), Signal()
        m.d.sync += [message.eq(link.message.payload), valid.eq(link.message.valid)]
        m.d.comb += [
            ptr_read.i.payload.eq(message),
            ptr_read.i.valid.eq(valid),
            link.full.eq(queue.full),
        ]
        connect(m, ptr_read.o, queue.i)
        connect(m, queue.o, flipped(self.o))
        return m


@pytest.mark.parametrize("name", CONFIGS)
def test_columns_come_out_in_order(simulate, stalls, name):
    config = CONFIGS[name]
    dut, layouts = ActivationQueue(config), Layouts(config)
    sent = [column(n) for n in range(120)]
    rng, held = random.Random(4), []

    async def producer(ctx):
        # Stops at once: what comes later than that is for the test of the whole path.
        for payload in sent:
            while ctx.get(dut.full) or ctx.get(dut.level) == config.queue_depth:
                await ctx.tick()
            await put(ctx, dut.i, [payload], stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(sent), stall=stalls.output, rng=random.Random(5))
        assert received == [layouts.column.const(payload) for payload in sent]
        await nothing(ctx, dut.o, cycles=4)

    async def model(ctx):
        full = 0
        while True:
            *_, taken, given, level, called = await ctx.tick().sample(
                dut.i.valid, dut.o.valid & dut.o.ready, dut.level, dut.full)
            assert (level, called) == (len(held), full)
            full = len(held) >= config.queue_depth
            if given:
                held.pop()
            if taken:
                held.append(None)

    simulate(dut, producer, consumer, background=[model])


def test_column_is_at_the_output_one_cycle_later_and_one_every_cycle(simulate, transfers):
    dut = ActivationQueue(EIEConfig())
    log, note = transfers(dut.o)

    async def producer(ctx):
        await put(ctx, dut.i, [column(n) for n in range(60)])

    async def consumer(ctx):
        await get(ctx, dut.o, 60)

    simulate(dut, producer, consumer, background=[note])
    assert [cycle for cycle, _ in log] == list(range(1, 61))


@pytest.mark.parametrize("name", CONFIGS)
def test_full_is_called_at_the_depth_and_what_is_in_flight_has_room(simulate, name):
    config = CONFIGS[name]
    dut, n_late = ActivationQueue(config), n_in_flight(config)
    assert dut.n_slots == config.queue_depth + n_late

    async def bench(ctx):
        await put(ctx, dut.i, [column(n) for n in range(config.queue_depth - 1)])
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.full)
        await put(ctx, dut.i, [column(config.queue_depth - 1)])
        assert ctx.get(dut.level) == config.queue_depth
        assert not ctx.get(dut.full)
        await put(ctx, dut.i, [column(config.queue_depth)])
        assert ctx.get(dut.full)
        await put(ctx, dut.i, [column(config.queue_depth + n) for n in range(1, n_late)])
        assert ctx.get(dut.level) == dut.n_slots
        received = await get(ctx, dut.o, n_late + 1)
        assert (ctx.get(dut.level), ctx.get(dut.full)) == (config.queue_depth - 1, 1)
        await ctx.tick()
        assert not ctx.get(dut.full)
        received += await get(ctx, dut.o, config.queue_depth - 1)
        assert received == [Layouts(config).column.const(column(n)) for n in range(dut.n_slots)]

    simulate(dut, bench)


@pytest.mark.parametrize("n_pe", [1, 4, 16, 64])
def test_messages_in_flight_fill_every_slot_and_none_is_lost(simulate, n_pe):
    config = EIEConfig(n_pe=n_pe, queue_depth=3, ptr_depth=128, spmat_depth=512)
    dut, levels = Path(config), []
    sent = [{"kind": Kind.ACTIVATION, "body": {"activation": {"value": n, "pointer": n % 64}}}
            for n in range(60)]

    async def producer(ctx):
        await put(ctx, dut.i, sent)

    async def consumer(ctx):
        await ctx.tick().repeat(60)    # long enough to fill it
        received = await get(ctx, dut.o, len(sent), stall=0.3)
        assert [payload.body.activation.value for payload in received] == list(range(len(sent)))

    async def watch(ctx):
        while True:
            *_, level = await ctx.tick().sample(dut.queue.level)
            levels.append(level)

    simulate(dut, producer, consumer, background=[watch])
    assert max(levels) == dut.queue.n_slots
