from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import stream_beat

__all__ = ["PacketTerminator"]


class PacketTerminator(wiring.Component):
    """Ends a packet whose source has been reset: by a beat without bytes, but with TLAST.

    What has been offered to the host stays, as AXI4-Stream demands. One beat a cycle; latency is
    one cycle.

    Members
    -------
    i : :py:`In(stream.Signature(stream_beat))`
        Packets.
    cut : :py:`In(1)`
        Strobe: what comes from the input has nothing to do with what came before.
    o : :py:`Out(stream.Signature(stream_beat))`
        Packets, all of them with an end. A register.
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

        is_open = Signal()    # the packet of the last beat goes on
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
