from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts
from ..lnzd import LeadingNonZero
from ..stream import RegisterSlice

__all__ = ["ActScan"]


class ActScan(wiring.Component):
    """Finds the nonzero activations of this PE: the leaf of the LNZD tree.

    Reads the source vector word by word, and from each word of four sends the nonzero ones in
    order, each with its column number; then one end. One activation a cycle, with no gap between
    words that hold any; a word of zeros takes one cycle. The first activation is at `o` four
    cycles after `i`. (Han et al., ISCA 2016, section 4, "Distributed Leading Non-Zero Detection".)

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    i : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        What to scan. Must not come before the end of the scan before it has been taken.
    o : :py:`Out(stream.Signature(layouts.scan))`
        What was found.
    hold : :py:`In(1)`
        The SRAM is being read by somebody else: `r` has no effect in this cycle.
    r : :py:`In(memory.ReadPort.Signature(...))`
        The activation SRAM.
    """
    index: Signal
    i: stream.Interface
    o: stream.Interface
    hold: Signal
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts(config)
        super().__init__({
            "index": In(clog2(config.n_pe)),
            "i":     In(stream.Signature(layouts.start, always_ready=True)),
            "o":     Out(stream.Signature(layouts.scan)),
            "hold":  In(1),
            "r":     In(memory.ReadPort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.slice = output = RegisterSlice(self._layouts.scan)
        connect(m, output.o, flipped(self.o))
        found = output.i

        # Stage 1: read. The SRAM holds its word until stage 2 takes it, unless somebody else reads.
        fetching   = Signal()    # there are words that stage 2 has not taken
        fetched    = Signal()    # the SRAM holds the word at `addr`
        addr       = Signal.like(self.r.addr)
        words_left = Signal.like(self.r.addr)
        take       = Signal()
        want       = Signal()
        m.d.comb += [
            want.eq((take & (words_left != 0)) | (fetching & ~fetched)),
            self.r.addr.eq(addr + take),
            self.r.en.eq(want & ~self.hold),
        ]
        m.d.sync += fetched.eq(self.r.en | (fetched & ~take & ~self.hold))
        with m.If(take):
            m.d.sync += [
                addr.eq(addr + 1),
                words_left.eq(words_left - 1),
                fetching.eq(words_left != 0),
            ]

        # Stage 2: the word, and which of its activations are still to be sent.
        word        = Signal(self._layouts.act_word)
        word_number = Signal.like(self.r.addr)
        pending     = Signal(ACTS_PER_WORD)
        dense       = Signal()
        m.submodules.first = first = LeadingNonZero(ACTS_PER_WORD)
        rest     = pending & ~(1 << first.index)
        fetched_word = self._layouts.act_word(self.r.data)
        m.d.comb += [
            first.mask.eq(pending),
            take.eq(fetched & (~first.found | ((rest == 0) & found.ready))),
        ]
        with m.If(found.ready):
            m.d.sync += pending.eq(rest)
        with m.If(take):
            m.d.sync += [
                word.eq(fetched_word),
                word_number.eq(word_number + 1),
                pending.eq(Cat((fetched_word[n] != 0) | dense for n in range(ACTS_PER_WORD))),
            ]

        # The end follows when nothing is left.
        busy   = Signal()
        is_end = Signal()
        m.d.comb += [
            is_end.eq(busy & ~fetching & ~first.found),
            found.valid.eq(first.found | is_end),
            found.p.column.eq(Cat(self.index, first.index, word_number)),
            found.p.value.eq(word[first.index]),
            found.p.dense.eq(dense),
            found.p.end.eq(is_end),
        ]
        with m.If(is_end & found.ready):
            m.d.sync += busy.eq(0)
        with m.If(self.i.valid):
            m.d.sync += [
                busy.eq(1),
                fetching.eq(1),
                addr.eq(self.i.p.source),
                words_left.eq(self.i.p.last_word),
                word_number.eq(-1),
                dense.eq(self.i.p.dense),
            ]

        return m
