from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import N_BUFFERS
from ..lib.stream_queue import StreamQueue

__all__ = ["TileTracker"]


class TileTracker(wiring.Component):
    """Tracks the tiles that have been started but not yet written by the PEs.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    clear : :py:`In(2)`
        Strobe per program: it starts.
    started : :py:`In(stream.Signature(1))`
        One token per tile when it is started. The payload is the program, by its input buffer.
        Stalled when ``max_tiles`` tiles are unwritten.
    closes : :py:`In(1)`
        The tile is the last one of its descriptor. Exists only with ``loops``.
    written : :py:`In(stream.Signature(1))`
        One token per tile, in order, when all PEs have written it. The payload is set if an
        accumulator overflowed. Always accepted.
    unwritten : :py:`Out(2)`
        Per program: at least one tile is unwritten.
    n_unwritten : :py:`Out(range(config.max_tiles + 1))`
        Number of unwritten tiles of all programs.
    overflow : :py:`Out(2)`
        Per program: an accumulator overflowed.
    overflow_tiles : :py:`Out(clog2(program_depth)).array(2)`
        Per program: number of its first tile, from 0, in which an accumulator overflowed. The tiles
        of a loop have one number.
    """
    def __init__(self, config: EIEConfig):
        self._config = config
        super().__init__({
            "clear":     In(N_BUFFERS),
            "started":   In(stream.Signature(clog2(N_BUFFERS))),
            **({"closes": In(1)} if config.loops else {}),
            "written":   In(stream.Signature(1)),
            "unwritten": Out(N_BUFFERS),
            "n_unwritten": Out(range(config.max_tiles + 1)),
            "overflow":  Out(N_BUFFERS),
            "overflow_tiles": Out(clog2(config.program_depth)).array(N_BUFFERS),
        })

    def elaborate(self, platform):
        m = Module()

        token = data.StructLayout({"program": clog2(N_BUFFERS), **(
            {"closes": 1} if self._config.loops else {})})
        m.submodules.order = order = StreamQueue(token, depth=self._config.max_tiles)
        closes = Const(1)
        if self._config.loops:
            m.d.comb += order.i.p.closes.eq(self.closes)
            closes = order.o.p.closes
        m.d.comb += [
            order.i.p.program.eq(self.started.payload),
            order.i.valid.eq(self.started.valid),
            self.started.ready.eq(order.i.ready),
            order.o.ready.eq(self.written.valid),
            self.n_unwritten.eq(order.level),
            self.written.ready.eq(1),
        ]
        for number in range(N_BUFFERS):
            count = Signal.like(self.n_unwritten, name=f"unwritten_{number}")
            tile  = Signal.like(self.overflow_tiles[number], name=f"tile_{number}")
            starts = self.started.valid & self.started.ready & (self.started.payload == number)
            ends   = self.written.valid & (order.o.p.program == number)
            following = Signal.like(count, name=f"following_{number}")
            m.d.comb += following.eq(count + starts - ends)
            m.d.sync += [count.eq(following), self.unwritten[number].eq(following != 0)]
            with m.If(ends):
                m.d.sync += tile.eq(tile + closes)
                with m.If(self.written.payload & ~self.overflow[number]):
                    m.d.sync += [self.overflow[number].eq(1),
                                 self.overflow_tiles[number].eq(tile)]
            with m.If(self.clear[number]):
                m.d.sync += [self.overflow[number].eq(0), tile.eq(0)]

        return m
