"""Stream rules as hardware, shared by simulation and formal proofs."""

from typing import Any

from amaranth.hdl import Assert, Format, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["StreamRules"]


class StreamRules(wiring.Component):
    """Asserts that an offered payload stays valid and unchanged until it is taken.

    Parameters
    ----------
    signature : :class:`~amaranth.lib.stream.Signature`
        Signature of the watched stream.
    name : :class:`str`
        Name of the stream in messages.

    Members
    -------
    payload, valid, ready : :py:`In(...)`
        The stream. All are inputs, so that a stream of either direction can be watched.
    """
    payload: Any
    valid: Signal
    ready: Signal

    def __init__(self, signature, *, name="stream"):
        self._name = name

        super().__init__({member: In(port.shape) for member, port in signature.members.items()})

    def watch(self, m, stream):
        """Connect the monitor to `stream`, in either direction."""
        m.d.comb += [
            Value.cast(self.payload).eq(Value.cast(stream.payload)),
            self.valid.eq(stream.valid),
            self.ready.eq(stream.ready),
        ]

    def elaborate(self, platform):
        m = Module()

        payload = Value.cast(self.payload)
        waiting = Signal()
        offered = Signal.like(payload)
        m.d.sync += [
            waiting.eq(self.valid & ~self.ready),
            offered.eq(payload),
        ]
        with m.If(waiting):
            m.d.sync += [
                Assert(self.valid, Format(f"{self._name} must stay valid until it is taken")),
                Assert(payload == offered,
                       Format(f"{self._name} must offer {{:#x}} until it is taken, not {{:#x}}",
                              offered, payload)),
            ]

        return m
