from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import FILLING_LIMIT, EIEConfig
from ..format import Layouts
from ..lib.stream_queue import StreamQueue

__all__ = ["ActivationQueue"]


class ActivationQueue(wiring.Component):
    """Queue of columns to be processed by this PE, which balances the load between PEs.

    (Han et al., ISCA 2016, section 4, "Activation Queue and Load Balancing".) It has slots for
    ``queue_depth`` columns and for all messages in flight. Back-pressure has two levels. `filling`
    is asserted at ``queue_depth`` columns, when a message in every cycle could overflow the queue.
    As that many are rarely in flight, `full` is asserted only when no more than
    :data:`~eie_hdl.config.FILLING_LIMIT` slots are free. Latency of an empty queue is one cycle.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.column, always_ready=True))`
        Input. The producer must not let `level` exceed ``n_slots``.
    o : :py:`Out(stream.Signature(layouts.column))`
        Output.
    level : :py:`Out(...)`
        Columns in the queue.
    filling, full : :py:`Out(1)`
        Back-pressure: the producer must send sparsely, or stop. Registered.
    """
    i: stream.Interface
    o: stream.Interface
    level: Signal
    full: Signal

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        self._queue_depth = config.queue_depth
        self.n_slots = config.queue_depth + config.n_in_flight
        super().__init__({
            "i":     In(stream.Signature(layouts.column, always_ready=True)),
            "o":     Out(stream.Signature(layouts.column)),
            "level": Out(range(self.n_slots + 1)),
            "filling": Out(1),
            "full":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.slots = slots = StreamQueue(self._layouts.column, depth=self.n_slots)
        m.d.comb += [
            slots.i.payload.eq(self.i.payload),
            slots.i.valid.eq(self.i.valid),
            self.level.eq(slots.level),
        ]
        connect(m, slots.o, flipped(self.o))
        m.d.sync += [
            self.filling.eq(slots.level >= self._queue_depth),
            self.full.eq(slots.level >= self.n_slots - FILLING_LIMIT),
        ]

        return m
