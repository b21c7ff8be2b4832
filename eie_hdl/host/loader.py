from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..format import BEAT_WIDTH, Layouts, n_beats

__all__ = ["Loader"]


class Loader(wiring.Component):
    """Unpacks load packets: a header, then words for consecutive addresses of a memory.

    Takes one beat a cycle as long as its words are taken. A word for a memory, a PE or an address
    that does not exist is taken and comes to nothing. No latency: the last beat of a word
    completes it.

    Parameters
    ----------
    layouts : :class:`Layouts`
        Layouts of the words.

    Members
    -------
    i : :py:`In(stream.Signature(64))`
        Packets: a ``layouts.load_header``, then words of :func:`~eie_hdl.format.n_beats` beats,
        low beat first.
    o : :py:`Out(stream.Signature(layouts.load))`
        Words and where they belong.
    idle : :py:`Out(1)`
        Between packets.
    """
    i: stream.Interface
    o: stream.Interface
    idle: Signal

    def __init__(self, layouts: Layouts):
        self._layouts = layouts
        super().__init__({
            "i": In(stream.Signature(BEAT_WIDTH)),
            "o": Out(stream.Signature(layouts.load)),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        header = self._layouts.load_header(self.i.payload[:self._layouts.load_header.size])
        packet = Signal(self._layouts.load_header)    # its address and count are those that remain

        # Beats of the word before the last one.
        most_beats = n_beats(Shape.cast(self.o.payload.data.shape()))
        earlier    = Signal(BEAT_WIDTH * (most_beats - 1))
        beat       = Signal(range(most_beats))
        last_beat  = Signal.like(beat)
        has_place  = Signal()
        no_such_pe = ~packet.everyone & (packet.pe >> len(self.o.p.pe) != 0)
        with m.Switch(packet.memory):
            for memory, image in self._layouts.memories.items():
                with m.Case(memory):
                    beats = n_beats(image.shape)
                    m.d.comb += [
                        last_beat.eq(beats - 1),
                        has_place.eq((packet.address < image.depth) & ~no_such_pe),
                        self.o.p.data.eq(Cat(earlier[BEAT_WIDTH * (most_beats - beats):],
                                             self.i.payload)),
                    ]
        m.d.comb += [
            self.o.p.address.eq(packet.address),
            self.o.p.pe.eq(packet.pe),
            self.o.p.everyone.eq(packet.everyone),
            self.o.p.memory.eq(packet.memory),
        ]

        is_word = Signal()
        m.d.comb += [
            self.idle.eq(packet.count == 0),
            is_word.eq(~self.idle & (beat == last_beat)),
            self.o.valid.eq(self.i.valid & is_word & has_place),
            self.i.ready.eq(Mux(is_word & has_place, self.o.ready, 1)),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.If(self.idle):
                m.d.sync += packet.eq(header)
            with m.Elif(is_word):
                m.d.sync += [
                    packet.address.eq(packet.address + 1),
                    packet.count.eq(packet.count - 1),
                    beat.eq(0),
                ]
            with m.Else():
                m.d.sync += [
                    earlier.eq(Cat(earlier, self.i.payload)[BEAT_WIDTH:]),
                    beat.eq(beat + 1),
                ]

        return m
