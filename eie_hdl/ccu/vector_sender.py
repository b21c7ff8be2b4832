from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..format import Layouts

__all__ = ["VectorSender"]


class VectorSender(wiring.Component):
    """Marks the last element of a densely scanned vector.

    An element is held until the next element or the end arrives. One element per cycle.

    Parameters
    ----------
    layouts : :class:`Layouts`
        Word layouts of the configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.scan))`
        Elements, followed by one end.
    o : :py:`Out(stream.Signature(layouts.result))`
        Elements, the last one marked.
    """
    i: stream.Interface
    o: stream.Interface

    def __init__(self, layouts: Layouts):
        super().__init__({
            "i": In(stream.Signature(layouts.scan)),
            "o": Out(stream.Signature(layouts.result)),
        })

    def elaborate(self, platform):
        m = Module()

        waiting = Signal()
        m.d.comb += [
            self.o.valid.eq(waiting & self.i.valid),
            self.o.p.last.eq(self.i.p.end),
            self.i.ready.eq(~waiting | self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                waiting.eq(~self.i.p.end),
                self.o.p.column.eq(self.i.p.column),
                self.o.p.value.eq(self.i.p.value),
            ]

        return m
