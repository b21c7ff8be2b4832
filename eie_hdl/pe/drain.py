from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts, reads_factors

__all__ = ["Drain"]

#: Row of a word in which the next word of biases is read, if they are multiplied or scaled.
_BIAS_LANE = 1

#: Row of a word in which its word of shifts is read, if it is scaled.
_SHIFT_LANE = 0


class Drain(wiring.Component):
    """Passes entries to the MAC, and drains all rows at the end of a tile.

    Draining a row is one more operand of the MAC, as if from one more column: the bias of the row
    with weight ``2 ** bias_shift`` or, if they are multiplied, with the factor of the row. A
    product or a scale of the row takes one more cycle for a tile. As it follows all entries of the
    tile, the accumulator is complete; it is cleared for the next tile. One row is drained per
    cycle, while entries of the next tile are stalled. After reset, all accumulators are cleared in
    the same way. `i` is ready unless rows are drained, or an end waits at it until `tile` is
    accepted.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.operation))`
        Entries and ends of tiles.
    tile : :py:`Out(stream.Signature(layouts.end))`
        Tile whose rows follow at `o` once it is accepted.
    o : :py:`Out(stream.Signature(layouts.operand, always_ready=True))`
        Operands, in the same cycle as `i`. The bias of a drained row is in the word at the output
        of the SRAM. If it is multiplied or scaled, the factor is there instead in the first row of
        a word, and the bias in the cycle before. The shifts of a scaled word are there in the cycle
        after its first row.
    hold : :py:`Out(1)`
        `bias` is in use: no other component may read the SRAM. Without ``loops``, also while an end
        waits.
    bias : :py:`In(memory.ReadPort.Signature(...))`
        Read port of the activation SRAM, of which the data is for the MAC.
    """
    i: stream.Interface
    tile: stream.Interface
    o: stream.Interface
    hold: Signal
    bias: memory.ReadPort

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        self._config = config
        super().__init__({
            "i":    In(stream.Signature(layouts.operation)),
            "tile": Out(stream.Signature(layouts.end)),
            "o":    Out(stream.Signature(layouts.operand, always_ready=True)),
            "hold": Out(1),
            "bias": In(memory.ReadPort.Signature(
                addr_width=clog2(config.act_depth), shape=layouts.act_word.size)),
        })

    def elaborate(self, platform):
        m = Module()

        end      = Signal.like(self.tile.payload, reset_less=True)    # of the tile that is drained
        draining = Signal(init=1)    # rows, not entries, go through the MAC
        is_last  = Signal()    # the row that is drained is the last one
        m.d.comb += [
            self.tile.payload.eq(self.i.p.body.end),
            self.o.p.code.eq(self.i.p.code),
            self.o.p.value.eq(self.i.p.body.activation.value),
            self.o.p.bias_shift.eq(end.bias_shift),
        ]

        has_pairs = self._config.products or self._config.scales
        # The first bias word is read as the tile is accepted, each later one in the last lane of
        # the previous. If they are multiplied or scaled, these are the reads of factors, and biases
        # are read before them. A read that is not needed could collide with a write. A flag and not
        # an FSM, as it stalls the whole pipeline.
        bias   = Signal.like(self.bias.addr, reset_less=True)    # word to read next
        is_end = self.i.valid & self.i.p.is_end
        if not has_pairs:
            with m.If(self.bias.en):
                m.d.sync += bias.eq(self.bias.addr + 1)
        is_first = Signal()    # the first word of factors is read
        with m.If(~draining):
            m.d.comb += [
                self.tile.valid.eq(is_end),
                self.i.ready.eq(~is_end | self.tile.ready),
                self.hold.eq(is_end & self.tile.ready if self._config.loops else is_end),
                self.bias.addr.eq(self.i.p.body.end.bias),
                self.bias.en.eq(is_end & self.tile.ready),
                self.o.valid.eq(self.i.valid & ~is_end),
                self.o.p.row.eq(self.i.p.row),
            ]
            m.d.sync += [
                end.eq(self.i.p.body.end),
                draining.eq(is_end & self.tile.ready),
            ]
            if self._config.maximum:    # biases are added in any case
                m.d.comb += self.o.p.maximum.eq(self.i.p.maximum)
            if self._config.loops:
                arriving = self.i.p.body.end
                m.d.sync += is_last.eq(Cat(arriving.last_lane, arriving.last_word) == 0)
            if has_pairs:
                m.d.sync += [
                    bias.eq(arriving.factor),
                    is_first.eq(is_end & self.tile.ready & reads_factors(self._config, arriving)),
                ]
        if has_pairs:
            with m.Elif(is_first):
                m.d.comb += [self.hold.eq(1), self.bias.addr.eq(bias), self.bias.en.eq(1)]
                m.d.sync += is_first.eq(0)
        with m.Else():
            self._drain_row(m, draining, is_last, end, bias)
        if self._config.scales:
            self._find_word(m, draining, is_first, end, bias)

        return m

    def _find_word(self, m, draining, is_first, end, bias):
        """Find `bias` a cycle before it is read, of a tile that scales, multiplies or does not."""
        number = Signal(range(self._config.tile_words))    # of the next word of biases
        row    = self.o.p.row
        with m.If(~draining):
            m.d.sync += number.eq(~reads_factors(self._config, self.i.p.body.end))
        with m.Elif(is_first | (row[:clog2(ACTS_PER_WORD)] == ACTS_PER_WORD - 1)):
            m.d.sync += number.eq(number + 1)
        takes_factor = is_first | (reads_factors(self._config, end) & row[1])
        pair         = Cat(is_first | row[0], number)    # fractions and shifts alternate
        with m.If(draining):
            m.d.sync += bias.eq(Mux(takes_factor, end.factor, end.bias)
                                + Mux(takes_factor & end.scale, pair, number))

    def _drain_row(self, m, draining, is_last, end, bias):
        """Send the next row through the MAC, and clear `draining` after the last one."""
        row      = Signal(range(self._config.acc_depth))
        lane     = row[:clog2(ACTS_PER_WORD)]
        word     = row[clog2(ACTS_PER_WORD):]
        clearing = Signal(init=1)    # after reset
        m.d.comb += [
            self.o.valid.eq(1),
            self.o.p.row.eq(row),
            self.o.p.drain.eq(1),
        ]
        with m.If(clearing):
            m.d.comb += self.o.p.discard.eq(1)
            m.d.sync += row.eq(row + 1)
            with m.If(row == self._config.acc_depth - 1):
                m.d.sync += [draining.eq(0), clearing.eq(0)]
        with m.Else():
            reads = (lane == ACTS_PER_WORD - 1) & ~is_last
            if self._config.products or self._config.scales:
                pairs = reads_factors(self._config, end)
                reads |= pairs & (lane == _BIAS_LANE) & (word != end.last_word)
            if self._config.scales:
                reads |= end.scale & (lane == _SHIFT_LANE)
                m.d.comb += self.o.p.scale.eq(end.scale)
            if self._config.products:
                m.d.comb += self.o.p.multiply.eq(end.multiply)
            if self._config.products and not self._config.scales:
                # Found a cycle before it is read.
                first = Mux(pairs & (lane >= _BIAS_LANE + 1), end.factor, end.bias)
                m.d.sync += bias.eq(first + word + 1)
            m.d.comb += [
                self.hold.eq(1),
                self.o.p.last.eq(is_last),
                self.bias.addr.eq(bias),
                self.bias.en.eq(reads),
            ]
            m.d.sync += [
                row.eq(Mux(is_last, 0, row + 1)),
                is_last.eq(row + 1 == Cat(end.last_lane, end.last_word) if self._config.loops else
                           (lane == ACTS_PER_WORD - 2) & (word == end.last_word)),
                draining.eq(~is_last),
            ]
