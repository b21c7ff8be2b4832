from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts
from ..lib.data_register import data_register

__all__ = ["VectorSender"]


class VectorSender(wiring.Component):
    """Sends the words of a vector in this PE to the host.

    The last element of the vector is in lane `last_lane` of row `last_word` of PE `last_pe`. PEs
    after that one have a lane less in this row, which may leave no word. Throughput is a word in
    three cycles; the first one is at `o` three cycles after `i`, or after the last tile that it
    waits for. An end follows two cycles after the last word; if there is none, after `i` or that
    tile.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    index : :py:`In(clog2(n_pe))`
        Number of this PE. Constant.
    i : :py:`In(stream.Signature(layouts.start, always_ready=True))`
        Vector to send, when at most `unwritten` of the tiles started before are not written. Must
        not arrive before the end of the previous one has been accepted.
    stored, unwritten : :py:`In(1)`, :py:`In(range(config.max_tiles + 1))`
        As of :class:`~eie_hdl.pe.act_scan.ActScan`.
    o : :py:`Out(stream.Signature(layouts.result))`
        Words, and the end. Registered.
    hold : :py:`In(1)`
        The SRAM is read by another component: `r` has no effect in this cycle.
    r : :py:`In(memory.ReadPort.Signature(...))`
        Read port of the activation SRAM. Its word is used in the next cycle only.
    """
    index: Signal
    i: stream.Interface
    o: stream.Interface
    hold: Signal
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        layouts = Layouts.of(config)
        super().__init__({
            "index": In(clog2(config.n_pe)),
            "i":     In(stream.Signature(layouts.start, always_ready=True)),
            "stored": In(1),
            "unwritten": In(range(config.max_tiles + 1)),
            "o":     Out(stream.Signature(layouts.result)),
            "hold":  In(1),
            "r":     In(memory.ReadPort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        vector   = Signal.like(self.i.payload, reset_less=True)
        is_after = Signal(reset_less=True)    # this PE is after the last one
        sending  = Signal()
        is_due   = self._await_tiles(m)
        # Registers, as sums are slow: the row to read next, and how many remain after it.
        address  = Signal.like(self.r.addr, reset_less=True)
        n_left   = Signal.like(vector.last_word, reset_less=True)
        read     = Signal()    # the SRAM returns a word
        was_last = Signal(reset_less=True)    # no row remains after those read
        # Registers, as comparisons are slow: the row is the last one, which has no word here.
        is_last  = Signal(reset_less=True)
        omits    = Signal(reset_less=True)
        is_done  = was_last | (is_last & omits)
        is_free  = Signal()
        result   = data_register(m, self.o.payload)
        m.d.comb += [
            is_free.eq(sending & is_due & ~self.o.valid & ~read),
            self.r.addr.eq(address),
            self.r.en.eq(is_free & ~self.hold & ~is_done),
        ]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += read.eq(self.r.en)
        with m.If(self.r.en):
            m.d.sync += [
                address.eq(address + 1),
                n_left.eq(n_left - 1),
                is_last.eq(n_left == 1),
                was_last.eq(is_last),
            ]
        with m.If(read):
            m.d.sync += [
                self.o.valid.eq(1),
                result.word.eq(self.r.data),
                result.last_lane.eq(Mux(was_last, vector.last_lane - is_after, -1)),
                result.end.eq(0),
            ]
        with m.If(is_free & is_done):
            m.d.sync += [
                self.o.valid.eq(1),
                result.end.eq(1),
                sending.eq(0),
            ]
        with m.If(self.i.valid):
            m.d.sync += [
                vector.eq(self.i.payload),
                is_after.eq(self.index > self.i.p.last_pe),
                is_last.eq(self.i.p.last_word == 0),
                omits.eq((self.index > self.i.p.last_pe) & (self.i.p.last_lane == 0)),
                sending.eq(1),
                address.eq(self.i.p.source),
                n_left.eq(self.i.p.last_word),
                was_last.eq(0),
            ]

        return m

    def _await_tiles(self, m):
        """Return a register that is set when no tile is to be written before the vector."""
        n_before = Signal.like(self.unwritten, reset_less=True)
        is_due   = Signal(reset_less=True)
        with m.If(self.stored & ~is_due):
            m.d.sync += [n_before.eq(n_before - 1), is_due.eq(n_before == 1)]
        with m.If(self.i.valid):
            m.d.sync += [
                n_before.eq(self.unwritten - self.i.p.unwritten),
                is_due.eq(self.unwritten <= self.i.p.unwritten),
            ]
        return is_due
