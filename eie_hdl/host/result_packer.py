from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import BEAT_BYTES, BEAT_WIDTH, Layouts, result_lane_width
from .axi import stream_beat

__all__ = ["ResultPacker"]


class ResultPacker(wiring.Component):
    """Packs result elements into beats of an AXI4-Stream.

    Elements are sign-extended to :func:`~eie_hdl.format.result_lane_width` bits; the first one is
    in the least significant bits. A beat is sent when it is full, and at the last element of a
    vector with `last` set; unused bytes are zero, and their `keep` bits deasserted.

    Throughput is one element per cycle. A beat is offered in the cycle after its last element;
    elements of the next beat are accepted while it is stalled. The column number is ignored.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.result))`
        Elements of vectors, in order of column number.
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

        n_lanes  = BEAT_WIDTH // self._lane_width
        gathered = Signal(BEAT_WIDTH)    # zero from `lane` on
        lane     = Signal(range(n_lanes))
        kept     = Signal(BEAT_BYTES)    # valid bytes of `gathered`
        beat     = Signal(BEAT_WIDTH)
        keep     = Signal(BEAT_BYTES)
        m.d.comb += [
            beat.eq(gathered),
            beat.word_select(lane, self._lane_width).eq(self.i.p.value),
            keep.eq(Cat(Const(-1, signed(BEAT_BYTES // n_lanes)), kept)),
        ]

        leaves   = self.i.p.last | (lane == n_lanes - 1)
        has_room = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(~leaves | has_room)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            with m.If(leaves):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(beat),
                    self.o.p.keep.eq(keep),
                    self.o.p.last.eq(self.i.p.last),
                    gathered.eq(0),
                    kept.eq(0),
                    lane.eq(0),
                ]
            with m.Else():
                m.d.sync += [gathered.eq(beat), kept.eq(keep), lane.eq(lane + 1)]

        return m
