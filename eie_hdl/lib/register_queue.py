from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .data_register import data_register

__all__ = ["RegisterQueue"]


class RegisterQueue(wiring.Component):
    """First-in, first-out queue of two payloads between two streams, in registers.

    As :class:`~.stream_queue.StreamQueue` of depth 2, for streams whose `ready` comes late or whose
    payload is needed early: there is no LUT RAM to address or to read. It costs a LUT more for each
    bit.

    Parameters
    ----------
    shape : :class:`~amaranth.hdl.ShapeLike`
        Shape of the payload.

    Members
    -------
    i : :py:`In(stream.Signature(shape))`
        Input.
    o : :py:`Out(stream.Signature(shape))`
        Output. Registered.
    level : :py:`Out(range(3))`
        Number of payloads held.
    """
    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape):
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(3)),
        })

    def elaborate(self, platform):
        m = Module()

        head     = data_register(m, self.o.payload)
        spare    = Signal.like(self.i.payload, reset_less=True)    # while `head` is not taken
        is_spare = Signal()
        m.d.comb += [
            self.i.ready.eq(~is_spare),
            self.level.eq(self.o.valid + is_spare),
        ]
        with m.If(~is_spare):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += head.eq(Mux(is_spare, spare, self.i.payload))
        # As functions of `ready`, not by an enable or a reset, which would be later.
        is_kept = self.o.valid & ~self.o.ready
        m.d.sync += [
            self.o.valid.eq(is_kept | is_spare | self.i.valid),
            is_spare.eq(is_kept & (is_spare | self.i.valid)),
        ]

        return m
