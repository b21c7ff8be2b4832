from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import clog2
from ..frames import CRC_BYTES, END, ESCAPE, ESCAPED, FRAME_BYTES, HEADER_BYTES
from ..lib.sram import Sram
from .byte_crc import ByteCrc

__all__ = ["FrameSender", "ReplySignature"]

#: A byte of a frame before stuffing, or a delimiter.
_token = data.StructLayout({"byte": 8, "is_end": 1})


class ReplySignature(wiring.Signature):
    """A reply to be sent, from the perspective of what makes it.

    Members
    -------
    start : :py:`Out(1)`
        Strobe: send the reply; not while `busy`.
    header : :py:`Out(16)`
        Its header, first byte in the low bits; used as the bytes leave.
    length : :py:`Out(range(FRAME_BYTES))`
        Bytes of its payload; constant while `busy`.
    w : :py:`In(memory.WritePort.Signature(...))`
        Payload; not to be written while `busy`. It is kept, so that a reply can be sent again.
    busy : :py:`In(1)`
        A reply is being sent.
    """
    def __init__(self) -> None:
        super().__init__({
            "start":  Out(1),
            "header": Out(8 * HEADER_BYTES),
            "length": Out(range(FRAME_BYTES)),
            "w":      In(memory.WritePort.Signature(addr_width=clog2(FRAME_BYTES),
                                                    shape=unsigned(8))),
            "busy":   In(1),
        })


class FrameSender(wiring.Component):
    """Sender of replies: keeps the payload; adds CRC, stuffing and delimiters.

    Members
    -------
    i : :py:`In(ReplySignature())`
        Reply.
    o : :py:`Out(stream.Signature(8))`
        Bytes of the line. Those of a frame follow one another by at most four cycles.
    """
    def __init__(self):
        self._buffer = Sram(width=8, depth=FRAME_BYTES)
        super().__init__({"i": In(ReplySignature()), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()

        m.submodules.buffer   = buffer   = self._buffer
        m.submodules.crc      = crc      = ByteCrc()
        m.submodules.stuffing = stuffing = _Stuffing()
        connect(m, flipped(self.i).w, buffer.w)
        connect(m, stuffing.o, flipped(self.o))

        self._send(m, stuffing.i, crc)

        return m

    def _send(self, m, token, crc):
        """Give the parts of a frame to the stuffing."""
        buffer = self._buffer
        number = Signal.like(self.i.length)
        byte   = Signal(8, reset_less=True)    # of the payload
        sent   = token.valid & token.ready
        m.d.comb += [
            crc.byte.eq(token.p.byte),
            buffer.r.addr.eq(number),
            buffer.r.en.eq(0),    # unlike its initial value
        ]

        def follow(state, n_bytes):
            """Count the tokens of a part; enter the next state after its last."""
            with m.If(sent):
                m.d.sync += number.eq(number + 1)
                with m.If(number == n_bytes - 1):
                    m.d.sync += number.eq(0)
                    m.next = state

        with m.FSM() as fsm:
            m.d.comb += [
                self.i.busy.eq(~fsm.ongoing("idle")),
                crc.valid.eq(sent & (fsm.ongoing("header") | fsm.ongoing("payload"))),
            ]
            with m.State("idle"):
                m.d.comb += crc.clear.eq(1)
                with m.If(self.i.start):
                    m.next = "open"
            with m.State("open"):
                m.d.comb += [token.valid.eq(1), token.p.is_end.eq(1)]
                follow("header", 1)
            with m.State("header"):
                m.d.comb += [
                    token.valid.eq(1),
                    token.p.byte.eq(self.i.header.word_select(number[0], 8)),
                ]
                with m.If(self.i.length == 0):
                    follow("crc", HEADER_BYTES)
                with m.Else():
                    follow("fetch", HEADER_BYTES)
            with m.State("fetch"):
                m.d.comb += buffer.r.en.eq(1)
                m.next = "fetched"
            with m.State("fetched"):    # block RAM output is late
                m.d.sync += byte.eq(buffer.r.data)
                m.next = "payload"
            with m.State("payload"):
                m.d.comb += [token.valid.eq(1), token.p.byte.eq(byte)]
                with m.If(sent):
                    m.next = "fetch"
                follow("crc", self.i.length)
            with m.State("crc"):
                m.d.comb += [
                    token.valid.eq(1),
                    token.p.byte.eq(crc.checksum.word_select(number[:clog2(CRC_BYTES)], 8)),
                ]
                follow("close", CRC_BYTES)
            with m.State("close"):
                m.d.comb += [token.valid.eq(1), token.p.is_end.eq(1)]
                follow("idle", 1)


class _Stuffing(wiring.Component):
    """Byte stuffing: a token becomes one or two bytes.

    Members
    -------
    i : :py:`In(stream.Signature(_token))`
        Bytes and delimiters.
    o : :py:`Out(stream.Signature(8))`
        Bytes of the line. Registered.
    """
    def __init__(self):
        super().__init__({"i": In(stream.Signature(_token)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()

        # `second` is the other byte of a pair, which follows the one offered.
        second = Signal(8)
        has_second = Signal()
        is_free = ~self.o.valid | self.o.ready
        with m.If(is_free):
            m.d.sync += self.o.valid.eq(0)
            with m.If(has_second):
                m.d.sync += [self.o.payload.eq(second), self.o.valid.eq(1), has_second.eq(0)]
            with m.Else():
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    self.o.payload.eq(Mux(self.i.p.is_end, END, self.i.p.byte)),
                    self.o.valid.eq(self.i.valid),
                ]
                for original, code in ESCAPED.items():
                    with m.If(self.i.valid & ~self.i.p.is_end & (self.i.p.byte == original)):
                        m.d.sync += [
                            self.o.payload.eq(ESCAPE),
                            second.eq(code),
                            has_second.eq(1),
                        ]

        return m
