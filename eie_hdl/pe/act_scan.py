from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts
from ..lib.leading_nonzero import LeadingNonZero
from ..lib.stream_queue import StreamQueue

__all__ = ["ActScan", "ActScanSignature"]


class ActScanSignature(wiring.Signature):
    """Interface of a scanner.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    i : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        Source to scan.
    stored : :py:`In(1)`
        Strobe: the last word of a tile, the source of which has been scanned, is being written.
    unwritten : :py:`Out(range(config.max_tiles + 1))`
        Tiles that were started before this cycle, and are not written by its end.
    o : :py:`Out(stream.Signature(layouts.leaf_scan))`
        Activations found, and the end.
    hold : :py:`In(1)`
        The SRAM is read by another component: `r` has no effect in this cycle.
    r : :py:`In(memory.ReadPort.Signature(...))`
        Read port of the activation SRAM.
    """
    def __init__(self, config: EIEConfig) -> None:
        layouts = Layouts.of(config)
        super().__init__({
            "index": In(clog2(config.n_pe)),
            "i":     In(stream.Signature(layouts.start, always_ready=True)),
            "stored": In(1),
            "unwritten": Out(range(config.max_tiles + 1)),
            "o":     Out(stream.Signature(layouts.leaf_scan)),
            "hold":  In(1),
            "r":     In(memory.ReadPort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })


class ActScan(wiring.Component):
    """Scans the source vector for nonzero activations: a leaf of the LNZD tree.

    The source is read in words of four activations. The nonzero ones of each word are output in
    order with their column numbers; a single end follows the last word. Throughput is one
    activation per cycle, without a bubble between nonzero words; a word of zeros takes one cycle.
    The first activation is at `o` six cycles after `i`. (Han et al., ISCA 2016, section 4,
    "Distributed Leading Non-Zero Detection".)

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index, stored, unwritten, o, hold, r
        As in :class:`ActScanSignature`.
    i : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        Source to scan. May arrive during the previous scan, if this has begun; it waits for its end
        and until at most `unwritten` tiles are unwritten.
    """
    index: Signal
    i: stream.Interface
    stored: Signal
    o: stream.Interface
    hold: Signal
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = Layouts.of(config)
        super().__init__(ActScanSignature(config))

    def elaborate(self, platform):
        m = Module()

        m.submodules.output = output = StreamQueue(self._layouts.leaf_scan, depth=2)
        connect(m, output.o, flipped(self.o))
        found = output.i

        # A source waits until the previous one has been scanned, and until it has been written.
        next_   = Signal.like(self.i.payload, reset_less=True)
        waiting = Signal()
        busy    = Signal()
        begins  = Signal()
        started = Signal.like(self.unwritten)    # tiles not written, with that of this source
        m.d.comb += [
            self.unwritten.eq(started - self.stored),
            begins.eq(waiting & ~busy & (self.unwritten <= next_.unwritten + 1)),
        ]
        m.d.sync += started.eq(self.unwritten + self.i.valid)
        with m.If(begins):
            m.d.sync += waiting.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [next_.eq(self.i.payload), waiting.eq(1)]

        # Stages 1 and 2: read, and register the word.
        s2_ready = Signal()
        fetching, s2_valid, s2_word, s2_number = self._read_words(m, begins, next_, s2_ready)

        # Stage 3: output the pending activations of the word.
        word    = Signal(self._layouts.act_word, reset_less=True)
        number  = Signal.like(self.r.addr, reset_less=True)
        pending = Signal(ACTS_PER_WORD)
        m.submodules.first = first = LeadingNonZero(ACTS_PER_WORD)
        rest = pending & ~(1 << first.index)
        m.d.comb += [
            first.mask.eq(pending),
            s2_ready.eq(~first.found | ((rest == 0) & found.ready)),
        ]
        with m.If(found.ready):
            m.d.sync += pending.eq(rest)
        with m.If(s2_valid & s2_ready):
            m.d.sync += [
                word.eq(s2_word),
                number.eq(s2_number),
                pending.eq(Cat(s2_word[n] != 0 for n in range(ACTS_PER_WORD))),
            ]

        # The end follows when all stages are empty.
        is_end = Signal()
        m.d.comb += [
            is_end.eq(busy & ~fetching & ~s2_valid & ~first.found),
            found.valid.eq(first.found | is_end),
            found.p.column.eq(Cat(self.index, first.index, number)),
            found.p.value.eq(word[first.index]),
            found.p.end.eq(is_end),
        ]
        m.d.sync += busy.eq(begins | (busy & ~(is_end & found.ready)))

        return m

    def _read_words(self, m, begins, source, s2_ready):
        """Read the words of the source that `begins`, one after another.

        Returns
        -------
        fetching : :class:`~amaranth.hdl.Signal`
            Words are still to be taken from the SRAM.
        s2_valid, s2_word, s2_number : :class:`~amaranth.hdl.Signal`
            A word, and which of the source it is; it stays until `s2_ready`.
        """
        # Stage 1: read. The SRAM holds its word until stage 2 takes it; if another component reads
        # in between, the word is lost and read again.
        addr      = Signal.like(self.r.addr, reset_less=True)    # word to read next
        last_word = Signal.like(self.r.addr, reset_less=True)
        taken     = Signal.like(self.r.addr, reset_less=True)    # words taken so far
        fetching  = Signal()                    # words remain to be taken
        fetched   = Signal()                    # the SRAM output is the next word
        take      = Signal()
        is_last   = Signal(reset_less=True)     # it is the last one; registered
        is_lost   = fetched & ~take & self.hold
        m.d.comb += [
            self.r.addr.eq(addr),
            self.r.en.eq(Mux(take, ~is_last, fetching & ~fetched)),
        ]
        reads = self.r.en & ~self.hold
        m.d.sync += fetched.eq(reads | (fetched & ~take & ~self.hold))
        with m.If(reads | is_lost):
            m.d.sync += addr.eq(addr + Mux(is_lost, -1, 1))
        with m.If(take):
            m.d.sync += [
                taken.eq(taken + 1),
                is_last.eq(taken + 1 == last_word),
                fetching.eq(~is_last),
            ]
        with m.If(begins):
            m.d.sync += [
                fetching.eq(1),
                addr.eq(source.source),
                last_word.eq(source.last_word),
                taken.eq(0),
                is_last.eq(source.last_word == 0),
            ]

        # Stage 2: register the word, as block RAM output is too late for zero detection.
        s2_word   = Signal(self._layouts.act_word, reset_less=True)
        s2_number = Signal.like(self.r.addr, reset_less=True)
        s2_valid  = Signal()
        m.d.comb += take.eq(fetched & (~s2_valid | s2_ready))
        with m.If(s2_ready):
            m.d.sync += s2_valid.eq(0)
        with m.If(take):
            m.d.sync += [
                s2_word.eq(self.r.data),
                s2_number.eq(taken),
                s2_valid.eq(1),
            ]
        return fetching, s2_valid, s2_word, s2_number
