from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts

__all__ = ["SpmatRead"]


class SpmatRead(wiring.Component):
    """Walks the entries of a column, one a cycle, without a gap between columns.

    (Han et al., ISCA 2016, section 4, "Sparse Matrix Read Unit".) The last word read is kept: it is
    not read again for the entries or columns that share it, until a tile starts. A column without
    entries takes one cycle and gives nothing. Latency is three cycles.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.column))`
        Columns.
    o : :py:`Out(stream.Signature(layouts.work))`
        Their entries. A register.
    r : :py:`In(memory.ReadPort.Signature(...))`
        The spmat SRAM.
    """
    i: stream.Interface
    o: stream.Interface
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts(config)
        super().__init__({
            "i": In(stream.Signature(layouts.column)),
            "o": Out(stream.Signature(layouts.work)),
            "r": In(memory.ReadPort.Signature(
                addr_width=clog2(config.spmat_depth), shape=layouts.spmat_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        lane_width = clog2(self._layouts.spmat_word.length)

        # Stage 1: `begin` is the entry to read next, `count` what is left of the column.
        s1       = Signal(self._layouts.column)
        s1_valid = Signal()
        s1_first = Signal()
        s2_ready = Signal()
        column        = s1.body.activation
        is_activation = s1.kind == Kind.ACTIVATION
        has_output    = ~is_activation | (column.count != 0)
        is_last       = ~is_activation | (column.count[1:] == 0)
        m.d.comb += self.i.ready.eq(~s1_valid | (s2_ready & is_last))
        with m.If(s1_valid & s2_ready & is_activation):
            m.d.sync += [
                column.begin.eq(column.begin + 1),
                column.count.eq(column.count - 1),
                s1_first.eq(0),
            ]
        with m.If(self.i.ready):
            m.d.sync += s1_valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += [
                    s1.eq(self.i.payload),
                    s1_first.eq(1),
                ]

        # The word that the SRAM holds need not be read again.
        held       = Signal.like(self.r.addr)
        held_valid = Signal()
        m.d.comb += [
            self.r.addr.eq(column.begin >> lane_width),
            self.r.en.eq(s1_valid & s2_ready & is_activation & (column.count != 0)
                         & ~(held_valid & (held == self.r.addr))),
        ]
        with m.If(self.r.en):
            m.d.sync += [held.eq(self.r.addr), held_valid.eq(1)]
        with m.If(s1_valid & (s1.kind == Kind.START)):
            m.d.sync += held_valid.eq(0)

        # Stage 2: the SRAM has answered.
        s2       = Signal(self._layouts.column)
        s2_valid = Signal()
        s2_first = Signal()
        s3_ready = Signal()
        m.d.comb += s2_ready.eq(~s2_valid | s3_ready)
        with m.If(s2_ready):
            m.d.sync += s2_valid.eq(s1_valid & has_output)
            with m.If(s1_valid):
                m.d.sync += [s2.eq(s1), s2_first.eq(s1_first)]

        # Stage 3: pick the lane.
        word = self._layouts.spmat_word(self.r.data)
        work = self.o.p.body
        m.d.comb += s3_ready.eq(~self.o.valid | self.o.ready)
        with m.If(s3_ready):
            m.d.sync += self.o.valid.eq(s2_valid)
            with m.If(s2_valid):
                m.d.sync += self.o.p.kind.eq(s2.kind)
                with m.Switch(s2.kind):
                    with m.Case(Kind.ACTIVATION):
                        m.d.sync += [
                            work.activation.entry.eq(word[s2.body.activation.begin[:lane_width]]),
                            work.activation.first.eq(s2_first),
                            work.activation.value.eq(s2.body.activation.value),
                        ]
                    with m.Case(Kind.START):
                        m.d.sync += work.start.eq(s2.body.start)
                    with m.Case(Kind.END):
                        m.d.sync += work.end.eq(s2.body.end)

        return m
