from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .format import COUNTER_WIDTH, COUNTERS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Performance counters: what :data:`~eie_hdl.format.COUNTERS` lists.

    Parameters
    ----------
    events : :class:`~amaranth.lib.data.StructLayout`
        Those that PEs count; the others are counted once a cycle, by a strobe.

    Members
    -------
    clear : :py:`In(1)`
        Strobe. Start again from zero.
    events : :py:`In(events)`
        How many PEs did what, in this cycle.
    strobes : :py:`In(data.StructLayout(...))`
        What the CCU did in this cycle.
    counts : :py:`Out(wiring.Signature({name: Out(48) for name in COUNTERS}))`
        Sums, one cycle later.
    """
    clear: Signal
    events: data.View
    strobes: data.View

    def __init__(self, events: data.StructLayout):
        super().__init__({
            "clear":   In(1),
            "events":  In(events),
            "strobes": In(data.StructLayout({
                name: unsigned(1) for name in COUNTERS if name not in events.members})),
            "counts":  Out(wiring.Signature({name: Out(COUNTER_WIDTH) for name in COUNTERS})),
        })

    def elaborate(self, platform):
        m = Module()

        for name in COUNTERS:
            count = getattr(self.counts, name)
            step = (self.events if name in self.events.shape().members else self.strobes)[name]
            m.d.sync += count.eq(count + step)
            with m.If(self.clear):
                m.d.sync += count.eq(0)

        return m
