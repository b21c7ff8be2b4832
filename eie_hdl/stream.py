from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Cuts a stream in two: no path leads through it, neither forwards nor backwards.

    Holds up to two payloads, so that one passes every cycle. Latency is one cycle.

    Parameters
    ----------
    shape : :class:`~amaranth.hdl.ShapeLike`
        Shape of the payload.

    Members
    -------
    i : :py:`In(stream.Signature(shape))`
        Input.
    o : :py:`Out(stream.Signature(shape))`
        Output; both its payload and its valid are registers.
    """
    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape):
        self._shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform):
        m = Module()

        # What was accepted while the output was waiting.
        spare       = Signal(self._shape)
        spare_valid = Signal()
        m.d.comb += self.i.ready.eq(~spare_valid)

        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(spare_valid | self.i.valid),
                spare_valid.eq(0),
            ]
            with m.If(spare_valid):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(~spare_valid):
            m.d.sync += [
                spare.eq(self.i.payload),
                spare_valid.eq(self.i.valid),
            ]

        return m
