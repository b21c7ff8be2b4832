# amaranth: UnusedElaboratable=no
"""RegisterQueue, cycle by cycle beside a StreamQueue of depth 2.

That it has no combinational path is tested in test_stream_queue.py.
"""

import random

from amaranth.hdl import Module
from amaranth.lib import wiring

from eie_hdl.lib.register_queue import RegisterQueue
from eie_hdl.lib.stream_queue import StreamQueue


class Both(wiring.Component):
    """The queue and its reference."""

    def __init__(self):
        super().__init__({})
        self.queues = [RegisterQueue(16), StreamQueue(16, depth=2)]

    def elaborate(self, platform):
        m = Module()
        m.submodules += self.queues
        return m


def test_it_is_a_queue_of_two(simulate):
    both = Both()
    dut, reference = both.queues
    rng, levels = random.Random(1), set()

    async def bench(ctx):
        for cycle in range(1000):
            if cycle % 50 == 0:
                sends, takes = rng.random(), rng.random()
            valid, payload, ready = rng.random() < sends, rng.getrandbits(16), rng.random() < takes
            for queue in both.queues:
                ctx.set(queue.i.valid, valid)
                ctx.set(queue.i.payload, payload)
                ctx.set(queue.o.ready, ready)
            for name in ("i.ready", "o.valid", "level"):
                seen, expected = (ctx.get(_find(queue, name)) for queue in both.queues)
                assert seen == expected, name
            if ctx.get(dut.o.valid):
                assert ctx.get(dut.o.payload) == ctx.get(reference.o.payload)
            levels.add((ctx.get(dut.level), valid, ready))
            await ctx.tick()

    simulate(both, bench)
    assert len(levels) == 12


def _find(queue, name):
    for part in name.split("."):
        queue = getattr(queue, part)
    return queue
