from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import COUNTER_WIDTH, COUNTERS
from ..lib.sram import Sram
from ..registers import REGISTER_WIDTH
from ..tree.tree import EVENTS, Link

__all__ = ["Counters", "counted_layout", "strobes_layout"]

#: Counted events of the CCU, one bit each: the counters that are neither sums over the PEs nor
#: derived from another one.
strobes_layout = data.StructLayout({
    name: unsigned(1) for name in COUNTERS if name not in {*EVENTS, "ptr_reads"}})

#: Cycles from one visit of a counter to the next.
_PERIOD = len(COUNTERS)


def counted_layout(config: EIEConfig) -> data.StructLayout:
    """Return the layout of what the core reports to the counters in a cycle.

    ``clear`` sets all counters to zero. If ``enable`` is set and ``clear`` is not, ``events`` of
    the PEs, their number as in :class:`~eie_hdl.tree.tree.Link`, and ``strobes`` of the CCU are
    counted.
    """
    return data.StructLayout({
        "clear": 1, "enable": 1, "events": Link(config).members["events"].shape,
        "strobes": strobes_layout})


class Counters(wiring.Component):
    """Performance counters, listed in :data:`~eie_hdl.format.COUNTERS`, and a copy of them.

    Events are counted modulo a small number by a front for each counter. The counters themselves
    are rows of a LUT RAM, which are visited in turn: each is advanced until its low bits are those
    of its front. Fronts are so wide that no wrap around between two visits is missed.

    To copy the counters, the fronts of one cycle are held until each row has been visited and
    written to a second LUT RAM, which takes :data:`COPY_CYCLES`. A copy that is requested meanwhile
    replaces it. Counters that are cleared meanwhile are copied as they were. After a reset, the
    copy is zero.

    Each broadcast activation makes every PE read one pair of pointers, so `ptr_reads` is derived.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Attributes
    ----------
    totals : :class:`~eie_hdl.lib.sram.Sram`
        A row for each counter.

    Members
    -------
    counted : :py:`In(counted_layout(config))`
        Events of this cycle.
    copy : :py:`In(1)`
        Strobe: copy the counters, with the events of the previous cycle.
    copying : :py:`Out(1)`
        The copy is not complete, which includes the cycle of `copy`.
    r : :py:`Out(memory.ReadPort.Signature(...))`
        Read port of the copy: the low half of each counter and, in the next row, its high half.
        Latency is one cycle. Rows change while `copying` is set.
    """
    #: Longest time for which `copying` is set by a single `copy`, in cycles.
    COPY_CYCLES = _PERIOD + 4

    counted: data.View
    copy: Signal
    copying: Signal
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._log_n_pe = clog2(config.n_pe)
        self.totals  = Sram(width=COUNTER_WIDTH, depth=_PERIOD, block=False)
        self._copies = Sram(width=COUNTER_WIDTH, depth=_PERIOD, block=False)
        super().__init__({
            "counted": In(counted_layout(config)),
            "copy":    In(1),
            "copying": Out(1),
            "r": Out(memory.ReadPort.Signature(addr_width=clog2(2 * _PERIOD),
                                               shape=REGISTER_WIDTH)),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.totals = totals = self.totals
        m.submodules.copies = copies = self._copies
        copies_now = Signal()    # fronts of this cycle are to be copied
        m.d.sync += copies_now.eq(self.copy)
        fronts, cleared = self._count(m)
        is_copied, is_new, holds = self._schedule(m, copies_now, cleared)
        held = self._hold(m, fronts, holds)

        # Stage 0: select a row and its front.
        row = Signal(range(_PERIOD))
        m.d.sync += row.eq(Mux(row == _PERIOD - 1, 0, row + 1))
        low = Array(held)[row]
        is_wide = Array(Const(len(front) > self._narrow) for front in held)[row]
        m.d.comb += [totals.r.addr.eq(row), totals.r.en.eq(1)]

        # Stage 1: find by how much the front is ahead of the row, which a new count overwrites.
        s1_row    = Signal.like(row)
        s1_copied = Signal()
        s1_new    = Signal()
        s1_wide   = Signal()
        s1_low    = Signal(self._wide)
        m.d.sync += [s1_row.eq(row), s1_copied.eq(is_copied), s1_new.eq(is_new),
                     s1_wide.eq(is_wide), s1_low.eq(low)]
        ahead = Signal.like(s1_low)
        m.d.comb += ahead.eq(s1_low - Mux(s1_new, 0, totals.r.data[:self._wide]))

        # Stage 2: add it.
        s2_row    = Signal.like(row)
        s2_copied = Signal()
        s2_total  = Signal(COUNTER_WIDTH)
        s2_ahead  = Signal.like(ahead)
        m.d.sync += [s2_row.eq(s1_row), s2_copied.eq(s1_copied), s2_total.eq(totals.r.data),
                     s2_ahead.eq(ahead)]
        with m.If(s1_new):
            m.d.sync += s2_total.eq(0)
        with m.If(~s1_wide):
            m.d.sync += s2_ahead[self._narrow:].eq(0)
        for port, enable in ((totals.w, 1), (copies.w, s2_copied)):
            m.d.comb += [port.addr.eq(s2_row), port.data.eq(s2_total + s2_ahead),
                         port.en.eq(enable)]

        m.d.comb += self.copying.eq(self.copy | copies_now | is_copied | s1_copied | s2_copied)
        self._read(m, copies)

        return m

    def _count(self, m):
        """Count the events of the cycle before.

        Returns
        -------
        fronts : dict of str to :class:`~amaranth.hdl.Signal`
            Counts modulo a power of two.
        cleared : :class:`~amaranth.hdl.Signal`
            The fronts were cleared in the last cycle.
        """
        clears  = Signal()
        cleared = Signal()
        m.d.sync += [clears.eq(self.counted.clear), cleared.eq(clears)]
        fronts = {}
        for counted, width in ((self.counted.events, self._wide),
                               (self.counted.strobes, self._narrow)):
            for name in counted.shape().members:
                step  = Signal.like(counted[name], name=f"step_{name}")
                front = fronts[name] = Signal(width, name=f"front_{name}")
                m.d.sync += [step.eq(counted[name]), front.eq(front + step)]
                with m.If(~self.counted.enable):
                    m.d.sync += step.eq(0)
                with m.If(clears):
                    m.d.sync += front.eq(0)
        return fronts, cleared

    @property
    def _narrow(self):
        """Width of the front of a strobe.

        A visit sees a front as it is, or as it was at the copy, up to `_PERIOD` cycles ago. Between
        what two visits of a row see, there are at most twice as many cycles, less one.
        """
        return clog2((2 * _PERIOD - 1) + 1)

    @property
    def _wide(self):
        """Width of the front of a number of PEs."""
        return self._narrow + self._log_n_pe

    def _schedule(self, m, copies_now, cleared):
        """Schedule copies and new counts, each for one visit of every row.

        Returns
        -------
        is_copied, is_new : 1 bit
            The row of this cycle is copied; it is the first visit of the row in a new count.
        holds : 1 bit
            In the next cycle, fronts are those that are being copied.
        """
        # After a reset, zeros are copied.
        n_copied = Signal(range(_PERIOD + 1), init=_PERIOD)    # rows yet to be copied
        n_new    = Signal(range(_PERIOD + 1), init=_PERIOD)    # rows yet to begin a new count
        awaits   = Signal()    # a new count begins when the old one has been copied
        is_free  = copies_now | (n_copied <= 1)
        with m.If(copies_now):
            m.d.sync += n_copied.eq(_PERIOD)
        with m.Else():
            m.d.sync += n_copied.eq(n_copied - n_copied.any())
        with m.If((cleared | awaits) & is_free):
            m.d.sync += [n_new.eq(_PERIOD), awaits.eq(0)]
        with m.Else():
            m.d.sync += [n_new.eq(n_new - n_new.any()), awaits.eq(awaits | cleared)]
        return n_copied.any(), n_new.any(), ~is_free

    def _hold(self, m, fronts, holds):
        """Return the front of each row in the cycle before, or of the copy if it `holds`."""
        held = {}
        for name, front in fronts.items():
            held[name] = Signal.like(front, name=f"held_{name}")
            with m.If(~holds):
                m.d.sync += held[name].eq(front)
        held["ptr_reads"] = Cat(Const(0, self._log_n_pe), held["broadcasts"])
        return [held[name] for name in COUNTERS]

    def _read(self, m, copies):
        """Select a half of the row of the copy."""
        is_high = Signal()
        with m.If(self.r.en):
            m.d.sync += is_high.eq(self.r.addr[0])
        m.d.comb += [
            copies.r.addr.eq(self.r.addr[1:]),
            copies.r.en.eq(self.r.en),
            self.r.data.eq(copies.r.data.word_select(is_high, REGISTER_WIDTH)),
        ]
