from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import BEAT_WIDTH, N_BUFFERS, Layouts, Memory
from ..registers import REGISTER, Error
from .axi import stream_beat
from .crc32 import Crc32
from .error_log import error_layout
from .header_check import HeaderCheck
from .word_assembler import WordAssembler

__all__ = ["PacketReader"]


class PacketReader(wiring.Component):
    """Unpacks load packets: a header, then words for consecutive addresses of a memory.

    Throughput is one beat per cycle, within and across packets, as long as words are accepted; only
    the last beat of a word is stalled by the previous word. A word is offered in the cycle after
    its last beat.

    A header is checked in the cycle after it is accepted. The first beat of the packet may arrive
    in that cycle; it has no effect if the header is invalid. Errors are reported two cycles after a
    header, and one cycle after any other beat. The order of precedence is, for a header:
    PARTIAL_BEAT, BAD_HEADER, BAD_PE, BAD_ADDRESS, LOAD_IN_USE, TRUNCATED, OVERLONG; for any other
    beat: PARTIAL_BEAT, then TRUNCATED or OVERLONG. After an error, beats are dropped until `last`;
    words completed earlier remain written, as does the last word of an overlong packet. The report
    of a header with PARTIAL_BEAT has memory, PE and address zero.

    Words for an input buffer are written to PE 0, 1, ... at row ``input_base + address`` of the
    activation SRAM, plus ``input_stride`` for buffer 1; error reports have the address within the
    buffer. If the input buffers do not fit the SRAM, such a packet is a BAD_ADDRESS.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(stream_beat))`
        Packets: a ``layouts.load_header``, then words of :func:`~eie_hdl.format.n_beats` beats,
        least significant beat first.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words and their destination. An offered word remains offered regardless of `restart` and
        `discard`; only a reset of the component withdraws it.
    input_base, input_words : :py:`In(16)`
        First row of the input buffers in the activation SRAMs, and rows per buffer.
    input_stride : :py:`In(16)`
        Rows from buffer 0 to buffer 1; 0: input buffer 1 does not exist.
    in_use : :py:`In(1)`
        A program is running or pending, or a vector is being sent: only packets for input buffers
        are valid.
    buffer_in_use : :py:`In(2)`
        Per input buffer: in use. A packet for it is not accepted until it is free.
    restart : :py:`In(1)`
        Strobe: abandon the current packet and expect a header. No beat is accepted in this cycle.
    discard : :py:`In(1)`
        An error is pending: drop the current packet and new ones without reporting an error. Must
        follow each `error`.
    hold : :py:`In(1)`
        Stall the input.
    failing : :py:`Out(1)`
        An error was found that is not yet pending. Set from the cycle after an invalid beat, or the
        second after an invalid header, until `discard` or `restart`; meanwhile, packets are
        dropped.
    waiting_input : :py:`Out(2)`
        Per input buffer: the header of a packet for it is offered, and will not be dropped.
    receiving : :py:`Out(1)`
        A packet, dropped or not, is being received, its header is being checked, its last word is
        still offered, or it is `failing`.
    receiving_model : :py:`Out(1)`
        As `receiving`, for packets that are not dropped and not for an input buffer.
    receiving_input : :py:`Out(2)`
        Per input buffer: as `receiving`, for packets to this buffer that are not dropped.
    error : :py:`Out(error_layout)`
        Error of a packet, for one cycle.
    checksum : :py:`Out(32)`
        CRC-32, as ``zlib.crc32``, of the beats since `checksum_clear`; latency is three cycles. It
        covers valid headers of packets not for input buffers, and their beats up to the end of the
        packet or the first invalid beat, which is included unless partial.
    checksum_clear : :py:`In(1)`
        Strobe: restart the checksum; a beat accepted in this cycle is included.
    """
    i: stream.Interface
    o: stream.Interface
    input_base: Signal
    input_words: Signal
    input_stride: Signal
    in_use: Signal
    buffer_in_use: Signal
    restart: Signal
    discard: Signal
    hold: Signal
    failing: Signal
    receiving: Signal
    receiving_model: Signal
    receiving_input: Signal
    waiting_input: Signal
    error: data.View
    checksum: Signal
    checksum_clear: Signal

    def __init__(self, config: EIEConfig):
        self._config  = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i": In(stream.Signature(stream_beat)),
            "o": Out(stream.Signature(layouts.load)),
            "input_base": In(REGISTER["INPUT_BASE"].width()),
            "input_words": In(REGISTER["INPUT_WORDS"].width("words")),
            "input_stride": In(REGISTER["INPUT_STRIDE"].width()),
            "in_use": In(1),
            "buffer_in_use": In(N_BUFFERS),
            "restart": In(1),
            "discard": In(1),
            "hold": In(1),
            "failing": Out(1),
            "waiting_input": Out(N_BUFFERS),
            "receiving": Out(1),
            "receiving_model": Out(1),
            "receiving_input": Out(N_BUFFERS),
            "error": Out(error_layout),
            "checksum": Out(REGISTER["CHECKSUM"].width()),
            "checksum_clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()

        packet    = Signal(self._layouts.load_header)    # address and count of what remains
        is_input  = packet.memory == Memory.INPUT
        is_header = Signal()    # a header is accepted
        is_beat   = Signal()    # another beat is accepted
        is_bad    = Signal()    # the header of two cycles ago is invalid
        is_fault  = Signal()    # the beat is invalid
        stopped   = self.restart | self.discard | self.failing
        self._remember_failure(m, is_bad, is_fault)
        in_turn   = Signal(init=1)    # the header need not wait for its input buffer
        with m.FSM() as fsm:
            with m.State("HEADER"):
                self._await_buffer(m, stopped, in_turn)
                m.d.comb += is_header.eq(self.i.valid & self.i.ready)
                with m.If(is_header & ~self.i.p.last):
                    m.next = "WORDS"
                    with m.If(stopped):
                        m.next = "DROP"
            with m.State("WORDS"):
                m.d.comb += is_beat.eq(self.i.valid & self.i.ready)
                with m.If(self.restart | is_beat & self.i.p.last):
                    m.next = "HEADER"
                with m.Elif(stopped | is_fault):
                    m.next = "DROP"
            with m.State("DROP"):
                with m.If(self.restart | self.i.valid & self.i.ready & self.i.p.last):
                    m.next = "HEADER"
        in_words = fsm.ongoing("WORDS")

        # A header is checked in the cycle after it, and the verdict is available one cycle later;
        # until then, no word of the beat in between is offered. `used` beats are written.
        checking = Signal()
        judged   = Signal()
        verdict  = self._check_header(m, packet, is_header)
        m.d.comb += is_bad.eq(judged & (verdict.code != Error.NONE))
        m.d.sync += [
            checking.eq(is_header & ~stopped),
            judged.eq(checking & ~stopped),
        ]
        whole = self.i.p.keep.all()
        used  = is_beat & whole & ~stopped

        with m.If(is_header):
            m.d.sync += packet.as_value().eq(Mux(whole, self.i.p.data, 0))
        words = WordAssembler(self._config, self.i.p.data, self.o,
                              self.input_base + Mux(packet.buffer, self.input_stride, 0))
        word = words.assemble(m, packet, is_header, used, is_bad)
        fault = self._find_fault(m, packet, word, is_beat & ~stopped)
        m.d.comb += [
            is_fault.eq(fault.code != Error.NONE),
            self.i.ready.eq(~self.hold & ~self.restart & in_turn
                            & (~in_words | ~word.ends | word.has_room)),
        ]
        self._report(m, is_bad, verdict, fault)
        self._update_checksum(m, (is_header & ~stopped) | used,
                  ~is_input & ~(checking & stopped) & ~is_bad, is_bad)
        self._drive_receiving_flags(m, packet, in_words | checking, ~fsm.ongoing("HEADER"))

        return m

    def _await_buffer(self, m, stopped, in_turn):
        """Delay the header of a packet for an input buffer in use, unless it will be dropped."""
        header = self._layouts.load_header(self.i.p.data)
        with m.If(self.i.valid & (header.memory == Memory.INPUT) & ~stopped):
            m.d.comb += [
                self.waiting_input.eq(1 << header.buffer),
                in_turn.eq(~self.buffer_in_use.bit_select(header.buffer, 1)),
            ]

    def _remember_failure(self, m, is_bad, is_fault):
        """Drive `failing`, from an error until it is pending, however long that takes."""
        known = Signal()
        with m.If(self.restart | self.discard):
            m.d.sync += known.eq(0)
        with m.Elif(is_bad | is_fault):
            m.d.sync += known.eq(1)
        m.d.comb += self.failing.eq(is_bad | known)

    def _check_header(self, m, packet, is_header):
        """Check a header; the error is valid two cycles after it is accepted."""
        m.submodules.check = check = HeaderCheck(self._config)
        m.d.comb += [
            check.valid.eq(is_header),
            check.beat.eq(self.i.payload),
            check.header.eq(packet),
            check.input_base.eq(self.input_base),
            check.input_words.eq(self.input_words),
            check.input_stride.eq(self.input_stride),
            check.in_use.eq(self.in_use),
        ]
        return check.error

    def _find_fault(self, m, packet, word, is_beat):
        """Check a beat of words."""
        is_end = word.ends & word.is_final
        code   = Signal.like(self.error.code)
        fault  = Signal(error_layout)
        m.d.comb += [
            fault.code.eq(code),
            fault.address.eq(packet.address),
            fault.memory.eq(packet.memory),
            fault.pe.eq(packet.pe),
        ]
        with m.If(is_beat & ~self.i.p.keep.all()):
            m.d.comb += code.eq(Error.PARTIAL_BEAT)
        with m.Elif(is_beat & (self.i.p.last != is_end)):
            m.d.comb += code.eq(Mux(is_end, Error.OVERLONG, Error.TRUNCATED))
            with m.If(word.ends):
                m.d.comb += fault.address.eq(word.next_address)
        return fault

    def _report(self, m, is_bad, verdict, fault):
        """Report the verdict on a header, or a fault, which is delayed to follow the verdict."""
        earlier = Signal.like(fault)
        m.d.sync += earlier.eq(fault)
        with m.If(~self.restart):
            m.d.comb += self.error.eq(Mux(is_bad, verdict, earlier))

    def _update_checksum(self, m, taken, counts, is_bad):
        """Update the checksum with accepted beats.

        A beat `taken` is included if `counts` is set in the next cycle and `is_bad` is not set in
        the one after.
        """
        m.submodules.summer = crc = Crc32()
        s1_taken  = Signal()
        s1_beat   = Signal(BEAT_WIDTH)
        s2_counts = Signal()
        s2_beat   = Signal(BEAT_WIDTH)
        m.d.sync += [
            s1_taken.eq(taken),
            s1_beat.eq(self.i.p.data),
            s2_counts.eq(s1_taken & counts & ~self.checksum_clear),
            s2_beat.eq(s1_beat),
        ]
        m.d.comb += [
            crc.beat.eq(s2_beat),
            crc.valid.eq(s2_counts & ~is_bad),
            crc.clear.eq(self.checksum_clear),
            self.checksum.eq(crc.checksum),
        ]

    def _drive_receiving_flags(self, m, packet, is_wanted, in_packet):
        """Drive the flags, which stay set until the last word of a packet is accepted."""
        is_input = packet.memory == Memory.INPUT
        buffer   = Mux(is_input, 1 << packet.buffer, 0)
        offered  = Signal(N_BUFFERS)    # input buffer of the offered word
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += offered.eq(buffer)
        m.d.comb += [
            self.receiving.eq(in_packet | is_wanted | self.failing | self.o.valid),
            self.receiving_model.eq((is_wanted & ~is_input) | (self.o.valid & ~offered.any())),
            self.receiving_input.eq(Mux(is_wanted, buffer, 0) | Mux(self.o.valid, offered, 0)),
        ]
