# amaranth: UnusedElaboratable=no
"""Shared, against the component that it instantiates."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.config import PRESETS
from eie_hdl.lib.shared_module import Shared, ports
from eie_hdl.lib.stream_queue import StreamQueue
from eie_hdl.pe.pe import Pe, PeSignature
from eie_hdl.tree.tree import TreeNode, TreeNodeSignature
from support.simulation import Unwatched, get, put

CONFIG = PRESETS["tiny"]
PAIR = data.StructLayout({"x": 3, "y": data.ArrayLayout(2, 2)})
PARTS = {
    "node of 2": (TreeNodeSignature(CONFIG, n_children=2),
                  lambda: TreeNode(CONFIG, n_children=2)),
    "node of 4": (TreeNodeSignature(CONFIG, n_children=4),
                  lambda: TreeNode(CONFIG, n_children=4)),
    "pe": (PeSignature(CONFIG), lambda: Pe(CONFIG)),
}


class Two(wiring.Component):
    """A component, and another instance of it through `Shared`."""

    def __init__(self, signature, make):
        self.direct = make()
        self.shared = Shared("place", "name", signature, make)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.direct = self.direct
        m.submodules.shared = self.shared
        return m


@pytest.mark.parametrize("part", PARTS)
def test_all_outputs_are_those_of_the_component_itself(simulate, part):
    dut = Two(*PARTS[part])
    rng = random.Random(19)
    pairs = list(zip(ports(dut.direct), ports(dut.shared), strict=True))

    async def bench(ctx):
        seen = set()
        for _ in range(200):
            for (_, flow, direct), (_, _, shared) in pairs:
                if flow == In:
                    bits = rng.getrandbits(len(direct))
                    ctx.set(direct, bits)
                    ctx.set(shared, bits)
            for (name, flow, direct), (_, _, shared) in pairs:
                if flow == Out:
                    value = ctx.get(direct)
                    assert ctx.get(shared) == value, name
                    seen.add((name, value))
            await ctx.tick()
        assert 2 * len(seen) > 3 * sum(flow == Out for (_, flow, _), _ in pairs)

    simulate(dut, bench)


@pytest.mark.parametrize("n_children", [2, 4])
def test_ports_are_those_of_the_component(n_children):
    node = TreeNode(CONFIG, n_children=n_children)
    shared = Shared("place", "name", TreeNodeSignature(CONFIG, n_children=n_children), None)
    assert [(name, flow, len(value)) for name, flow, value in ports(shared)] \
        == [(name, flow, len(value)) for name, flow, value in ports(node)]


class Queue(wiring.Component):
    """A queue of structures through `Shared`."""

    def __init__(self):
        signature = wiring.Signature(
            {"i": In(stream.Signature(PAIR)), "o": Out(stream.Signature(PAIR)),
             "level": Out(range(3))})
        self._shared = Shared("queue", "queue", signature, lambda: StreamQueue(PAIR, depth=2))
        super().__init__({"i": In(stream.Signature(PAIR)), "o": Out(stream.Signature(PAIR))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.shared = shared = self._shared
        connect(m, flipped(self.i), shared.i)
        connect(m, shared.o, flipped(self.o))
        return m


def test_streams_pass_through_as_plain_bits(simulate, stalls):
    dut = Queue()
    rng = random.Random(23)
    sent = [{"x": rng.randrange(8), "y": [rng.randrange(4), rng.randrange(4)]} for _ in range(40)]

    async def producer(ctx):
        await put(ctx, dut.i, sent, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(sent), stall=stalls.output)
        assert received == [PAIR.const(payload) for payload in sent]

    simulate(dut, producer, consumer)


def test_reset_reaches_the_component_a_cycle_later_and_for_two_cycles_or_more(simulate):
    reset = Signal()
    queue = StreamQueue(PAIR, depth=4)
    dut = Shared("queue", "queue", queue.signature, lambda: queue, reset=reset)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for expected, resets in [(0, 0), (1, 0), (2, 1), (3, 0), (0, 0), (0, 0), (1, 1), (2, 1),
                                 (0, 1), (0, 0), (0, 0), (1, 0)]:
            assert ctx.get(dut.level) == expected
            ctx.set(reset, resets)
            await ctx.tick()

    simulate(Unwatched(dut), bench)


def test_ports_are_named_after_their_path_and_exclude_constants():
    signature = wiring.Signature({
        "link": Out(wiring.Signature({"found": Out(stream.Signature(PAIR, always_ready=True))})),
        "both": In(stream.Signature(3)).array(2), "nothing": In(0)})
    shared = Shared("place", "name", signature, None)
    assert [(name, flow, len(value)) for name, flow, value in ports(shared)] == [
        ("link_found_payload", Out, 7), ("link_found_valid", Out, 1),
        ("both_0_payload", In, 3), ("both_0_valid", In, 1), ("both_0_ready", Out, 1),
        ("both_1_payload", In, 3), ("both_1_valid", In, 1), ("both_1_ready", Out, 1)]


def test_platform_that_knows_shared_modules_is_asked_for_an_instance():
    class Platform:
        def get_shared(self, shared):
            return "instance of", shared

    shared = Shared("place", "name", TreeNodeSignature(CONFIG, n_children=2), None)
    assert shared.elaborate(Platform()) == ("instance of", shared)
