from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import N_SPARSE, EIEConfig

__all__ = ["BroadcastThrottle"]


class BroadcastThrottle(wiring.Component):
    """Keeps the activation queues from overflowing, whatever is in flight.

    What the queues tell does not yet know of the last :attr:`EIEConfig.n_in_flight`
    cycles. If one is filling, so many messages may have been sent in those that it would overflow;
    but mostly it is a few, as a column takes a PE some cycles. So these messages are counted.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    filling, full : :py:`In(1)`
        As in :class:`~eie_hdl.tree.tree.Link`.
    sent : :py:`In(1)`
        A message is being sent that goes through the queues.
    stop : :py:`Out(1)`
        None must be sent.
    """
    filling: Signal
    full: Signal
    sent: Signal
    stop: Signal

    def __init__(self, config: EIEConfig):
        self._n_in_flight = config.n_in_flight
        super().__init__({"filling": In(1), "full": In(1), "sent": In(1), "stop": Out(1)})

    def elaborate(self, platform):
        m = Module()

        recent = Signal(self._n_in_flight)    # one bit for each cycle, the last one lowest
        count  = Signal(range(self._n_in_flight + 1))
        m.d.sync += [
            recent.eq(recent << 1 | self.sent),
            count.eq(count + self.sent - recent[-1]),
        ]
        m.d.comb += self.stop.eq(self.full | (self.filling & (count > N_SPARSE)))

        return m
