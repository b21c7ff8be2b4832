from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig
from ..format import BEAT_WIDTH, N_BUFFERS, Layouts, Memory
from ..registers import REGISTER, Error
from .crc32 import Crc32
from .error_log import error_layout
from .header_check import FAULTS, HeaderCheck
from .interfaces import load_beat
from .word_assembler import WordAssembler

__all__ = ["PacketReader"]


class PacketReader(wiring.Component):
    """Unpacks load packets: a header, then words for consecutive addresses of a memory.

    Throughput is one beat per cycle, within and across packets, as long as words are accepted; a
    beat is stalled while the word before it is offered. A word is offered two cycles after its last
    beat.

    A beat is checked, and takes effect, in the cycle after it is accepted. Errors are reported two
    cycles after a beat. The order of precedence is, for a header: PARTIAL_BEAT, BAD_HEADER, BAD_PE,
    BAD_ADDRESS, LOAD_IN_USE, TRUNCATED, OVERLONG; for any other beat: PARTIAL_BEAT, then TRUNCATED
    or OVERLONG. After an error, beats are dropped until `last`; words completed earlier remain
    written, as does the last word of an overlong packet. The report of a header with PARTIAL_BEAT
    has memory, PE and address zero.

    Words for an input buffer are written to PE 0, 1, ... at row ``input_base + address`` of the
    activation SRAM, plus ``input_stride`` for buffer 1; error reports have the address within the
    buffer. If the input buffers do not fit the SRAM, such a packet is a BAD_ADDRESS.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(load_beat))`
        Packets: a ``layouts.load_header``, then words of :func:`~eie_hdl.format.n_beats` beats,
        least significant beat first.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words and their destination, registered. An offered word remains offered regardless of
        `restart` and `discard`; only a reset of the component withdraws it.
    input_base, input_words : :py:`In(16)`
        First row of the input buffers in the activation SRAMs, and rows per buffer. Those of the
        cycle in which a header is accepted apply to its packet.
    input_stride : :py:`In(16)`
        Rows from buffer 0 to buffer 1; 0: input buffer 1 does not exist. Likewise.
    in_use : :py:`In(1)`
        A program is running or pending, or a vector is being sent: only packets for input buffers
        are valid. Sampled in the cycle in which a header is accepted.
    buffer_in_use : :py:`In(2)`
        Per input buffer: in use. A packet for it is not accepted until it is free.
    restart : :py:`In(1)`
        Strobe: abandon the current packet and expect a header. No beat is accepted in this cycle.
    discard : :py:`In(1)`
        An error is pending: drop the current packet and new ones without reporting an error. Must
        follow each `error`.
    hold : :py:`In(1)`
        Stall the input.
    blank : :py:`In(1)`
        Clear the data of `o`, offered or not.
    failing : :py:`Out(1)`
        An error was found that is not yet pending. Set from the second cycle after an invalid beat
        until the cycle after `discard` or `restart`; meanwhile, packets are dropped. Registered.
    waiting_input : :py:`Out(2)`
        Per input buffer: the header of a packet for it is offered, and will not be dropped.
    receiving : :py:`Out(1)`
        A packet, dropped or not, is being received, its last beat is being checked, its last word
        is still offered, or it is `failing`.
    receiving_model : :py:`Out(1)`
        As `receiving`, for packets that are not dropped and not for an input buffer.
    receiving_input : :py:`Out(2)`
        Per input buffer: as `receiving`, for packets to this buffer that are not dropped.
    error : :py:`Out(error_layout)`
        Error of a packet, while `failing`, until `discard` or `restart`.
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
    blank: Signal
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
            "i": In(stream.Signature(load_beat)),
            "o": Out(stream.Signature(layouts.load)),
            "input_base": In(REGISTER["INPUT_BASE"].width()),
            "input_words": In(REGISTER["INPUT_WORDS"].width("words")),
            "input_stride": In(REGISTER["INPUT_STRIDE"].width()),
            "in_use": In(1),
            "buffer_in_use": In(N_BUFFERS),
            "restart": In(1),
            "discard": In(1),
            "hold": In(1),
            "blank": In(1),
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

        # Stage s0 accepts beats; in stage s1 they are checked, and have their effect.
        s0_is_header = Signal()
        s0_is_word   = Signal()    # a beat of words
        s1_beat      = Signal(load_beat, reset_less=True)
        s1_is_header = Signal()    # as above, of packets that are not dropped
        s1_is_word   = Signal()
        s1_waits     = s1_is_word & self.o.valid & ~self.o.ready
        stopped      = self.restart | self.discard | self.failing
        in_turn      = Signal(init=1)    # the header need not wait for its input buffer
        s0_taken     = self.i.valid & self.i.ready
        s0_is_last   = s0_taken & self.i.p.last
        m.d.comb += self.i.ready.eq(~self.hold & ~self.restart & in_turn & ~s1_waits)
        with m.FSM() as fsm:
            with m.State("HEADER"):
                self._await_buffer(m, stopped, in_turn)
                m.d.comb += s0_is_header.eq(s0_taken)
                with m.If(s0_taken & ~self.i.p.last):
                    m.next = "WORDS"
                    with m.If(stopped):
                        m.next = "DROP"
            with m.State("WORDS"):
                m.d.comb += s0_is_word.eq(s0_taken)
                with m.If(self.restart | s0_is_last):
                    m.next = "HEADER"
                with m.Elif(stopped):
                    m.next = "DROP"
            with m.State("DROP"):
                with m.If(self.restart | s0_is_last):
                    m.next = "HEADER"
        m.d.sync += [
            s1_is_header.eq(s0_is_header & ~stopped),
            s1_is_word.eq((s0_is_word | s1_waits) & ~stopped),
        ]
        with m.If(~s1_waits):
            m.d.sync += s1_beat.eq(self.i.payload)
        m.submodules.words = words = WordAssembler(self._config)
        arrives = s1_is_word & ~s1_waits & ~stopped
        m.d.comb += [
            words.beat.eq(s1_beat),
            words.blank.eq(self.blank),
            words.begins.eq(s1_is_header & ~self.failing),    # `error` has the packet that failed
            words.writes.eq(s1_is_word & ~s1_waits),
            words.used.eq(arrives & s1_beat.whole),
        ]
        connect(m, words.o, flipped(self.o))
        may_begin = fsm.ongoing("HEADER") & ~s1_waits    # whether or not there is a header
        for_input = self._look_up_buffer(m, may_begin, words)
        is_invalid = self._check(m, s1_beat, s1_is_header, arrives, words)
        is_sound   = s1_is_header & ~is_invalid & ~stopped
        self._update_checksum(m, s1_beat, is_sound | words.used, for_input)
        in_s1 = s1_is_header | s1_is_word
        m.d.comb += self.receiving.eq(~fsm.ongoing("HEADER") | in_s1 | self.failing | self.o.valid)
        self._drive_receiving_flags(m, for_input, fsm.ongoing("WORDS") | in_s1, words.is_word)

        return m

    def _await_buffer(self, m, stopped, in_turn):
        """Delay the header of a packet for an input buffer in use, unless it will be dropped."""
        header = self._layouts.load_header(self.i.p.data)
        with m.If(self.i.valid & (header.memory == Memory.INPUT) & ~stopped):
            m.d.comb += [
                self.waiting_input.eq(1 << header.buffer),
                in_turn.eq(~self.buffer_in_use.bit_select(header.buffer, 1)),
            ]

    def _look_up_buffer(self, m, may_begin, words):
        """Register the input buffer that a packet is for, if any, and its first row."""
        header    = self._layouts.load_header(self.i.p.data)
        is_input  = header.memory == Memory.INPUT
        for_input = Signal(N_BUFFERS)
        first_row = Signal.like(words.first_row)
        with m.If(may_begin):
            m.d.sync += [
                for_input.eq(Mux(is_input, 1 << header.buffer, 0)),
                first_row.eq(Mux(is_input, self.input_base, 0)
                             + Mux(is_input & header.buffer, self.input_stride, 0)),
            ]
        m.d.comb += [words.for_input.eq(for_input), words.first_row.eq(first_row)]
        return for_input

    def _check(self, m, beat, is_header, arrives, words):
        """Check a beat, and report its error until it is pending.

        Returns
        -------
        is_invalid : value
            The beat would be an invalid header.
        """
        m.submodules.check = check = HeaderCheck(self._config)
        faults = Signal(len(FAULTS))    # one of each error, of the packet that is `failing`
        found  = Signal.like(faults)
        m.d.comb += [
            check.beat.eq(self.i.payload),
            check.header.eq(beat.data),
            check.input_base.eq(self.input_base),
            check.input_words.eq(self.input_words),
            check.input_stride.eq(self.input_stride),
            check.in_use.eq(self.in_use),
        ]
        with m.If(is_header):
            m.d.comb += found.eq(check.faults)
        with m.If(arrives):
            m.d.comb += found.eq(Cat(
                {Error.PARTIAL_BEAT: ~beat.whole, Error.TRUNCATED: beat.last & ~words.ends_packet,
                 Error.OVERLONG: ~beat.last & words.ends_packet}.get(error, 0)
                for error in FAULTS))

        # The packet is kept meanwhile.
        with m.If(~self.failing):
            m.d.sync += [faults.eq(found), self.failing.eq(found.any())]
        with m.If(self.restart | self.discard):
            m.d.sync += self.failing.eq(0)
        with m.Elif(self.failing):
            for n, error in reversed(list(enumerate(FAULTS))):
                with m.If(faults[n]):
                    m.d.comb += self.error.code.eq(error)
        m.d.comb += [
            self.error.address.eq(words.packet.address),
            self.error.memory.eq(words.packet.memory),
            self.error.pe.eq(words.packet.pe),
        ]
        return check.faults.any()

    def _update_checksum(self, m, beat, is_sound, for_input):
        """Update the checksum with a valid header or beat, of a packet not for an input buffer."""
        m.submodules.summer = crc = Crc32()
        s2_counts = Signal()
        s2_beat   = Signal(BEAT_WIDTH, reset_less=True)
        m.d.sync += [
            s2_counts.eq(is_sound & ~for_input.any() & ~self.checksum_clear),
            s2_beat.eq(beat.data),
        ]
        m.d.comb += [
            crc.beat.eq(s2_beat),
            crc.valid.eq(s2_counts),
            crc.clear.eq(self.checksum_clear),
            self.checksum.eq(crc.checksum),
        ]

    def _drive_receiving_flags(self, m, for_input, is_wanted, is_word):
        """Drive the flags, which stay set until the last word of a packet is accepted."""
        offers_input = Signal(N_BUFFERS)    # input buffer of the offered word
        offers_model = Signal()
        with m.If(self.o.ready):
            m.d.sync += [offers_input.eq(0), offers_model.eq(0)]
        with m.If(is_word):
            m.d.sync += [offers_input.eq(for_input), offers_model.eq(~for_input.any())]
        m.d.comb += [
            self.receiving_model.eq((is_wanted & ~for_input.any()) | offers_model),
            self.receiving_input.eq(Mux(is_wanted, for_input, 0) | offers_input),
        ]
