from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import stream_beat

__all__ = ["PacketTerminator"]


class PacketTerminator(wiring.Component):
    """Terminates a packet whose source has been reset by a null beat with TLAST.

    A beat that has been offered to the host remains offered, as AXI4-Stream requires. Throughput is
    one beat per cycle; latency is one cycle.

    Members
    -------
    i : :py:`In(stream.Signature(stream_beat))`
        Packets.
    cut : :py:`In(1)`
        The source is in reset. The current packet, if incomplete, is terminated.
    o : :py:`Out(stream.Signature(stream_beat))`
        Packets, all of them terminated. Registered.
    """
    i: stream.Interface
    cut: Signal
    o: stream.Interface

    def __init__(self):
        super().__init__({
            "i":   In(stream.Signature(stream_beat)),
            "cut": In(1),
            "o":   Out(stream.Signature(stream_beat)),
        })

    def elaborate(self, platform):
        m = Module()

        is_open = Signal()    # the last beat was not the end of its packet
        closing = Signal()
        m.d.comb += self.i.ready.eq((~self.o.valid | self.o.ready) & ~closing & ~self.cut)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.payload.eq(self.i.payload),
                self.o.valid.eq(1),
                is_open.eq(~self.i.p.last),
            ]
        with m.If(closing & (~self.o.valid | self.o.ready)):
            m.d.sync += [
                self.o.payload.eq(0),
                self.o.p.last.eq(1),
                self.o.valid.eq(1),
                is_open.eq(0),
                closing.eq(0),
            ]
        with m.If(self.cut & is_open & ~closing):
            m.d.sync += closing.eq(1)

        return m
