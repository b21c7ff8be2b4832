from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..frames import END

__all__ = ["Spi"]


class Spi(wiring.Component):
    """Byte layer of the bridge as an SPI device: mode 0, most significant bit first.

    The clock of the bus is sampled: each of its phases must last at least eight clock cycles, as
    must the time from a fall of `cs_n` to the first rising edge. A byte is received and one is sent
    with every eight clocks; `END`, which means nothing between frames, is sent when there is none.
    So a host clocks further `END` until the reply has come. A byte that `cs_n` interrupts is lost.

    Members
    -------
    sck, cs_n, mosi : :py:`In(1)`
        Wires from the host; asynchronous.
    miso : :py:`Out(1)`
        Wire to the host, which changes after the falling edge of `sck`, and of `cs_n`. It is always
        driven.
    received : :py:`Out(stream.Signature(8, always_ready=True))`
        Bytes from the host, each offered for one cycle.
    sent : :py:`In(stream.Signature(8))`
        Bytes to the host. Within a frame, each must be valid in time for the next eight clocks.
    """
    #: Members that are pins.
    WIRES = {"sck": In(1), "cs_n": In(1, init=1),    # type: ignore[call-arg]
             "mosi": In(1), "miso": Out(1)}

    def __init__(self):
        super().__init__({
            **self.WIRES,
            "received": Out(stream.Signature(8, always_ready=True)),
            "sent":     In(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()

        sck, cs_n, mosi = self._synchronise(m)
        before = Signal()
        m.d.sync += before.eq(sck)

        is_rise, is_fall = sck & ~before, ~sck & before

        # Outgoing bytes change only where the host samples nothing: after a byte, and while it is
        # not selected.
        count = Signal(3)
        outgoing = Signal(8, init=END)
        filled = Signal()
        incoming = Signal(7)
        m.d.comb += [
            self.miso.eq(outgoing[7]),
            self.sent.ready.eq(Mux(cs_n, ~filled & (count == 0), is_fall & (count == 0))),
        ]
        m.d.sync += self.received.valid.eq(0)
        with m.If(self.sent.ready):
            m.d.sync += [
                outgoing.eq(Mux(self.sent.valid, self.sent.payload, END)),
                filled.eq(self.sent.valid),
            ]
        with m.If(cs_n):
            m.d.sync += count.eq(0)
            with m.If(count != 0):    # an interrupted byte
                m.d.sync += filled.eq(0)
        with m.Elif(is_rise):
            m.d.sync += [
                incoming.eq(Cat(mosi, incoming)),
                count.eq(count + 1),
            ]
            with m.If(count == 7):
                m.d.sync += [
                    filled.eq(0),
                    self.received.payload.eq(Cat(mosi, incoming)),
                    self.received.valid.eq(1),
                ]
        with m.Elif(is_fall & (count != 0)):
            m.d.sync += outgoing.eq(outgoing << 1)

        return m

    def _synchronise(self, m):
        """Return the wires from the host in this clock domain."""
        sck = Signal()
        cs_n = Signal(init=1)
        mosi = Signal()
        m.submodules.sck_synchroniser = FFSynchronizer(self.sck, sck)
        m.submodules.cs_n_synchroniser = FFSynchronizer(self.cs_n, cs_n, init=1)
        m.submodules.mosi_synchroniser = FFSynchronizer(self.mosi, mosi)
        return sck, cs_n, mosi
