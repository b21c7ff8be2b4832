from typing import NamedTuple

from amaranth.hdl import Cat, Mux, Signal, Value
from amaranth.lib import stream

from ..config import EIEConfig
from ..format import BEAT_WIDTH, Layouts, Memory, n_beats

__all__ = ["Word", "WordAssembler"]


class Word(NamedTuple):
    """Status of the word being received.

    This beat is its last one (`ends`); it is the last word of its packet (`is_final`); the output
    can accept it in this cycle (`has_room`); `next_address` is the address of the following word.
    """

    ends: Value
    is_final: Value
    has_room: Value
    next_address: Value


class WordAssembler:
    """Logic that assembles the beats of load packets into words with their destination.

    It is added to the module of the :class:`~eie_hdl.host.packet_reader.PacketReader`.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.
    data : 64 bits
        Beat.
    o : :py:`stream.Signature(layouts.load)`
        Words and their destination.
    input_row : value
        First row, in the activation SRAMs, of the input buffer that a packet is for.
    """
    def __init__(self, config: EIEConfig, data: Value, o: stream.Interface, input_row: Value):
        layouts         = Layouts.of(config)
        self._config    = config
        self._images    = {**layouts.memories, Memory.INPUT: layouts.memories[Memory.ACT]}
        self._data      = data
        self._o         = o
        self._input_row = input_row

    def assemble(self, m, packet, is_header, used, is_bad):
        """Add the logic to a module; return the status of the word being received.

        Parameters
        ----------
        m : :class:`~amaranth.hdl.Module`
            Module.
        packet : view of ``layouts.load_header``
            Header, with the address and the count of what remains, which this updates.
        is_header : 1 bit
            A header is accepted.
        used : 1 bit
            A valid beat of words is accepted.
        is_bad : 1 bit
            The header of two cycles ago is invalid: a word that is new is withdrawn.
        """
        # `earlier` holds all beats of a word but the last one.
        most_beats = max(n_beats(image.shape) for image in self._images.values())
        earlier    = Signal(BEAT_WIDTH * (most_beats - 1))
        beat       = Signal(range(most_beats))
        last_beat  = Signal.like(beat)
        bits       = Signal.like(self._o.p.data)
        with m.Switch(packet.memory):
            for memory, image in self._images.items():
                with m.Case(memory):
                    beats = n_beats(image.shape)
                    m.d.comb += [
                        last_beat.eq(beats - 1),
                        bits.eq(Cat(earlier[BEAT_WIDTH * (most_beats - beats):], self._data)),
                    ]

        # An input buffer is filled row by row, and each row PE by PE.
        is_input = packet.memory == Memory.INPUT
        turn     = Signal.like(self._o.p.pe)
        row      = self._input_row + packet.address
        offered = Signal()
        is_new  = Signal()    # offered in this cycle for the first time
        word = Word(ends=beat == last_beat, is_final=packet.count == 1,
                    has_room=~offered | self._o.ready,
                    next_address=packet.address + (~is_input | (turn == self._config.n_pe - 1)))

        # A new word is withdrawn if its header is invalid.
        is_withdrawn = is_bad & is_new
        m.d.comb += self._o.valid.eq(offered & ~is_withdrawn)
        m.d.sync += is_new.eq(used & word.ends)
        with m.If(self._o.ready | is_withdrawn):
            m.d.sync += offered.eq(0)
        with m.If(is_header):
            m.d.sync += [beat.eq(0), turn.eq(0)]
        with m.If(used):
            m.d.sync += [
                beat.eq(beat + 1),
                earlier.eq(Cat(earlier, self._data)[BEAT_WIDTH:]),
            ]
        with m.If(used & word.ends):
            m.d.sync += [
                beat.eq(0),
                turn.eq(turn + 1),
                packet.address.eq(word.next_address),
                packet.count.eq(packet.count - 1),
                offered.eq(1),
                self._o.p.address.eq(Mux(is_input, row, packet.address)),
                self._o.p.data.eq(bits),
                self._o.p.pe.eq(Mux(is_input, turn, packet.pe)),
                self._o.p.everyone.eq(packet.everyone & ~is_input),
                self._o.p.memory.eq(Mux(is_input, Memory.ACT, packet.memory)),
            ]
        return word
