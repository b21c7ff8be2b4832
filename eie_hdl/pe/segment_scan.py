from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import connect, flipped

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import N_SEGMENTS, Layouts
from ..lib.leading_nonzero import LeadingNonZero
from ..lib.stream_queue import StreamQueue
from .act_scan import ActScanSignature

__all__ = ["SegmentScan"]


def _waiting_layout(config: EIEConfig) -> data.StructLayout:
    """Segment that waits: its rows, and masks of the lanes that belong to it in this PE."""
    start = Layouts.of(config).start
    return data.StructLayout({
        **{name: start[name].shape
           for name in ("source", "last_word", "unwritten", "ends_tile", *_of_words(config))},
        "first_mask": ACTS_PER_WORD, "last_mask": ACTS_PER_WORD})


def _of_found(config: EIEConfig) -> tuple[str, ...]:
    """Fields of a segment that each of its words, and all that is found in it, has."""
    return ("local",) if config.local else ()


def _of_words(config: EIEConfig) -> tuple[str, ...]:
    """Fields of a segment that each of its words has."""
    return (*_of_found(config), *(("zeros",) if config.maximum else ()))


class SegmentScan(wiring.Component):
    """Scans the segments of feature maps for nonzero activations: a leaf of the LNZD tree.

    In a machine with ``loops``, it takes the place of :class:`~.act_scan.ActScan`. A segment begins
    and ends at any column; its rows are the same in all PEs, which leave out the lanes before and
    after it. A tile has one or more segments, which are scanned without a pause, and so are those
    of the next tile. Activations are output with the column of their place in the SRAMs and the
    number of their segment, counted modulo :data:`~eie_hdl.format.N_SEGMENTS`; an end follows the
    last segment of a tile. Of a segment with `zeros`, which exists only with ``maximum``,
    activations that are zero are output, too. Throughput is one activation per cycle; a word
    without one takes a cycle, and so does an end. The first activation is at `o` six cycles after
    `i`.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration, with ``loops``.

    Members
    -------
    index, stored, unwritten, o, hold, r
        As in :class:`~.act_scan.ActScanSignature`.
    i : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        Segments to scan. At most :data:`~eie_hdl.format.N_SEGMENTS` may wait; each waits until at
        most `unwritten` of the tiles before its own are unwritten.
    """
    index: Signal
    i: stream.Interface
    stored: Signal
    o: stream.Interface
    hold: Signal
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = Layouts.of(config)
        super().__init__(ActScanSignature(config))
        self._word_layout = data.StructLayout({
            "row": clog2(config.act_depth), "mask": ACTS_PER_WORD, "is_last": 1,
            "segment": clog2(N_SEGMENTS), **dict.fromkeys(_of_words(config), 1)})

    def elaborate(self, platform):
        m = Module()

        s1_valid, s1, s1_free = self._walk_words(m)
        s3_ready = Signal()
        s3_valid, s3, s3_word = self._read_words(m, s1_valid, s1, s1_free, s3_ready)
        self._find(m, s3_valid, s3, s3_word, s3_ready)

        return m

    def _find(self, m, s3_valid, s3, s3_word, s3_ready):
        """Find the activations of the word, then the end of a tile, in stage 4."""
        m.submodules.output = output = StreamQueue(self._layouts.leaf_scan, depth=2)
        connect(m, output.o, flipped(self.o))
        found   = output.i
        s4      = Signal(self._word_layout, reset_less=True)
        word    = Signal(self._layouts.act_word, reset_less=True)
        pending = Signal(ACTS_PER_WORD)
        ends    = Signal()    # an end follows
        m.submodules.first = first = LeadingNonZero(ACTS_PER_WORD)
        rest = pending & ~(1 << first.index)
        is_done = Mux(first.found, (rest == 0) & ~ends, 1)    # with what is output
        m.d.comb += [
            first.mask.eq(pending),
            s3_ready.eq((~first.found & ~ends) | (is_done & found.ready)),
            found.valid.eq(first.found | ends),
            found.p.column.eq(Cat(self.index, first.index, s4.row)),
            found.p.value.eq(word[first.index]),
            found.p.segment.eq(s4.segment),
            found.p.end.eq(~first.found),
            *(found.p[name].eq(s4[name]) for name in _of_found(self._config)),
        ]
        with m.If(found.ready):
            m.d.sync += [pending.eq(rest), ends.eq(ends & first.found)]
        with m.If(s3_valid & s3_ready):
            sent = Cat(s3_word[n] != 0 for n in range(ACTS_PER_WORD))
            if self._config.maximum:
                sent |= s3.zeros.replicate(ACTS_PER_WORD)
            m.d.sync += [
                s4.eq(s3),
                word.eq(s3_word),
                pending.eq(sent & s3.mask),
                ends.eq(s3.is_last),
            ]

    def _queue_segments(self, m):
        """Queue the segments that arrive. Return the queue, and if its first one may begin."""
        m.submodules.waiting = waiting = StreamQueue(_waiting_layout(self._config),
                                                     depth=N_SEGMENTS)
        i = self.i.p
        is_before, is_after = self.index < i.first_pe, self.index > i.last_pe
        m.d.comb += [
            waiting.i.valid.eq(self.i.valid),
            *(waiting.i.p[name].eq(i[name])
              for name in ("source", "last_word", "unwritten", "ends_tile",
                           *_of_words(self._config))),
            waiting.i.p.first_mask.eq(Cat((i.first_lane < n) | ((i.first_lane == n) & ~is_before)
                                          for n in range(ACTS_PER_WORD))),
            waiting.i.p.last_mask.eq(Cat((i.last_lane > n) | ((i.last_lane == n) & ~is_after)
                                         for n in range(ACTS_PER_WORD))),
        ]

        # Tiles not written: of those that have arrived, and of those whose last segment has begun.
        arrived = Signal.like(self.unwritten)
        begun   = Signal.like(self.unwritten)
        before  = Signal.like(self.unwritten)
        m.d.comb += [self.unwritten.eq(arrived - self.stored), before.eq(begun - self.stored)]
        m.d.sync += [
            arrived.eq(self.unwritten + (self.i.valid & i.ends_tile)),
            begun.eq(before + (waiting.o.valid & waiting.o.ready & waiting.o.p.ends_tile)),
        ]
        return waiting, waiting.o.valid & (before <= waiting.o.p.unwritten)

    def _walk_words(self, m):
        """Walk the words of the segments, one after another.

        Returns
        -------
        s1_valid, s1, s1_free : :class:`~amaranth.hdl.Signal`
            A word to read, which is replaced by the next one when `s1_free`.
        """
        waiting, may_begin = self._queue_segments(m)
        s1_valid  = Signal()
        s1_free   = Signal()
        s1        = Signal(self._word_layout, reset_less=True)
        n_left    = Signal.like(waiting.o.p.last_word, reset_less=True)    # words after this one
        last_mask = Signal(ACTS_PER_WORD, reset_less=True)
        is_last   = Signal(reset_less=True)     # of the segment; a register
        of_tile   = Signal(reset_less=True)     # the segment is the last one of its tile
        count     = Signal(clog2(N_SEGMENTS))   # segments begun
        m.d.comb += waiting.o.ready.eq(may_begin & (~s1_valid | (s1_free & is_last)))
        with m.If(s1_free):
            m.d.sync += [
                s1_valid.eq(s1_valid & ~is_last),
                s1.row.eq(s1.row + 1),
                n_left.eq(n_left - 1),
                s1.mask.eq(Mux(n_left == 1, last_mask, -1)),
                s1.is_last.eq((n_left == 1) & of_tile),
                is_last.eq(n_left == 1),
            ]
        with m.If(waiting.o.ready):
            start = waiting.o.p
            is_short = start.last_word == 0
            m.d.sync += [
                s1_valid.eq(1),
                s1.row.eq(start.source),
                n_left.eq(start.last_word),
                last_mask.eq(start.last_mask),
                s1.mask.eq(start.first_mask & Mux(is_short, start.last_mask, -1)),
                s1.is_last.eq(is_short & start.ends_tile),
                s1.segment.eq(count),
                *(s1[name].eq(start[name]) for name in _of_words(self._config)),
                is_last.eq(is_short),
                of_tile.eq(start.ends_tile),
                count.eq(count + 1),
            ]
        return s1_valid, s1, s1_free

    def _read_words(self, m, s1_valid, s1, s1_free, s3_ready):
        """Read the words, and register them, as block RAM output is too late for zero detection.

        Returns
        -------
        s3_valid, s3, s3_word : :class:`~amaranth.hdl.Signal`
            A word and its place; it stays until `s3_ready`.
        """
        # The SRAM holds its word until it is taken; if another component reads in between, the word
        # is lost and read again.
        s2_valid = Signal()
        s2       = Signal(self._word_layout, reset_less=True)
        fetched  = Signal()    # the SRAM output is the word of `s2`
        take     = Signal()
        is_lost  = s2_valid & ~fetched
        m.d.comb += [
            s1_free.eq(~s2_valid | take),
            self.r.addr.eq(Mux(is_lost, s2.row, s1.row)),
            self.r.en.eq(is_lost | (s1_valid & s1_free)),
        ]
        m.d.sync += fetched.eq((self.r.en | (fetched & ~take)) & ~self.hold)
        with m.If(s1_free):
            m.d.sync += [s2_valid.eq(s1_valid), s2.eq(s1)]

        s3_valid = Signal()
        s3       = Signal(self._word_layout, reset_less=True)
        s3_word  = Signal(self._layouts.act_word, reset_less=True)
        m.d.comb += take.eq(fetched & (~s3_valid | s3_ready))
        with m.If(s3_ready):
            m.d.sync += s3_valid.eq(0)
        with m.If(take):
            m.d.sync += [s3_valid.eq(1), s3.eq(s2), s3_word.eq(self.r.data)]
        return s3_valid, s3, s3_word
