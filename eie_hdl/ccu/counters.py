from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import COUNTER_WIDTH, COUNTERS
from ..tree.tree import EVENTS, Link

__all__ = ["Counters", "strobes_layout"]

#: Counted events of the CCU, one bit each: the counters that are neither sums over the PEs nor
#: derived from another one.
strobes_layout = data.StructLayout({
    name: unsigned(1) for name in COUNTERS if name not in {*EVENTS, "ptr_reads"}})


class Counters(wiring.Component):
    """Performance counters, listed in :data:`~eie_hdl.format.COUNTERS`.

    Each broadcast activation makes every PE read one pair of pointers, so `ptr_reads` is derived.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    clear : :py:`In(1)`
        Strobe: set all counters to zero.
    enable : :py:`In(1)`
        Count the events of this cycle.
    events : :py:`In(...)`
        Number of PEs with each event in this cycle, as in :class:`~eie_hdl.tree.tree.Link`.
    strobes : :py:`In(strobes_layout)`
        Events of the CCU in this cycle.
    counts : :py:`Out(wiring.Signature({name: Out(64) for name in COUNTERS}))`
        Sums. Latency is one cycle.
    """
    clear: Signal
    enable: Signal
    events: data.View
    strobes: data.View

    def __init__(self, config: EIEConfig):
        self._n_pe = config.n_pe
        super().__init__({
            "clear":   In(1),
            "enable":  In(1),
            "events":  In(Link(config).members["events"].shape),
            "strobes": In(strobes_layout),
            "counts":  Out(wiring.Signature({name: Out(COUNTER_WIDTH) for name in COUNTERS})),
        })

    def elaborate(self, platform):
        m = Module()

        for counted in (self.events, self.strobes):
            for name in counted.shape().members:
                count = getattr(self.counts, name)
                with m.If(self.enable):
                    m.d.sync += count.eq(count + counted[name])
                with m.If(self.clear):
                    m.d.sync += count.eq(0)
        m.d.comb += self.counts.ptr_reads.eq(self.counts.broadcasts << clog2(self._n_pe))

        return m
