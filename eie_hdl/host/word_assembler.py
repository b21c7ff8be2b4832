from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import BEAT_WIDTH, N_BUFFERS, Layouts, Memory, n_beats
from .header_check import max_count
from .interfaces import load_beat

__all__ = ["WordAssembler"]


class WordAssembler(wiring.Component):
    """Assembles the beats of load packets into words with their destination.

    A word is offered in the cycle after its last beat. Its beats are written to the payload of the
    output one by one, so none may arrive while the word before is stalled.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    beat : :py:`In(load_beat)`
        Beat.
    begins : :py:`In(1)`
        It is the header of a packet.
    writes : :py:`In(1)`
        It is a beat of words, or will not be used; no word is stalled.
    used : :py:`In(1)`
        It is a valid beat of words.
    blank : :py:`In(1)`
        Clear the data of `o`.
    for_input : :py:`In(2)`
        Per input buffer: the packet is for it. Applies from the cycle of the header on, as does
        `first_row`.
    first_row : :py:`In(...)`
        Address, in the output, of address 0 of the packet.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words and their destination. Registered.
    is_word : :py:`Out(1)`
        Strobe: the beat completes a word.
    ends_packet : :py:`Out(1)`
        The next beat is the last one of its packet. Registered.
    packet : :py:`Out(...)`
        Memory and PE of the packet, and address and count of what remains, from the cycle after the
        header on; zero after a partial header. Registered.
    """
    beat: data.View
    begins: Signal
    writes: Signal
    used: Signal
    blank: Signal
    for_input: Signal
    first_row: Signal
    o: stream.Interface
    is_word: Signal
    ends_packet: Signal
    packet: data.View

    def __init__(self, config: EIEConfig):
        layouts, memories = Layouts.of(config), Layouts.of(config).memories
        self._config  = config
        self._header  = layouts.load_header
        self._lengths = {memory: n_beats(memories[place].shape) for memory, place in
                         [*zip(memories, memories), (Memory.INPUT, Memory.ACT)]}
        super().__init__({
            "beat": In(load_beat), "begins": In(1), "writes": In(1), "used": In(1),
            "blank": In(1),
            "for_input": In(N_BUFFERS), "first_row": In(layouts.load["address"].shape),
            "o": Out(stream.Signature(layouts.load)),
            "is_word": Out(1), "ends_packet": Out(1),
            # The count is that of a valid packet.
            "packet": Out(data.StructLayout({
                **{name: self._header[name].shape
                   for name in ("address", "pe", "everyone", "memory")},
                "count": max_count(config).bit_length()})),
        })

    def elaborate(self, platform):
        m = Module()

        packet   = self.packet
        header   = self._header(Mux(self.beat.whole, self.beat.data, 0))
        lane     = Signal(range(max(self._lengths.values())))    # number of the beat in its word
        ends     = Signal()    # the beat is the last one of its word
        is_final = Signal()    # the word is the last one of its packet
        turn     = Signal.like(self.o.p.pe)
        is_short = self._has_length(m, header.memory, lambda length: length == 1)
        will_end = self._has_length(m, packet.memory, lambda length: (
            (length == 1) if length < 2 else ~ends & (lane == length - 2)))
        m.d.comb += [
            self.ends_packet.eq(ends & is_final),
            self.is_word.eq(self.used & ends),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.begins):
            m.d.sync += [
                *(packet[name].eq(header[name]) for name in packet.shape().members),
                is_final.eq(header.count == 1),
                ends.eq(is_short),
                lane.eq(0),
                turn.eq(0),
            ]
        with m.If(self.used):
            m.d.sync += [lane.eq(Mux(ends, 0, lane + 1)), ends.eq(will_end)]
        # An input buffer is filled row by row, and each row PE by PE.
        is_row_end = ~self.for_input.any() | (turn == self._config.n_pe - 1)
        with m.If(self.is_word):
            m.d.sync += [
                self.o.valid.eq(1),
                packet.count.eq(packet.count - 1),
                is_final.eq(packet.count == 2),
                turn.eq(turn + 1),
                packet.address.eq(packet.address + is_row_end),
            ]
        self._write(m, lane, turn)

        return m

    def _has_length(self, m, memory, rule):
        """Return a flag: the number of beats of a word of this memory follows a rule."""
        follows = Signal()
        with m.Switch(memory):
            for place, length in self._lengths.items():
                with m.Case(place):
                    m.d.comb += follows.eq(rule(length))
        return follows

    def _write(self, m, lane, turn):
        """Write a beat to its place in the output, and the destination."""
        o, packet, is_input = self.o.p, self.packet, self.for_input.any()
        with m.If(self.writes):
            m.d.sync += [
                o.address.eq(packet.address + self.first_row),
                o.pe.eq(Mux(is_input, turn, packet.pe)),
                o.everyone.eq(packet.everyone & ~is_input),
                o.memory.eq(Mux(is_input, Memory.ACT, packet.memory.as_value())),
            ]
        for number in range(max(self._lengths.values())):
            part = o.data[BEAT_WIDTH * number:BEAT_WIDTH * (number + 1)]
            with m.If(self.writes & (lane == number)):
                m.d.sync += part.eq(self.beat.data)
            with m.If(self.blank):
                m.d.sync += part.eq(0)
