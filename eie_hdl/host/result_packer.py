from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import BEAT_BYTES, BEAT_WIDTH, Layouts, result_lane_width
from .axi import stream_beat

__all__ = ["ResultPacker"]


class ResultPacker(wiring.Component):
    """Packs the elements of result words into beats of an AXI4-Stream.

    Elements are sign-extended to :func:`~eie_hdl.format.result_lane_width` bits; the first one is
    in the least significant bits. A beat is sent when it is full and another element follows, and
    at the end of a vector with `last` set; unused bytes are zero, and their `keep` bits deasserted.

    Throughput is one beat per cycle, and one word per cycle if a beat holds at least a word. A beat
    that a word overfills is offered in the cycle after this word, any other one with the word, or
    the end, that follows it.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.result))`
        Words of vectors, each vector with at least one, followed by one end.
    o : :py:`Out(stream.Signature(stream_beat))`
        Beats, one packet per vector.
    """
    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        self._lane_width = result_lane_width(config)
        super().__init__({
            "i": In(stream.Signature(Layouts.of(config).result)),
            "o": Out(stream.Signature(stream_beat)),
        })

    def elaborate(self, platform):
        m = Module()

        # Elements of a beat, or of an incomplete beat and a word; zero from `level` on.
        n_lanes  = BEAT_WIDTH // self._lane_width
        capacity = n_lanes - 1 + ACTS_PER_WORD
        gathered = Signal(capacity * self._lane_width)
        level    = Signal(range(capacity + 1))

        # A beat leaves when something follows it: the end leaves it the last one.
        is_end  = self.i.valid & self.i.p.end
        is_last = Signal()
        leaves  = Signal()
        kept    = Signal.like(level)
        rest    = Signal.like(gathered)
        m.d.comb += [
            is_last.eq(is_end & (level <= n_lanes)),
            self.o.valid.eq((level > n_lanes) | (self.i.valid & (level == n_lanes)) | is_last),
            self.o.p.data.eq(gathered[:BEAT_WIDTH]),
            self.o.p.keep.eq(Cat((lane < level).replicate(BEAT_BYTES // n_lanes)
                                 for lane in range(n_lanes))),
            self.o.p.last.eq(is_last),
            leaves.eq(self.o.valid & self.o.ready),
            kept.eq(Mux(leaves, Mux(is_last, 0, level - n_lanes), level)),
            rest.eq(Mux(leaves, gathered >> BEAT_WIDTH, gathered)),
        ]
        # A word is appended to the elements that stay.
        elements = Signal(data.ArrayLayout(self._lane_width, ACTS_PER_WORD))
        m.d.comb += elements[0].eq(self.i.p.word[0])
        for lane in range(1, ACTS_PER_WORD):
            with m.If(self.i.p.last_lane >= lane):
                m.d.comb += elements[lane].eq(self.i.p.word[lane])
        # A word makes a full beat leave once the output is ready, so that space does not depend on
        # `valid`. If there is space, `kept` is `level` modulo `n_lanes`.
        has_space = (level < n_lanes) | (self.o.ready & (level < 2 * n_lanes))
        place = Cat(Const(0, clog2(self._lane_width)), level[:clog2(n_lanes)])    # in bits
        m.d.comb += self.i.ready.eq(Mux(self.i.p.end, self.o.ready & (level <= n_lanes), has_space))
        m.d.sync += [level.eq(kept), gathered.eq(rest)]
        with m.If(self.i.valid & ~is_end & has_space):
            m.d.sync += [
                level.eq(kept + self.i.p.last_lane + 1),
                gathered.eq(rest | elements.as_value() << place),
            ]

        return m
