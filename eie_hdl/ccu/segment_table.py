from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_SEGMENTS, Layouts
from ..lib.sram import Sram
from ..lib.stream_queue import StreamQueue

__all__ = ["SegmentTable", "located_layout", "started_layout"]


def started_layout(config: EIEConfig) -> data.StructLayout:
    """Segment that is started: `origin` is the pointer of column 0 of the SRAMs.

    `ends_tile` marks the last one of a tile, and `closes` the last tile of a descriptor.
    """
    return data.StructLayout({
        "origin": Layouts.of(config).activation["pointer"].shape, "ends_tile": 1, "closes": 1})


def located_layout(config: EIEConfig) -> data.StructLayout:
    """Activation with the `pointer` of its column; or the end of a scan, which closes a descriptor.
    """
    layouts = Layouts.of(config)
    return data.StructLayout({
        "pointer": layouts.activation["pointer"].shape, "value": layouts.value, "end": 1,
        "closes": 1})


class SegmentTable(wiring.Component):
    """Segments that are being scanned: room for them in the PEs, and pointers of what they find.

    Segments are numbered in the order of their starts, modulo :data:`~eie_hdl.format.N_SEGMENTS`.
    The end of a scan frees those of its tile. Latency of an activation is one cycle.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration, with ``loops``.

    Members
    -------
    start : :py:`In(stream.Signature(started_layout(config)))`
        Segments that are started, of at most ``max_tiles`` tiles whose ends have not been found.
        Stalled while the PEs have no room for another one.
    i : :py:`In(stream.Signature(layouts.scan))`
        Activations that the scanners find, and an end for each tile.
    o : :py:`Out(stream.Signature(located_layout(config)))`
        The same with pointers.
    """
    start: stream.Interface
    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        layouts = Layouts.of(config)
        pointer = layouts.activation["pointer"].shape
        self._max_tiles = config.max_tiles
        self._origins = Sram(width=Shape.cast(pointer).width, depth=N_SEGMENTS, block=False)
        super().__init__({
            "start": In(stream.Signature(started_layout(config))),
            "i":     In(stream.Signature(layouts.scan)),
            "o":     Out(stream.Signature(located_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()

        number = Signal(clog2(N_SEGMENTS))
        starts = self.start.valid & self.start.ready
        with m.If(starts):
            m.d.sync += number.eq(number + 1)
        found = self._locate(m, number, starts)
        self._count(m, starts, found.end)

        return m

    def _locate(self, m, number, starts):
        """Keep the pointer of each segment that `starts`, and add the columns that are found.

        Return what has been found.
        """
        m.submodules.origins = origins = self._origins
        found = Signal.like(self.i.payload, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            origins.r.addr.eq(self.i.p.segment),
            origins.r.en.eq(self.i.ready),
            origins.w.addr.eq(number),
            origins.w.data.eq(self.start.p.origin),
            origins.w.en.eq(starts),
            # Of an end, a constant: its segment may be replaced before it is taken.
            self.o.p.pointer.eq(Mux(found.end, 0, origins.r.data + found.column)),
            self.o.p.value.eq(found.value),
            self.o.p.end.eq(found.end),
        ]
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), found.eq(self.i.payload)]
        return found

    def _count(self, m, starts, is_end):
        """Count the segments of each tile of which the end has not been found, and of all."""
        m.submodules.tiles = tiles = StreamQueue(
            data.StructLayout({"count": clog2(N_SEGMENTS + 1), "closes": 1}),
            depth=self._max_tiles)
        count   = Signal(range(N_SEGMENTS + 1))    # of the tile that is being started
        n_used  = Signal(range(N_SEGMENTS + 1))
        n_freed = Signal.like(n_used)    # by an end in the cycle before
        n_kept  = Signal.like(n_used)
        is_free = Signal(init=1)         # a register, as starts are known late
        m.d.comb += [
            self.start.ready.eq(is_free),
            n_kept.eq(n_used - n_freed),
            tiles.i.p.count.eq(count + 1),
            tiles.i.p.closes.eq(self.start.p.closes),
            self.o.p.closes.eq(is_end & tiles.o.p.closes),
            tiles.i.valid.eq(starts & self.start.p.ends_tile),
            tiles.o.ready.eq(self.o.valid & self.o.ready & is_end),
        ]
        m.d.sync += [
            n_freed.eq(Mux(tiles.o.ready, tiles.o.p.count, 0)),
            n_used.eq(n_kept + starts),
            is_free.eq(Mux(starts, n_kept != N_SEGMENTS - 1, n_kept != N_SEGMENTS)),
        ]
        with m.If(starts):
            m.d.sync += count.eq(Mux(self.start.p.ends_tile, 0, count + 1))
