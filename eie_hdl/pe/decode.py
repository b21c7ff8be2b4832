from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Kind, Layouts
from ..lib.data_register import data_register

__all__ = ["EntryDecode"]


class EntryDecode(wiring.Component):
    """Decodes zero runs into rows: an entry is `z` + 1 rows after the previous one.

    (Han et al., ISCA 2016, section 3.) The first entry of a column counts from row -1. Padding
    (`v` = 0) advances the row and is dropped. A start selects the codebook of its descriptor, and
    sum or maximum, and is dropped; it may come before the last end of the previous one. Throughput
    is one entry per cycle; latency is one cycle.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.work))`
        Entries.
    o : :py:`Out(stream.Signature(layouts.operation))`
        Rows and codebook addresses. Registered.
    walked, padding : :py:`Out(1)`
        Strobes: any entry, or a padding entry, is accepted.
    """
    i: stream.Interface
    o: stream.Interface
    walked: Signal
    padding: Signal

    def __init__(self, config: EIEConfig):
        self._config = config
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i": In(stream.Signature(layouts.work)),
            "o": Out(stream.Signature(layouts.operation)),
            "walked": Out(1),
            "padding": Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        # Codebooks of this tile and the next one, in turn, and if they take maxima.
        codebooks = Array(Signal(self._layouts.start.members["codebook"], name=f"codebook_{n}",
                                 reset_less=True) for n in range(2))
        maxima    = Array(Signal(name=f"maximum_{n}", reset_less=True) for n in range(2))
        started   = Signal()
        current   = Signal()
        next_row  = Signal.like(self.o.p.row, reset_less=True)
        row       = Signal.like(self.o.p.row)
        entry     = self.i.p.entry
        operation = data_register(m, self.o.payload)
        m.d.comb += [
            # Also without an operation: that `o` is not ready is known early.
            self.i.ready.eq(self.o.ready),
            row.eq(Mux(self.i.p.first, 0, next_row) + entry.z),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(0),
                operation.is_end.eq(self.i.p.kind == Kind.END),
                operation.body.eq(self.i.p.body.as_value()),
                operation.row.eq(row),
                operation.code.eq(Cat(entry.v, codebooks[current])),
            ]
            if self._config.scales:
                with m.If(self.i.p.kind == Kind.END):    # entry 0 of the codebook has no weight
                    m.d.sync += operation.code[:self._config.v_width].eq(0)
            if self._config.maximum:
                m.d.sync += operation.maximum.eq(maxima[current])
            with m.If(self.i.valid):
                with m.Switch(self.i.p.kind):
                    with m.Case(Kind.ACTIVATION):
                        m.d.comb += [
                            self.walked.eq(1),
                            self.padding.eq(entry.v == 0),
                        ]
                        m.d.sync += [
                            next_row.eq(row + 1),
                            self.o.valid.eq(~self.padding),
                        ]
                    with m.Case(Kind.START):
                        m.d.sync += [
                            codebooks[started].eq(self.i.p.body.start.codebook),
                            started.eq(~started),
                        ]
                        if self._config.maximum:
                            m.d.sync += maxima[started].eq(self.i.p.body.start.maximum)
                    with m.Case(Kind.END):
                        is_last = self.i.p.body.end.ends_loop if self._config.loops else 1
                        m.d.sync += [self.o.valid.eq(1), current.eq(current ^ is_last)]

        return m
