from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts
from ..lib.data_register import data_register

__all__ = ["SegmentWalk", "segment_layout"]


def segment_layout(config: EIEConfig) -> data.StructLayout:
    """Segment to scan: the fields of a start, and those for the CCU.

    `origin` is the pointer of column 0 of the SRAMs, modulo its width; in local mode, of slot 0 of
    those of each PE. `opens` and `ends_tile` mark the first and the last segment of a pixel,
    `begins_loop` the first one of a descriptor, and `closes` the last pixel.
    """
    start = Layouts.of(config).start
    return data.StructLayout({
        **{name: start[name].shape for name in (
            "source", "last_word", "first_lane", "first_pe", "last_lane", "last_pe",
            "begins_loop", "ends_tile")},
        "origin": Layouts.of(config).activation["pointer"].shape, "opens": 1, "closes": 1})


class SegmentWalk(wiring.Component):
    """Walks a feature map: the segments under the kernel, for each pixel of the result.

    The loops are those of ``docs/architecture.md``, "Convolution loops". Segments are clipped to
    the map, and those outside of it omitted, but for the last one of a pixel, which is then empty
    in all PEs. Throughput is a segment in each cycle; the first is at `o` four cycles after
    `begin`.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration, with ``loops``.

    Members
    -------
    descriptor : :py:`In(layouts.descriptor)`
        Descriptor, which stays until its last segment has been taken.
    source : :py:`In(clog2(act_depth))`
        First row of its source, including the offset of the program's buffer.
    begin : :py:`In(1)`
        Strobe: begin with the first segment; those that are not yet taken are dropped.
    o : :py:`Out(stream.Signature(segment_layout(config)))`
        Segments. Registered.
    """
    descriptor: data.View
    source: Signal
    begin: Signal
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "descriptor": In(layouts.descriptor),
            "source":     In(layouts.start["source"].shape),
            "begin":      In(1),
            "o":          Out(stream.Signature(segment_layout(config))),
        })
        # Place of a column: its PE, lane and row, from the low bits up.
        self._place = data.StructLayout({
            "pe": clog2(config.n_pe), "lane": clog2(ACTS_PER_WORD),
            "row": layouts.start["source"].shape})
        # In local mode, pointers are counted in columns: they are n_pe times as large.
        pointer = layouts.activation["pointer"].shape
        self._pointer = unsigned(pointer.width + clog2(config.n_pe)) if config.local else pointer

    def elaborate(self, platform):
        m = Module()

        advance = Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        s1_valid, s1 = self._count(m, advance)
        s2_valid, s2 = self._clip(m, advance, s1_valid, s1)

        # Stage 3: places of the first and the last column; pointer of column 0 of the SRAMs.
        s3_valid = Signal()
        s3       = Signal(data.StructLayout({
            "begin": self._place, "end": self._place, "origin": s2.shape()["pointer"].shape,
            "is_out": 1, "ends_tile": 1, "closes": 1}), reset_less=True)
        with m.If(advance):
            m.d.sync += [
                s3_valid.eq(s2_valid & (~s2.is_out | s2.ends_tile)),
                s3.begin.eq(s2.row + s2.low),
                s3.end.eq(s2.row + s2.high),
                s3.origin.eq(s2.pointer - s2.row - s2.x),
                s3.is_out.eq(s2.is_out),
                s3.ends_tile.eq(s2.ends_tile),
                s3.closes.eq(s2.closes),
            ]

        self._offer(m, advance, s3_valid, s3)
        with m.If(self.begin):
            m.d.sync += [s2_valid.eq(0), s3_valid.eq(0), self.o.valid.eq(0)]

        return m

    def _count(self, m, advance):
        """Count segments and pixels in stage 1."""
        loop, column, slot = (self.descriptor.loop, self._layouts.scan["column"].shape,
                              self._layouts.descriptor["loop"].shape["last_slot"].shape)
        s1_valid = Signal()
        s1       = Signal(data.StructLayout({
            "x": signed(column.width + 1), "y": signed(column.width + 1),
            "pointer": self._pointer, "ends_tile": 1, "closes": 1}))
        row_y    = Signal.like(s1.y, reset_less=True)    # of the first segment in this row
        x        = Signal.like(s1.x, reset_less=True)
        y        = Signal.like(s1.y, reset_less=True)
        pointer  = Signal.like(s1.pointer, reset_less=True)
        pixels_left  = Signal.like(loop.last_x, reset_less=True)     # in the row, after this one
        columns_left = Signal.like(loop.columns, reset_less=True)    # after this segment
        slots_left   = Signal(slot, reset_less=True)                 # after this pixel
        last_row = self._last_row()
        m.d.comb += [
            s1.x.eq(x),
            s1.y.eq(y),
            s1.pointer.eq(pointer),
            s1.ends_tile.eq(columns_left < loop.length),
            s1.closes.eq(slots_left <= last_row),
        ]
        base = self.descriptor.ptr_base
        if self._config.local:
            base = Mux(loop.local, base << clog2(self._config.n_pe), base)
        first_of_pixel = [columns_left.eq(loop.columns - loop.length), pointer.eq(base)]
        with m.If(advance & s1_valid):
            m.d.sync += [
                y.eq(y + loop.segment_step),
                columns_left.eq(columns_left - loop.length),
                pointer.eq(pointer + loop.length),
            ]
            with m.If(s1.ends_tile):
                m.d.sync += [
                    *first_of_pixel,
                    slots_left.eq(slots_left - last_row - 1),
                    x.eq(x + loop.x_step),
                    y.eq(row_y),
                    pixels_left.eq(pixels_left - 1),
                    s1_valid.eq(~s1.closes),
                ]
                with m.If(pixels_left == 0):
                    m.d.sync += [
                        x.eq(loop.x),
                        y.eq(row_y + loop.y_step),
                        row_y.eq(row_y + loop.y_step),
                        pixels_left.eq(loop.last_x),
                    ]
        with m.If(self.begin):
            m.d.sync += [
                *first_of_pixel,
                slots_left.eq(loop.last_slot - last_row),
                x.eq(loop.x), y.eq(loop.y), row_y.eq(loop.y), pixels_left.eq(loop.last_x),
                s1_valid.eq(1),
            ]
        return s1_valid, s1

    def _to_pointer(self, columns):
        """Convert what is counted in columns to the number of a pointer."""
        if not self._config.local:
            return columns
        return Mux(self.descriptor.loop.local, columns >> clog2(self._config.n_pe), columns)

    def _last_row(self):
        """Return the last accumulator of a pixel that is written."""
        return Cat(self.descriptor.end.last_lane, self.descriptor.end.last_word)

    def _clip(self, m, advance, s1_valid, s1):
        """Clip the segment to its row of the map, in stage 2."""
        loop, start = self.descriptor.loop, self.descriptor.start
        column   = self._layouts.scan["column"].shape
        s2_valid = Signal()
        s2       = Signal(data.StructLayout({
            "x": s1.shape()["x"].shape, "row": column, "low": column, "high": column,
            "pointer": s1.shape()["pointer"].shape, "is_out": 1, "ends_tile": 1, "closes": 1}),
            reset_less=True)
        # Registers, as sums are slow.
        last_y   = Signal(signed(column.width + 2), reset_less=True)    # of a row that exists
        last_of_width  = Signal(signed(column.width + 2), reset_less=True)
        last_of_length = Signal(signed(column.width + 2), reset_less=True)
        extent   = Signal(self._place)
        m.d.comb += [extent.pe.eq(start.last_pe), extent.lane.eq(start.last_lane),
                     extent.row.eq(start.last_word)]
        m.d.sync += [
            last_y.eq(extent.as_value() + 1 - loop.width),
            last_of_width.eq(loop.width - 1),
            last_of_length.eq(loop.length - 1),
        ]
        end   = s1.x + last_of_length
        place = Signal(self._place)
        m.d.comb += place.row.eq(self.source)
        with m.If(advance):
            m.d.sync += [
                s2_valid.eq(s1_valid),
                s2.x.eq(s1.x),
                s2.row.eq(place.as_value() + s1.y),
                s2.low.eq(Mux(s1.x < 0, 0, s1.x)),
                s2.high.eq(Mux(end > last_of_width, last_of_width, end)),
                s2.is_out.eq((s1.x > last_of_width) | (end < 0) | (s1.y < 0) | (s1.y > last_y)),
                s2.pointer.eq(s1.pointer),
                s2.ends_tile.eq(s1.ends_tile),
                s2.closes.eq(s1.closes),
            ]
        return s2_valid, s2

    def _offer(self, m, advance, s3_valid, s3):
        """Register the segment at the output. In an empty one, all lanes are masked in its row."""
        segment = data_register(m, self.o.payload)
        begins  = Signal(reset_less=True)    # nothing of the descriptor has been taken
        opened  = Signal(reset_less=True)    # a segment of the pixel has been taken
        m.d.comb += [self.o.p.begins_loop.eq(begins), self.o.p.opens.eq(~opened)]
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(s3_valid),
                segment.source.eq(Mux(s3.is_out, self.source, s3.begin.row)),
                segment.last_word.eq(Mux(s3.is_out, 0, s3.end.row - s3.begin.row)),
                segment.first_lane.eq(Mux(s3.is_out, 1, s3.begin.lane)),
                segment.first_pe.eq(Mux(s3.is_out, 0, s3.begin.pe)),
                segment.last_lane.eq(Mux(s3.is_out, 0, s3.end.lane)),
                segment.last_pe.eq(Mux(s3.is_out, -1, s3.end.pe)),
                segment.origin.eq(self._to_pointer(s3.origin)),
                segment.ends_tile.eq(s3.ends_tile),
                segment.closes.eq(s3.closes),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [begins.eq(0), opened.eq(~self.o.p.ends_tile)]
        with m.If(self.begin):
            m.d.sync += [begins.eq(1), opened.eq(0)]
