from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Kind, Layouts
from ..lib.compare import is_below
from ..lib.data_register import data_register

__all__ = ["SpmatRead"]


class SpmatRead(wiring.Component):
    """Reads the entries of columns, one per cycle, without bubbles between columns.

    (Han et al., ISCA 2016, section 4, "Sparse Matrix Read Unit".) The last word read is reused for
    all entries and columns that share it, until the next start of a tile. A column without entries
    takes one cycle and has no output. Latency is four cycles.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.column))`
        Columns.
    o : :py:`Out(stream.Signature(layouts.work))`
        Entries of the columns. Registered.
    r : :py:`In(memory.ReadPort.Signature(...))`
        Read port of the spmat SRAM.
    """
    i: stream.Interface
    o: stream.Interface
    r: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "i": In(stream.Signature(layouts.column)),
            "o": Out(stream.Signature(layouts.work)),
            "r": In(memory.ReadPort.Signature(
                addr_width=clog2(config.spmat_depth), shape=layouts.spmat_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        lane_width = clog2(self._layouts.spmat_word.length)

        # All stages advance or stall together.
        advance = Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)

        # Stage 1: entry `n` of a column.
        s1       = Signal(self._layouts.column, reset_less=True)
        s1_valid = Signal()
        n        = Signal(self._layouts.count)
        column     = s1.body.activation
        has_entries = self._take_columns(m, advance, s1_valid, s1, n)

        # A word is read at its first entry, or at the first entry of a column unless already held.
        position   = Signal(self._layouts.ptr)
        first_word = column.begin[lane_width:]
        held       = Signal(first_word.shape(), reset_less=True)
        held_valid = Signal()
        must_read  = Mux(n == 0, ~held_valid | (held != first_word), position[:lane_width] == 0)
        m.d.comb += [
            position.eq(column.begin + n),
            self.r.addr.eq(position[lane_width:]),
            self.r.en.eq(s1_valid & advance & has_entries & must_read),
        ]
        with m.If(self.r.en):
            m.d.sync += [held.eq(self.r.addr), held_valid.eq(1)]
        with m.If(s1_valid & (s1.kind == Kind.START)):
            m.d.sync += held_valid.eq(0)

        # Stage 2: word at the output of the SRAM.
        s2_valid = Signal()
        s2       = Signal(data.StructLayout({
            "first": 1, "lane": lane_width, "kind": Kind,
            "body": len(self.o.p.body.as_value())}), reset_less=True)
        with m.If(advance):
            m.d.sync += [
                s2_valid.eq(s1_valid & (has_entries | (s1.kind != Kind.ACTIVATION))),
                s2.first.eq(n == 0),
                s2.lane.eq(position),
                s2.kind.eq(s1.kind),
                s2.body.eq(s1.body.as_value()),
            ]

        self._select_entry(m, advance, s2_valid, s2)

        return m

    def _take_columns(self, m, advance, s1_valid, s1, n):
        """Take a column to stage 1, and count its entries in `n`.

        Returns
        -------
        has_entries : :class:`~amaranth.hdl.Signal`
            It is a column with entries. A register, as comparisons are slow.
        """
        has_entries = Signal(reset_less=True)
        is_last     = Signal(reset_less=True)
        arriving    = self.i.p.body.activation
        m.d.comb += self.i.ready.eq(~s1_valid | (advance & is_last))
        with m.If(s1_valid & advance):
            m.d.sync += [
                n.eq(Mux(is_last, 0, n + 1)),
                is_last.eq(n + 2 == s1.body.activation.count),
            ]
        with m.If(self.i.ready):
            is_activation = self.i.p.kind == Kind.ACTIVATION
            m.d.sync += [
                s1_valid.eq(self.i.valid),
                s1.eq(self.i.payload),
                has_entries.eq(is_activation & (arriving.count != 0)),
                is_last.eq(~is_activation | is_below(arriving.count, 2)),
            ]
        return has_entries

    def _select_entry(self, m, advance, s2_valid, s2):
        """Select the entry of stage 2 from its word, in stages 3 and 4."""
        # Stage 3: register the word, as block RAM output is late.
        s3_valid   = Signal()
        s3         = Signal.like(s2)
        s3_entries = Signal(self._layouts.spmat_word, reset_less=True)
        with m.If(advance):
            m.d.sync += [s3_valid.eq(s2_valid), s3.eq(s2), s3_entries.eq(self.r.data)]

        # Stage 4: select the lane.
        work = data_register(m, self.o.payload)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(s3_valid),
                work.kind.eq(s3.kind),
                work.body.eq(s3.body),
                work.entry.eq(s3_entries[s3.lane]),
                work.first.eq(s3.first),
            ]
