from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts, Table
from ..lib.data_register import data_register
from ..lib.delayed import delayed
from ..numeric import limits
from .function_table import FunctionTable
from .mac import Mac
from .row_scale import GUARD_BITS, RowScale
from .row_words import RowWords

__all__ = ["WriteBack"]


class _Truncated(NamedTuple):
    """Number truncated to its `low` bits while it is shifted, with its `sign`.

    `outside` is set if a truncated bit differed from the sign.
    """
    low: Value
    sign: Value
    outside: Value

    def register(self, m, name):
        registers = _Truncated(*(Signal(len(value), name=f"{name}_{field}", reset_less=True)
                                 for field, value in self._asdict().items()))
        m.d.sync += [register.eq(value) for register, value in zip(registers, self)]
        return registers


class _Row(NamedTuple):
    """Activation, and if it is the last one of its tile."""
    valid: Value
    last: Value
    value: Value


class WriteBack(wiring.Component):
    """Converts drained accumulators to activations and writes them in words of four.

    An activation is ``saturate(relu(round_shift(acc, shift)))``, as defined in
    :mod:`eie_hdl.numeric`, or with ``scales`` the same of a row that is scaled, see
    :class:`RowScale`; with ``tables``, a function of this. Throughput is one row per cycle; a word
    is written four cycles after its last row, and ``scale_stages`` and ``table_stages`` more.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    tile : :py:`In(stream.Signature(layouts.end))`
        Destination and conversion of the rows that follow. Stalled until the previous tile has been
        written, and `written` accepted.
    i : :py:`In(stream.Signature(Mac.sum_layout(config), always_ready=True))`
        Rows, a multiple of four without ``loops``. With them, the rows of a tile that is not the
        last of its descriptor are followed by those of the next one, in the same word.
    scale : :py:`In(RowWords.scale_layout(config))`
        Scale of the row that follows in the next cycle, only with ``scales``.
    quantiser : :py:`In(layouts.quantiser)`
        Quantisation of a tile in the cycle after it has been accepted, only with ``scales``.
    written : :py:`Out(stream.Signature(1))`
        One token per tile written to the SRAM. The payload is set if an accumulator overflowed.
    stored : :py:`Out(1)`
        Strobe: the last word of a tile is being written to the SRAM.
    w : :py:`In(memory.WritePort.Signature(...))`
        Write port of the activation SRAM.
    """
    tile: stream.Interface
    i: stream.Interface
    written: stream.Interface
    stored: Signal
    w: memory.WritePort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        self._config = config
        self._guard_bits = GUARD_BITS if config.scales else 1
        super().__init__({
            "tile":    In(stream.Signature(layouts.end)),
            "i":       In(stream.Signature(Mac.sum_layout(config), always_ready=True)),
            **({"scale": In(RowWords.scale_layout(config)), "quantiser": In(layouts.quantiser)}
               if config.scales else {}),
            "written": Out(stream.Signature(1)),
            "stored":  Out(1),
            "w":       In(memory.WritePort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        config = self._config
        busy   = Signal()
        shift  = Signal(self._layouts.end.members["shift"], reset_less=True)
        relu   = Signal(reset_less=True)
        addr   = data_register(m, self.w.addr)
        m.d.comb += self.tile.ready.eq(~busy)
        with m.If(self.tile.valid & self.tile.ready):
            m.d.sync += [
                busy.eq(1),
                shift.eq(self.tile.p.shift),
                relu.eq(self.tile.p.relu),
                addr.eq(self._place(addr)),
            ]
        with m.If(self.w.en):
            m.d.sync += addr.eq(addr + 1)

        # Shift by the highest powers of two first. Bits that the remaining shifts cannot bring into
        # range are dropped; `outside` notes if they differ from the sign. One fractional bit is
        # kept for rounding.
        steps = [1 << n for n in reversed(range(len(shift)))]
        half  = len(steps) // 2
        s1 = _Truncated(Cat(Const(0, self._guard_bits), self.i.p.acc), self.i.p.acc[-1],
                        Const(0, 1))
        s1_shift, s2_shift = self._add_shift(m, shift) if config.scales else (shift, shift)
        s2 = self._shifted(s1, s1_shift, steps[:half]).register(m, "s2")
        s3 = self._shifted(s2, s2_shift, steps[half:]).register(m, "s3")
        s2_valid = Signal()
        s3_valid = Signal()
        s2_last  = Signal(reset_less=True)
        s3_last  = Signal(reset_less=True)
        m.d.sync += [
            s2_valid.eq(self.i.valid),
            s2_last.eq(self.i.p.last),
            s3_valid.eq(s2_valid),
            s3_last.eq(s2_last),
        ]

        row = (self._scale if config.scales else self._round)(m, s3, s3_valid, s3_last, relu)
        lane = Signal(range(ACTS_PER_WORD))    # of the row
        self._collect(m, lane, self._fill_up(m, lane, row) if config.loops else row, busy)

        return m

    def _round(self, m, s3, s3_valid, s3_last, relu):
        """Round and saturate to stage 4, and apply the function of the tile, if any.

        Functions take a negative operand less one, and tanh one with a bit less.
        """
        config    = self._config
        low, high = limits(config.act_width)
        rounded   = Signal(config.act_width + 1)
        overflow  = Signal()
        s4_valid  = Signal()
        s4_last   = Signal(reset_less=True)
        s4_value  = Signal(self._layouts.value, reset_less=True)
        row       = _Row(s4_valid, s4_last, s4_value)
        half      = Const(1)
        exceeds   = rounded[-1] != rounded[-2]
        if config.tables:
            table = self._hold(m, "table", Table)
            row, lowers, is_tanh = self._apply_lowered(m, row, table, relu, s3.sign)
            half     = Cat(1, lowers).as_signed()
            # Beside the addition: from 3/4 of the range of tanh, all results are 1, or -1.
            magnitude = s3.low[-4:-1] ^ s3.sign.replicate(3)
            exceeds  |= is_tanh & (magnitude[2] | magnitude[:2].all())
        m.d.comb += [
            rounded.eq((s3.low.as_signed() + half) >> 1),
            overflow.eq(s3.outside | (s3.low[-1] != s3.sign) | exceeds),
        ]
        m.d.sync += [
            s4_valid.eq(s3_valid),
            s4_last.eq(s3_last),
            s4_value.eq(Mux(overflow, Mux(s3.sign, low, high), rounded)),
        ]
        with m.If(relu & s3.sign):
            m.d.sync += s4_value.eq(0)
        return row

    def _add_shift(self, m, shift):
        """Return the shift of a row, with that of its scale, in stages 1 and 2."""
        total = Signal.like(shift, name="s1_shift", reset_less=True)
        m.d.sync += total.eq(shift + self.scale.shift)
        return total, delayed(m, total, 1, "s2_shift")

    def _scale(self, m, s3, s3_valid, s3_last, relu):
        """Scale a row, and apply the function of the tile, if any."""
        begins = Signal()
        scales = self._hold(m, "scale", 1)
        m.d.sync += begins.eq(self.tile.valid & self.tile.ready)
        m.submodules.row_scale = scale = RowScale(self._config)
        m.d.comb += [
            scale.begins.eq(begins),
            scale.scales.eq(scales),
            scale.relu.eq(relu),
            scale.quantiser.eq(self.quantiser),
            scale.i.valid.eq(s3_valid),
            scale.i.p.low.eq(s3.low),
            scale.i.p.sign.eq(s3.sign),
            scale.i.p.outside.eq(s3.outside),
            scale.i.p.fraction.eq(delayed(m, self.scale.fraction, 3, "fraction")),
            scale.i.p.last.eq(s3_last),
        ]
        row = _Row(scale.o.valid, scale.o.p.last, scale.o.p.value)
        if self._config.tables:
            row = self._apply_function(m, row, self._hold(m, "table", Table))
        return row

    def _hold(self, m, name, shape):
        """Return a field of the tile."""
        field = Signal(shape, name=name, reset_less=True)
        with m.If(self.tile.valid & self.tile.ready):
            m.d.sync += field.eq(self.tile.p[name])
        return field

    def _apply_function(self, m, row, table, **lowered):
        """Return a row after the function of its tile."""
        m.submodules.function = function = FunctionTable(self._config)
        m.d.comb += [
            function.table.eq(table),
            function.i.valid.eq(row.valid),
            function.i.p.value.eq(row.value),
            *(function.i.p[name].eq(value) for name, value in lowered.items()),
            function.i.p.last.eq(row.last),
        ]
        return _Row(function.o.valid, function.o.p.last, function.o.p.value)

    def _apply_lowered(self, m, row, table, relu, sign):
        """Apply the function of the tile to a row in stage 4.

        Return the row after that; if an operand with this sign in stage 3 is one less; and if the
        function is tanh.
        """
        negative = Signal(reset_less=True)
        lowers   = Signal()
        m.d.comb += lowers.eq(sign & (table != Table.NONE))
        m.d.sync += negative.eq(sign & ~relu)
        return (self._apply_function(m, row, table, negative=negative), lowers,
                table == Table.TANH)

    def _place(self, addr):
        """Return the row of a tile that is accepted; only the first of a descriptor names it."""
        tile = self.tile.p
        if not self._config.loops:
            return tile.destination
        return Mux(tile.begins_loop, tile.destination, addr)

    def _fill_up(self, m, lane, row):
        """Add rows of zeros after the last row of a descriptor, up to the end of a word.

        So words are never written in successive cycles, as :class:`~.memory_access.MemoryAccess`
        requires.
        """
        fills   = Signal(reset_less=True)    # the last word of the tile is to be filled up
        filling = Signal()
        with m.If(self.tile.valid & self.tile.ready):
            m.d.sync += fills.eq(self.tile.p.ends_loop)
        is_last = lane == ACTS_PER_WORD - 1
        ends    = filling | (row.valid & row.last & fills)
        m.d.sync += filling.eq(ends & ~is_last)
        return _Row(row.valid | filling, Mux(ends, is_last, row.valid & row.last),
                    Mux(filling, 0, row.value))

    def _collect(self, m, lane, row, busy):
        """Collect rows into words, and report the tile after its last word.

        A word is written in the cycle after its last row.
        """
        word     = data_register(m, self.w.data)
        overflow = data_register(m, self.written.payload)
        m.d.sync += [self.w.en.eq(0), self.stored.eq(0)]
        with m.If(row.valid):
            m.d.sync += [
                lane.eq(lane + 1),
                word.eq(Cat(word[self._config.act_width:], row.value)),
            ]
            with m.If(lane == ACTS_PER_WORD - 1):
                m.d.sync += [
                    self.w.en.eq(1),
                    self.stored.eq(row.last),
                ]
            if self._config.loops:    # also of a tile that ends within a word
                m.d.sync += self.stored.eq(row.last)
        with m.If(self.stored):
            m.d.sync += self.written.valid.eq(1)
        with m.If(self.written.valid & self.written.ready):
            m.d.sync += [busy.eq(0), self.written.valid.eq(0)]
        with m.If(self.i.valid & self.i.p.last):
            m.d.sync += overflow.eq(self.i.p.overflow)

    def _shifted(self, number, shift, steps):
        """Shift by each of `steps` whose bit is set in `shift`."""
        low, sign, outside = number
        for step in steps:
            applied = shift[clog2(step)]
            kept   = self._config.act_width + self._guard_bits - 1 + step
            low    = Cat(low, sign.replicate(max(0, kept + step - len(low))))
            lost   = low[kept:]
            outside = outside | (~applied & (lost != sign.replicate(len(lost))))
            low    = Mux(applied, low[step:], low)[:kept]
        return _Truncated(low, sign, outside)
