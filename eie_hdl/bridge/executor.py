"""Execution of requests: each exactly once, although the host may have to send it again."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_BYTES, BEAT_WIDTH
from ..frames import (
    HEADER_BYTES,
    IRQ_BIT,
    MAX_BEATS,
    MAX_READS,
    NONCE_BYTES,
    STATUS_WIDTH,
    Command,
    Status,
    hello_payload,
)
from ..host.axi import AxiLiteSignature, AxiStreamSignature, Response
from ..registers import ADDRESS_WIDTH, REGISTER_WIDTH
from .frame_receiver import RequestSignature
from .frame_sender import ReplySignature

__all__ = ["PATIENCE", "Executor"]

#: Cycles without a beat after which a `SEND` or `RECEIVE` ends, with fewer than it could have.
PATIENCE = 64

_ADDRESS_BYTES, _VALUE_BYTES = 2, REGISTER_WIDTH // 8
_KEEP_ALL = (1 << BEAT_BYTES) - 1


class Executor(wiring.Component):
    """Master of a machine's buses that executes the requests of :mod:`eie_hdl.frames`.

    A request is executed if its sequence number follows that of the last one. If it is the same,
    the last reply is sent again, and nothing else happens. Each request ends within bounded time,
    as long as the machine answers on `axil`.

    Members
    -------
    request : :py:`In(RequestSignature())`
        Request.
    bad : :py:`In(1)`
        Strobe: a frame was damaged, which a reply reports.
    reply : :py:`Out(ReplySignature())`
        Reply.
    axil : :py:`Out(AxiLiteSignature(ADDRESS_WIDTH))`
        Registers of the machine.
    beats, results : :py:`Out(AxiStreamSignature())`, :py:`In(AxiStreamSignature())`
        Packets to the machine, and from it.
    irq : :py:`In(1)`
        Interrupt request of the machine.
    connected : :py:`Out(1)`
        A session has begun since reset.
    bad_frame : :py:`Out(1)`
        A frame was damaged since the session began, or since reset.
    """
    def __init__(self):
        #: Bytes from the request, or to the reply; `n_left` of them are still to be moved.
        self._word     = Signal(BEAT_WIDTH, name="word")
        self._n_left   = Signal(range(BEAT_BYTES + 1), name="n_left")
        #: Next byte of the request.
        self._position = Signal.like(RequestSignature().create().length, name="position")
        self._command  = Signal(8, name="command")
        #: Status of the last reply, and bytes of its payload.
        self._status   = Signal(STATUS_WIDTH, name="status")
        self._length   = Signal.like(self._position, name="length")
        self._n_beats  = Signal(range(MAX_BEATS + 1), name="n_beats")
        self._patience = Signal(range(PATIENCE), name="patience")
        #: Sequence number of the request, and of the last one that was executed.
        self._sequence = Signal(8, name="sequence")
        self._last     = Signal(8, name="last")
        #: Status of a reply without payload that does not replace the reply that is kept.
        self._notice    = Signal(STATUS_WIDTH, name="notice")
        self._is_notice = Signal(name="is_notice")
        #: The last beat of the request ends its packet.
        self._ends_packet = Signal(name="ends_packet")
        #: TKEEP and TLAST of the last beat of results.
        self._keep      = Signal(BEAT_BYTES, name="keep")
        self._last_beat = Signal(name="last_beat")
        #: What ends a reply to `RECEIVE` is being stored.
        self._is_tail = Signal(name="is_tail")
        super().__init__({
            "request":   In(RequestSignature()),
            "bad":       In(1),
            "reply":     Out(ReplySignature()),
            "axil":      Out(AxiLiteSignature(ADDRESS_WIDTH)),
            "beats":     Out(AxiStreamSignature()),
            "results":   In(AxiStreamSignature()),
            "irq":       In(1),
            "connected": Out(1),
            "bad_frame": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        bad_pending = Signal()
        m.d.comb += [
            self.request.r.addr.eq(self._position),
            self.request.r.en.eq(0),    # unlike its initial value
            self.reply.w.addr.eq(self._length),
            self.reply.length.eq(Mux(self._is_notice, 0, self._length)),
            self.reply.w.data.eq(self._word[:8]),
            self.beats.tkeep.eq(_KEEP_ALL),
            self.reply.header.eq(Cat(
                Mux(self._is_notice, self._sequence, self._last),
                Mux(self._is_notice, self._notice, self._status),
                Const(0, IRQ_BIT - STATUS_WIDTH), self.irq, self.results.tvalid)),
        ]
        with m.If(self.beats.tready):
            m.d.sync += self.beats.tvalid.eq(0)
        with m.FSM():
            self._check(m, bad_pending)
            self._move(m)
            self._access(m)
            self._send(m)
            self._receive(m)
            with m.State("REPLY"):
                m.d.comb += [self.request.take.eq(1), self.reply.start.eq(1)]
                m.d.sync += [self._position.eq(0), self._is_notice.eq(0)]
                m.next = "IDLE"
            with m.State("NOTICE"):
                m.d.comb += self.reply.start.eq(1)
                m.d.sync += [self._position.eq(0), self._is_notice.eq(1)]
                m.next = "IDLE"
        with m.If(self.bad):
            m.d.sync += [bad_pending.eq(1), self.bad_frame.eq(1)]

        return m

    def _check(self, m, bad_pending):
        """Read the header of a request; execute it, or send the former reply or a notice."""
        with m.State("IDLE"):
            with m.If(self.request.valid & ~self.reply.busy):
                m.d.comb += self.request.r.en.eq(1)
                m.d.sync += self._position.eq(1)
                m.next = "SEQUENCE"
            with m.Elif(bad_pending & ~self.reply.busy):
                m.d.sync += [bad_pending.eq(0), self._notice.eq(Status.BAD_FRAME)]
                m.next = "NOTICE"
        with m.State("SEQUENCE"):
            m.d.comb += self.request.r.en.eq(1)
            m.d.sync += [self._sequence.eq(self.request.r.data), self._position.eq(HEADER_BYTES)]
            m.next = "COMMAND"
        with m.State("COMMAND"):
            m.d.sync += self._command.eq(self.request.r.data)
            m.next = "CHECK"
        with m.State("CHECK"):
            is_valid = self._is_valid(m)
            is_hello = (self._command == Command.HELLO) & is_valid
            is_next  = self._sequence == (self._last + 1)[:8]
            with m.If(is_hello | (self.connected & is_next)):
                m.d.sync += [
                    self._last.eq(self._sequence),
                    self._status.eq(Mux(is_valid, Status.OK, Status.BAD_COMMAND)),
                    self._length.eq(0),
                    self._n_beats.eq(0),
                    self._patience.eq(PATIENCE - 1),
                ]
                self._begin(m, is_valid)
            with m.Elif(self.connected & (self._sequence == self._last)):
                m.next = "REPLY"    # again
            with m.Else():
                m.d.comb += self.request.take.eq(1)
                m.d.sync += self._notice.eq(Status.BAD_SEQUENCE)
                m.next = "NOTICE"

    def _is_valid(self, m):
        """Return whether the command exists and its payload has the right length."""
        n_bytes = Signal.like(self.request.length)
        valid   = Signal()
        m.d.comb += n_bytes.eq(self.request.length - HEADER_BYTES)
        with m.Switch(self._command):
            with m.Case(Command.HELLO):
                m.d.comb += valid.eq(n_bytes == NONCE_BYTES)
            with m.Case(Command.READ):
                m.d.comb += valid.eq(~n_bytes[0] & (n_bytes <= MAX_READS * _ADDRESS_BYTES))
            with m.Case(Command.WRITE):
                m.d.comb += valid.eq(n_bytes == _ADDRESS_BYTES + _VALUE_BYTES)
            with m.Case(Command.SEND):
                m.d.comb += valid.eq((n_bytes % BEAT_BYTES == 1)
                                     & (n_bytes <= 1 + MAX_BEATS * BEAT_BYTES))
            with m.Case(Command.RECEIVE):
                m.d.comb += valid.eq(n_bytes == 0)
        return valid

    def _begin(self, m, is_valid):
        """Enter the first state of a command."""
        with m.If(~is_valid):
            m.next = "REPLY"
        with m.Else():
            with m.Switch(self._command):
                with m.Case(Command.HELLO):
                    m.d.sync += [self.connected.eq(1), self.bad_frame.eq(0)]
                    self._gather(m, NONCE_BYTES)
                with m.Case(Command.READ):
                    m.next = "NEXT"
                with m.Case(Command.WRITE):
                    self._gather(m, _ADDRESS_BYTES + _VALUE_BYTES)
                with m.Case(Command.SEND):
                    self._gather(m, 1)
                with m.Case(Command.RECEIVE):
                    m.d.sync += [
                        self._keep.eq(_KEEP_ALL),
                        self._last_beat.eq(0),
                        self._is_tail.eq(0),
                    ]
                    m.next = "RECEIVE"

    def _gather(self, m, n_bytes):
        """Move bytes of the request into the high bytes of the word."""
        m.d.sync += self._n_left.eq(n_bytes)
        m.next = "FETCH"

    def _store(self, m, n_bytes):
        """Move low bytes of the word to the reply."""
        m.d.sync += self._n_left.eq(n_bytes)
        m.next = "STORE"

    def _move(self, m):
        """Move the bytes of a word, and go on with the command."""
        with m.State("FETCH"):
            m.d.comb += self.request.r.en.eq(1)
            m.d.sync += self._position.eq(self._position + 1)
            m.next = "GATHER"
        with m.State("GATHER"):
            m.d.sync += [
                self._word.eq(Cat(self._word[8:], self.request.r.data)),
                self._n_left.eq(self._n_left - 1),
            ]
            m.next = "FETCH"
            with m.If(self._n_left == 1):
                with m.Switch(self._command):
                    with m.Case(Command.HELLO):
                        m.next = "HELLO"
                    with m.Case(Command.READ):
                        m.next = "ADDRESS"
                    with m.Case(Command.WRITE):
                        m.next = "WRITE"
                    with m.Default():
                        with m.If(self._position == HEADER_BYTES + 1):
                            m.d.sync += self._ends_packet.eq(self.request.r.data[0])
                            m.next = "NEXT"
                        with m.Else():
                            m.next = "OFFER"
        with m.State("STORE"):
            m.d.comb += self.reply.w.en.eq(1)
            m.d.sync += [
                self._word.eq(self._word >> 8),
                self._length.eq(self._length + 1),
                self._n_left.eq(self._n_left - 1),
            ]
            with m.If(self._n_left == 1):
                m.next = "REPLY"
                with m.If(self._command == Command.READ):
                    m.next = "NEXT"
                with m.Elif((self._command == Command.RECEIVE) & ~self._is_tail):
                    m.next = "RECEIVE"
        with m.State("NEXT"):    # an address or a beat
            with m.If(self._command == Command.READ):
                self._gather(m, _ADDRESS_BYTES)
            with m.Else():
                self._gather(m, BEAT_BYTES)
            with m.If(self._position == self.request.length):
                m.next = "END"
        with m.State("END"):
            m.next = "REPLY"
            with m.If(self._command == Command.SEND):
                m.d.sync += self._word.eq(self._n_beats)
                self._store(m, 1)
        with m.State("HELLO"):
            answer = hello_payload()
            m.d.sync += self._word.eq(Cat(
                self._word[-8 * NONCE_BYTES:], Const(int.from_bytes(answer, "little"),
                                                     8 * len(answer))))
            self._store(m, NONCE_BYTES + len(answer))

    def _access(self, m):
        """Access registers."""
        axil = self.axil
        address_given = Signal()
        value_given   = Signal()
        # Bytes were gathered from the high end of the word.
        m.d.comb += [
            axil.araddr.eq(self._word[-8 * _ADDRESS_BYTES:]),
            axil.awaddr.eq(self._word[-8 * (_ADDRESS_BYTES + _VALUE_BYTES):]),
            axil.wdata.eq(self._word[-8 * _VALUE_BYTES:]),
            axil.wstrb.eq(-1),
        ]
        with m.State("ADDRESS"):
            m.d.comb += axil.arvalid.eq(1)
            with m.If(axil.arready):
                m.next = "VALUE"
        with m.State("VALUE"):
            m.d.comb += axil.rready.eq(1)
            m.d.sync += self._word.eq(axil.rdata)
            with m.If(axil.rvalid):
                with m.If(axil.rresp == Response.OKAY):
                    self._store(m, _VALUE_BYTES)
                with m.Else():
                    m.d.sync += self._status.eq(Status.REFUSED)
                    m.next = "REPLY"
        with m.State("WRITE"):
            m.d.comb += [
                axil.awvalid.eq(~address_given),
                axil.wvalid.eq(~value_given),
                axil.bready.eq(1),
            ]
            m.d.sync += [
                address_given.eq(address_given | axil.awready),
                value_given.eq(value_given | axil.wready),
            ]
            with m.If(axil.bvalid):
                m.d.sync += [address_given.eq(0), value_given.eq(0)]
                with m.If(axil.bresp != Response.OKAY):
                    m.d.sync += self._status.eq(Status.REFUSED)
                m.next = "REPLY"

    def _send(self, m):
        """Offer beats to the machine, from a register: one that was offered cannot be taken back.
        """
        with m.State("OFFER"):
            m.d.sync += self._patience.eq(self._patience - 1)
            with m.If(~self.beats.tvalid | self.beats.tready):
                m.d.sync += [
                    self.beats.tvalid.eq(1),
                    self.beats.tdata.eq(self._word),
                    self.beats.tlast.eq(self._ends_packet
                                        & (self._position == self.request.length)),
                    self._n_beats.eq(self._n_beats + 1),
                    self._patience.eq(PATIENCE - 1),
                ]
                m.next = "NEXT"
            with m.Elif(self._patience == 0):
                m.next = "END"

    def _receive(self, m):
        """Take beats of results up to the end of a packet, and then say how the last one ended."""
        results = self.results
        with m.State("RECEIVE"):
            m.d.sync += [self._patience.eq(self._patience - 1), self._word.eq(results.tdata)]
            with m.If((self._n_beats == MAX_BEATS) | self._last_beat
                      | (self._keep != _KEEP_ALL) | (self._patience == 0)):
                m.d.sync += [self._word.eq(Cat(self._keep, self._last_beat)), self._is_tail.eq(1)]
                self._store(m, 2)
            with m.Else():
                m.d.comb += results.tready.eq(1)
                with m.If(results.tvalid):
                    m.d.sync += [
                        self._keep.eq(results.tkeep),
                        self._last_beat.eq(results.tlast),
                        self._n_beats.eq(self._n_beats + 1),
                        self._patience.eq(PATIENCE - 1),
                    ]
                    self._store(m, BEAT_BYTES)
