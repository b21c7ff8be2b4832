from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..host.axi import AxiLiteSignature, AxiStreamSignature
from ..registers import ADDRESS_WIDTH
from .executor import Executor
from .frame_receiver import FrameReceiver
from .frame_sender import FrameSender

__all__ = ["Bridge"]


class Bridge(wiring.Component):
    """Bridge from a line of bytes to the buses of a machine.

    The protocol is that of :mod:`eie_hdl.frames`: the host sends a request and waits for its reply.

    Members
    -------
    received : :py:`In(stream.Signature(8, always_ready=True))`
        Bytes from the host.
    sent : :py:`Out(stream.Signature(8))`
        Bytes to the host.
    axil, beats, results, irq, connected, bad_frame
        As in :class:`~.executor.Executor`.
    """
    def __init__(self):
        super().__init__({
            "received":  In(stream.Signature(8, always_ready=True)),
            "sent":      Out(stream.Signature(8)),
            "axil":      Out(AxiLiteSignature(ADDRESS_WIDTH)),
            "beats":     Out(AxiStreamSignature()),
            "results":   In(AxiStreamSignature()),
            "irq":       In(1),
            "connected": Out(1),
            "bad_frame": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.executor = executor = Executor()
        m.submodules.sender   = sender   = FrameSender()

        connect(m, flipped(self).received, receiver.i)
        connect(m, receiver.o, executor.request)
        connect(m, executor.reply, sender.i)
        connect(m, sender.o, flipped(self).sent)
        connect(m, executor.axil, flipped(self).axil)
        connect(m, executor.beats, flipped(self).beats)
        connect(m, flipped(self).results, executor.results)
        m.d.comb += [
            executor.bad.eq(receiver.bad),
            executor.irq.eq(self.irq),
            self.connected.eq(executor.connected),
            self.bad_frame.eq(executor.bad_frame),
        ]

        return m
