from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import clog2
from ..frames import CRC_BYTES, END, ESCAPE, ESCAPED, FRAME_BYTES, HEADER_BYTES
from ..lib.sram import Sram
from .byte_crc import ByteCrc

__all__ = ["FrameReceiver", "RequestSignature"]


class RequestSignature(wiring.Signature):
    """A sound request that is kept, from the perspective of the receiver.

    Members
    -------
    valid : :py:`Out(1)`
        There is one, which may be read.
    length : :py:`Out(range(FRAME_BYTES))`
        Bytes of its header and payload.
    r : :py:`Out(memory.ReadPort.Signature(...))`
        Its bytes; to be enabled only while `valid`.
    take : :py:`In(1)`
        Strobe: it has been read.
    """
    def __init__(self) -> None:
        super().__init__({
            "valid":  Out(1),
            "length": Out(range(FRAME_BYTES)),
            "r":      Out(memory.ReadPort.Signature(addr_width=clog2(FRAME_BYTES),
                                                    shape=unsigned(8))),
            "take":   In(1),
        })


class FrameReceiver(wiring.Component):
    """Receiver of requests: removes stuffing, checks the CRC, and keeps one frame.

    A frame that begins while one is kept is dropped without a word: the host has not waited for a
    reply, and will send it again.

    Members
    -------
    i : :py:`In(stream.Signature(8, always_ready=True))`
        Bytes of the line.
    o : :py:`Out(RequestSignature())`
        The request. It is valid a cycle after the `END` of its frame.
    bad : :py:`Out(1)`
        Strobe: a frame was damaged.
    """
    def __init__(self):
        self._buffer = Sram(width=8, depth=FRAME_BYTES)
        super().__init__({
            "i":   In(stream.Signature(8, always_ready=True)),
            "o":   Out(RequestSignature()),
            "bad": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.buffer = buffer = self._buffer
        m.submodules.crc  = crc  = ByteCrc()
        connect(m, flipped(self.o).r, buffer.r)

        escaped = Signal()
        byte    = Signal(8)
        is_code = Signal()
        m.d.comb += byte.eq(self.i.payload)
        with m.If(escaped):
            with m.Switch(self.i.payload):
                for original, code in ESCAPED.items():
                    with m.Case(code):
                        m.d.comb += [byte.eq(original), is_code.eq(1)]

        # `begun`: there was a byte since the last END. `faulty`: the frame cannot be sound.
        # `skipped`: it is dropped without an answer.
        count   = Signal(range(FRAME_BYTES + 1))
        begun   = Signal()
        faulty  = Signal()
        skipped = Signal()
        is_kept = Signal()
        m.d.comb += [
            is_kept.eq(~(skipped | faulty | (self.o.valid & ~begun))),
            buffer.w.addr.eq(count),
            buffer.w.data.eq(byte),
            crc.byte.eq(byte),
            crc.valid.eq(buffer.w.en),
        ]
        with m.If(self.o.take):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & (self.i.payload == END)):
            is_sound = ~(faulty | escaped) & crc.is_sound & (
                count >= HEADER_BYTES + CRC_BYTES)
            m.d.comb += [crc.clear.eq(1), self.bad.eq(begun & ~skipped & ~is_sound)]
            m.d.sync += [signal.eq(0) for signal in (count, begun, faulty, skipped, escaped)]
            with m.If(begun & ~skipped & is_sound):
                m.d.sync += [self.o.valid.eq(1), self.o.length.eq(count - CRC_BYTES)]
        with m.Elif(self.i.valid):
            m.d.sync += begun.eq(1)
            with m.If(self.o.valid & ~begun):
                m.d.sync += skipped.eq(1)
            with m.If(~escaped & (self.i.payload == ESCAPE)):
                m.d.sync += escaped.eq(1)
            with m.Elif((escaped & ~is_code) | (count == FRAME_BYTES)):
                m.d.sync += faulty.eq(1)
            with m.Else():
                m.d.comb += buffer.w.en.eq(is_kept)
                m.d.sync += [escaped.eq(0), count.eq(count + 1)]

        return m
