from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import FILLING_LIMIT, EIEConfig

__all__ = ["BroadcastThrottle"]


class BroadcastThrottle(wiring.Component):
    """Back-pressure of the broadcast: prevents the activation queues from overflowing.

    Queue status is :attr:`EIEConfig.n_in_flight` cycles stale. When a queue is filling, the
    messages of these cycles might overflow it. Usually there are only a few, because a column
    occupies a PE for several cycles. The throttle therefore counts the messages in flight, and
    stops the broadcast only if there are more of them than slots that are certainly free.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    filling, full : :py:`In(1)`
        As in :class:`~eie_hdl.tree.tree.Link`.
    sent : :py:`In(1)`
        Strobe: a message that passes through the queues is sent.
    stop : :py:`Out(1)`
        No such message may be sent.
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

        recent  = Signal(self._n_in_flight)    # one bit per cycle, the latest in bit 0
        count   = Signal(range(self._n_in_flight + 1))
        is_over = Signal()    # count > FILLING_LIMIT: a register, as `sent` depends on it
        others  = count - recent[-1]
        m.d.sync += [
            recent.eq(recent << 1 | self.sent),
            count.eq(others + self.sent),
            is_over.eq(Mux(self.sent, others >= FILLING_LIMIT, others > FILLING_LIMIT)),
        ]
        m.d.comb += self.stop.eq(self.full | (self.filling & is_over))

        return m
