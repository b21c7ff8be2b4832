from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2

__all__ = ["TileTracker"]


class TileTracker(wiring.Component):
    """Tracks the tiles of a program that have been broadcast but not yet written by the PEs.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    clear : :py:`In(1)`
        Strobe: a program starts.
    sent : :py:`In(1)`
        Strobe: the end of a tile is broadcast.
    written : :py:`In(stream.Signature(1))`
        One token per tile, in order, when all PEs have written it. The payload is set if an
        accumulator overflowed. Always accepted.
    waiting : :py:`Out(1)`
        At least one tile has been broadcast but not yet written.
    overflow : :py:`Out(1)`
        An accumulator overflowed in this program; when idle, in the last one.
    overflow_tile : :py:`Out(clog2(program_depth))`
        Number of the first tile of the program, from 0, in which an accumulator overflowed.
    """
    clear: Signal
    sent: Signal
    written: stream.Interface
    waiting: Signal
    overflow: Signal
    overflow_tile: Signal

    def __init__(self, config: EIEConfig):
        self._program_depth = config.program_depth
        super().__init__({
            "clear":    In(1),
            "sent":     In(1),
            "written":  In(stream.Signature(1)),
            "waiting":  Out(1),
            "overflow": Out(1),
            "overflow_tile": Out(clog2(config.program_depth)),
        })

    def elaborate(self, platform):
        m = Module()

        n_unwritten = Signal(range(self._program_depth + 1))
        tile        = Signal.like(self.overflow_tile)
        m.d.comb += [
            self.written.ready.eq(1),
            self.waiting.eq(n_unwritten != 0),
        ]
        m.d.sync += n_unwritten.eq(n_unwritten + self.sent - self.written.valid)
        with m.If(self.written.valid):
            m.d.sync += tile.eq(tile + 1)
            with m.If(self.written.payload & ~self.overflow):
                m.d.sync += [self.overflow.eq(1), self.overflow_tile.eq(tile)]
        with m.If(self.clear):
            m.d.sync += [self.overflow.eq(0), tile.eq(0)]

        return m
