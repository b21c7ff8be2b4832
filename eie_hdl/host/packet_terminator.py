from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import stream_beat

__all__ = ["PacketTerminator"]


class PacketTerminator(wiring.Component):
    """Terminates a packet whose source has been reset by a null beat with TLAST.

    Combinational. The data of the null beat is undefined.

    Members
    -------
    i : :py:`In(stream.Signature(stream_beat))`
        Packets.
    cut : :py:`In(1)`
        The source is in reset. The current packet, if incomplete, is terminated.
    o : :py:`Out(stream.Signature(stream_beat))`
        Packets, all of them terminated. A beat that is offered may be withdrawn by `cut`.
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
        m.d.comb += [
            self.i.ready.eq(self.o.ready & ~closing & ~self.cut),
            self.o.valid.eq(closing | (self.i.valid & ~self.cut)),
            self.o.p.data.eq(self.i.p.data),
            self.o.p.keep.eq(Mux(closing, 0, self.i.p.keep)),
            self.o.p.last.eq(closing | self.i.p.last),
        ]
        with m.If(self.cut & is_open):
            m.d.sync += closing.eq(1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [is_open.eq(~self.o.p.last), closing.eq(0)]

        return m
