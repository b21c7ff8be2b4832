from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from .sram import Sram

__all__ = ["StreamQueue"]


class StreamQueue(wiring.Component):
    """First-in, first-out queue between two streams of the same payload.

    There is no combinational path between input and output, in either direction. Throughput is one
    payload per cycle at any depth; latency is one cycle.

    Parameters
    ----------
    shape : :class:`~amaranth.hdl.ShapeLike`
        Shape of the payload.
    depth : :class:`int`
        Capacity in payloads, at least 2.

    Members
    -------
    i : :py:`In(stream.Signature(shape))`
        Input.
    o : :py:`Out(stream.Signature(shape))`
        Output.
    level : :py:`Out(range(depth + 1))`
        Number of payloads held.
    """
    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape, *, depth):
        if not isinstance(depth, int) or depth < 2:
            raise TypeError(f"Queue depth must be an integer of at least 2, not {depth!r}")

        self._depth = depth
        # The number of rows is a power of two, so that head and tail wrap around.
        self._rows = Sram(width=Shape.cast(shape).width, depth=1 << clog2(depth), block=False)

        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.storage = rows = self._rows
        put = self.i.valid & self.i.ready
        get = self.o.valid & self.o.ready
        m.d.sync += self.level.eq(self.level + put - get)

        head = Signal.like(rows.r.addr)
        tail = Signal.like(rows.w.addr)
        after_head = Signal.like(head)
        m.d.comb += after_head.eq(head + get)
        m.d.sync += [
            head.eq(after_head),
            tail.eq(tail + put),
        ]

        # The head row is read in every cycle: a payload written to it is visible in the next.
        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            rows.w.addr.eq(tail),
            rows.w.data.eq(self.i.payload),
            rows.w.en.eq(put),
            rows.r.addr.eq(after_head),
            rows.r.en.eq(1),
            self.o.payload.eq(rows.r.data),
            self.o.valid.eq(self.level != 0),
        ]

        return m
