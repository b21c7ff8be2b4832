from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts
from .segment_table import started_layout
from .segment_walk import SegmentWalk, segment_layout

__all__ = ["LoopStarter"]


class LoopStarter(wiring.Component):
    """Starts the segments of a descriptor, tile after tile, as far ahead as the PEs have room.

    The descriptor is handed over to the broadcaster once, with its first segment or when the one
    before has ended.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration, with ``loops``.

    Members
    -------
    descriptor, source, begin
        As of :class:`~.segment_walk.SegmentWalk`.
    go : :py:`In(1)`
        The descriptor may start, from now on until it is `done`, or gives way.
    o : :py:`Out(stream.Signature(segment_layout(config)))`
        Segments to broadcast.
    segment : :py:`Out(stream.Signature(started_layout(config)))`
        The same segments, for a :class:`~.segment_table.SegmentTable`.
    tile_started, closes : :py:`Out(stream.Signature(0))`, :py:`Out(1)`
        A token per tile that is started, and if it is the last one.
    tile : :py:`Out(stream.Signature(0))`
        A token for the broadcaster.
    interrupts, gives_way : :py:`In(1)`, :py:`Out(1)`
        A vector is to be started; now, as the next segment is the first one of a tile. It waits:
        meanwhile the descriptor may change, if it is the same again two cycles before `go`.
    began, done : :py:`Out(1)`
        A segment has been started; strobe: all have, and the descriptor has been handed over.
    """
    descriptor: data.View
    source: Signal
    begin: Signal
    go: Signal
    o: stream.Interface
    segment: stream.Interface
    tile_started: stream.Interface
    closes: Signal
    tile: stream.Interface
    interrupts: Signal
    gives_way: Signal
    began: Signal
    done: Signal

    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        super().__init__({
            "descriptor": In(layouts.descriptor),
            "source":  In(layouts.start["source"].shape),
            "begin":   In(1),
            "go":      In(1),
            "o":       Out(stream.Signature(segment_layout(config))),
            "segment": Out(stream.Signature(started_layout(config))),
            "tile_started": Out(stream.Signature(0)),
            "closes":  Out(1),
            "tile":    Out(stream.Signature(0)),
            "interrupts": In(1),
            "gives_way":  Out(1),
            "began":   Out(1),
            "done":    Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.walk = walk = SegmentWalk(self._config)
        m.d.comb += [
            walk.descriptor.eq(self.descriptor),
            walk.source.eq(self.source),
            walk.begin.eq(self.begin),
        ]
        starts = self._start(m, walk)
        closes = starts & walk.o.p.ends_tile & walk.o.p.closes

        handed_over = Signal()
        all_started = Signal()
        hands_over  = self.tile.valid & self.tile.ready
        m.d.comb += [
            self.tile.valid.eq((starts | (self.began & self.go)) & ~handed_over),
            self.done.eq((handed_over | hands_over) & (all_started | closes)),
        ]
        m.d.sync += [
            self.began.eq((self.began | starts) & ~self.done),
            all_started.eq((all_started | closes) & ~self.done),
            handed_over.eq((handed_over | hands_over) & ~self.done),
        ]

        return m

    def _start(self, m, walk):
        """Start segments while there is room. Return if one is started."""
        found    = walk.o.p
        has_room = Signal()    # in the PEs, and for one more unwritten tile
        starts   = Signal()
        m.d.comb += [
            has_room.eq(self.segment.ready & (self.tile_started.ready | ~found.opens)),
            self.o.payload.eq(found),
            self.o.valid.eq(self.go & walk.o.valid & has_room),
            starts.eq(self.o.valid & self.o.ready),
            walk.o.ready.eq(starts),
            self.segment.p.origin.eq(found.origin),
            self.segment.p.ends_tile.eq(found.ends_tile),
            self.segment.p.closes.eq(found.closes),
            self.segment.valid.eq(starts),
            self.tile_started.valid.eq(starts & found.opens),
            self.closes.eq(found.closes),
            self.gives_way.eq(self.began & self.interrupts & walk.o.valid & found.opens),
        ]
        return starts
