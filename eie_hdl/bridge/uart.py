"""Bytes on a serial line: 8 data bits, least significant first, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..frames import MIN_BIT_CYCLES

__all__ = ["Uart"]

_DATA_BITS = 8


class Uart(wiring.Component):
    """Byte layer of the bridge on two wires.

    Neither direction buffers bytes. A received byte is offered for one cycle when its stop bit is
    sampled; one without a stop bit is dropped, as is a start bit that ends before its middle.

    Parameters
    ----------
    bit_cycles : :class:`int`
        Clock cycles per bit, at least :data:`~..frames.MIN_BIT_CYCLES`: the clock rate over the
        baud rate.

    Members
    -------
    rx, tx : :py:`In(1)`, :py:`Out(1)`
        Wires to and from the host; high when idle. `rx` is asynchronous.
    received : :py:`Out(stream.Signature(8, always_ready=True))`
        Bytes from the host.
    sent : :py:`In(stream.Signature(8))`
        Bytes to the host.
    """
    #: Members that are pins.
    WIRES = {"rx": In(1, init=1), "tx": Out(1, init=1)}    # type: ignore[call-arg]

    def __init__(self, *, bit_cycles: int):
        if not isinstance(bit_cycles, int):
            raise TypeError(f"bit_cycles must be an integer, not {bit_cycles!r}")
        if bit_cycles < MIN_BIT_CYCLES:
            raise ValueError(f"bit_cycles must be at least {MIN_BIT_CYCLES}, not {bit_cycles}: "
                             f"choose a lower baud rate")

        self._bit_cycles = bit_cycles
        super().__init__({
            **self.WIRES,
            "received": Out(stream.Signature(_DATA_BITS, always_ready=True)),
            "sent":     In(stream.Signature(_DATA_BITS)),
        })

    def elaborate(self, platform):
        m = Module()

        self._receive(m)
        self._transmit(m)

        return m

    def _receive(self, m):
        rx = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)

        # The start bit is sampled after half a bit, each of the others a bit later.
        cycle = Signal(range(self._bit_cycles))
        bits_left = Signal(range(_DATA_BITS + 3))
        is_sample = Signal()
        m.d.comb += is_sample.eq(cycle == 0)
        m.d.sync += self.received.valid.eq(0)
        with m.If(bits_left == 0):
            m.d.sync += cycle.eq(self._bit_cycles // 2 - 1)
            with m.If(~rx):
                m.d.sync += bits_left.eq(_DATA_BITS + 2)
        with m.Elif(~is_sample):
            m.d.sync += cycle.eq(cycle - 1)
        with m.Elif((bits_left == _DATA_BITS + 2) & rx):    # a glitch, not a start bit
            m.d.sync += bits_left.eq(0)
        with m.Else():
            m.d.sync += [
                cycle.eq(self._bit_cycles - 1),
                bits_left.eq(bits_left - 1),
            ]
            with m.If(bits_left == 1):
                m.d.sync += self.received.valid.eq(rx)
            with m.Else():
                m.d.sync += self.received.payload.eq(Cat(self.received.payload[1:], rx))

    def _transmit(self, m):
        cycle = Signal(range(self._bit_cycles))
        bits = Signal(_DATA_BITS + 1)
        bits_left = Signal(range(_DATA_BITS + 3))
        with m.If(cycle != 0):
            m.d.sync += cycle.eq(cycle - 1)
        with m.Elif(bits_left == 0):
            m.d.comb += self.sent.ready.eq(1)
            with m.If(self.sent.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    bits.eq(Cat(self.sent.payload, 1)),
                    bits_left.eq(_DATA_BITS + 1),
                    cycle.eq(self._bit_cycles - 1),
                ]
        with m.Else():
            m.d.sync += [
                self.tx.eq(bits[0]),
                bits.eq(bits >> 1),
                bits_left.eq(bits_left - 1),
                cycle.eq(self._bit_cycles - 1),
            ]
