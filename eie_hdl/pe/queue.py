from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EIEConfig
from ..format import Layouts
from ..stream import StreamQueue
from ..tree import n_in_flight

__all__ = ["ActivationQueue"]


class ActivationQueue(wiring.Component):
    """Columns that wait for this PE: evens out the load between PEs.

    (Han et al., ISCA 2016, section 4, "Activation Queue and Load Balancing".) When
    ``queue_depth`` columns wait it calls for a stop, and has room for what is then in flight. A
    column put into an empty queue is at the output one cycle later.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.column, always_ready=True))`
        Input. Must stop :func:`~eie_hdl.tree.n_in_flight` payloads after `level` has reached
        ``queue_depth``, at the latest.
    o : :py:`Out(stream.Signature(layouts.column))`
        Output.
    level : :py:`Out(...)`
        Columns in the queue.
    full : :py:`Out(1)`
        The producer must stop. A register.
    """
    i: stream.Interface
    o: stream.Interface
    level: Signal
    full: Signal

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts(config)
        self._queue_depth = config.queue_depth
        self.n_slots = config.queue_depth + n_in_flight(config)
        super().__init__({
            "i":     In(stream.Signature(layouts.column, always_ready=True)),
            "o":     Out(stream.Signature(layouts.column)),
            "level": Out(range(self.n_slots + 1)),
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
        m.d.sync += self.full.eq(slots.level >= self._queue_depth)

        return m
