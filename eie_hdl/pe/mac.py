from itertools import accumulate, pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts, reads_factors
from ..lib.carry_save import CarrySaveMultiplier
from ..lib.data_register import data_register
from ..lib.delayed import delayed
from .row_words import RowWords

__all__ = ["Mac"]


class Mac(wiring.Component):
    """Multiply-accumulate pipeline, one operand per cycle for any sequence of rows.

    (Han et al., ISCA 2016, section 4, "Arithmetic Unit".)

    1. Register the weight that the codebook returns for `i`.
    2. Multiply, and read the accumulator. It is bypassed if the operand before the preceding one
       has the same row, as its sum is being written.
    3. Add product and accumulator. It is bypassed if the preceding operand has the same row.
    4. Write the sum, or zero if the row is drained.

    With more than four ``mac_stages``, an accumulator is in parts, each of which is read, added and
    written a cycle after the one of the lower bits, from which it takes the carry. Each part
    bypasses its own preceding sums, so that an operand never waits. The multiplication then ends
    before its last addition: two numbers are added to the accumulator, not their sum.

    Sums wrap at ``acc_width``. With `maximum`, which exists only with ``maximum``, the weight is
    taken as zero, and the value replaces the sum if it is greater. It is compared with the
    accumulator while that is added to zero. To be unsigned, its sign bit is inverted: only the low
    ``act_width`` bits, in the lowest part, are compared, as the others are zero.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.operand, always_ready=True))`
        Operands.
    o : :py:`Out(stream.Signature(sum, always_ready=True))`
        Drained rows, ``mac_stages`` cycles after `i`: the accumulator `acc`, and `last` of the
        tile, with which `overflow` is set if any addition of the tile overflowed.
    scale : :py:`Out(RowWords.scale_layout(config))`
        Scale of a row, a cycle before it is at `o`; 0 without `scale`. Only with ``scales``.
    tile, quantiser : :py:`In(1)`, :py:`Out(layouts.quantiser)`
        Strobe: `i` has the address of entry 0 of the codebook of a tile whose rows follow. In the
        next cycle, it is the `quantiser`. Only with ``scales``.
    bias : :py:`In(layouts.act_word)`
        Word of biases that contains the one of a drained row, with `i`. It is the word of factors
        with the first row of a word that is multiplied or scaled, and the word of biases in the
        cycle before. Shifts of a word that is scaled are in the cycle after.
    accumulated : :py:`Out(1)`
        Strobe: an entry is accumulated.
    codebook, acc_r, acc_w : :py:`In(memory...Port.Signature(...))`
        Ports of the codebook memory, and of the accumulators, a
        :class:`~..lib.skewed_sram.SkewedSram` with ``acc_parts``.
    """
    i: stream.Interface
    o: stream.Interface
    bias: data.View
    accumulated: Signal
    codebook: memory.ReadPort
    acc_r: memory.ReadPort
    acc_w: memory.WritePort

    @staticmethod
    def sum_layout(config: EIEConfig) -> data.StructLayout:
        """Payload of `o`."""
        return data.StructLayout({"acc": signed(config.acc_width), "last": 1, "overflow": 1})

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        self._config = config
        # Part n of a sum is n cycles later than the lowest. The last has a bit for the overflow.
        bounds = [*accumulate(config.acc_parts[:-1], initial=0), config.acc_width + 1]
        self._parts = [slice(low, high) for low, high in pairwise(bounds)]
        self._last  = len(self._parts) - 1
        row_width = clog2(config.acc_depth)
        super().__init__({
            "i": In(stream.Signature(layouts.operand, always_ready=True)),
            "o": Out(stream.Signature(self.sum_layout(config), always_ready=True)),
            "bias": In(layouts.act_word),
            "accumulated": Out(1),
            **({"scale": Out(RowWords.scale_layout(config)), "tile": In(1),
                "quantiser": Out(layouts.quantiser)} if config.scales else {}),
            "codebook": In(memory.ReadPort.Signature(
                addr_width=clog2(config.n_codebooks << config.v_width), shape=layouts.weight)),
            "acc_r": In(memory.ReadPort.Signature(addr_width=row_width, shape=layouts.acc)),
            "acc_w": In(memory.WritePort.Signature(addr_width=row_width, shape=layouts.acc)),
        })

    def elaborate(self, platform):
        m = Module()

        s2_valid, s2, s2_weight = self._weigh(m)

        # Stage 2: multiply and read the accumulator, which may be being written.
        terms      = self._multiply(m, s2_weight, s2.value)
        s3         = Signal(self._layouts.operand, reset_less=True)
        s3_valid   = Signal()
        m.d.sync += [s3_valid.eq(s2_valid), s3.eq(s2)]
        old = self._read(m, self.acc_w.en & (self.acc_w.addr == s2.row),
                         s3_valid & (s3.row == s2.row))

        # Stage 3: add; stage 4: write.
        self._write(m, s3_valid, s3, self._add(m, s3, old, terms))

        return m

    def _weigh(self, m):
        """Find the weight and the value of an operand, for stage 2."""
        layouts = self._layouts
        # Before stage 1: address the codebook. Register the biases, as block RAM is late.
        s1          = Signal(layouts.operand, reset_less=True)
        s1_valid    = Signal()
        s1_biases   = Signal(layouts.act_word, reset_less=True)
        bias_weight = Signal(layouts.weight)
        s1_bias     = s1_biases[s1.row[:clog2(ACTS_PER_WORD)]]
        reads_entry = self.i.valid & ~self.i.p.drain
        if self._config.scales:
            reads_entry |= self.tile
        m.d.comb += [self.codebook.addr.eq(self.i.p.code), self.codebook.en.eq(reads_entry)]
        m.d.sync += [
            s1_valid.eq(self.i.valid),
            s1.eq(self.i.payload),
        ]
        if self._config.scales:
            s1_bias, weight = self._weigh_scaled(m, s1)
            m.d.comb += bias_weight.eq(weight)
        elif self._config.products:
            m.d.comb += bias_weight.eq(self._weigh_product(m))
            with m.If(self._lane == 0):    # meanwhile, the next word is read
                m.d.sync += s1_biases.eq(self.bias)
        else:
            m.d.comb += bias_weight.eq(1 << s1.bias_shift)
            m.d.sync += s1_biases.eq(self.bias)

        # Stage 1: weight from the codebook, or of a bias. Address the accumulator.
        s2        = Signal(layouts.operand, reset_less=True)
        s2_valid  = Signal()
        s2_weight = Signal(layouts.weight, reset_less=True)
        weight = Mux(s1.drain, bias_weight, self.codebook.data)
        if self._config.products and not self._config.scales:
            # The weight of a row is 0 unless it is drained.
            weight = Mux(s1.drain, 0, self.codebook.data) | bias_weight
        m.d.comb += [
            self.acc_r.addr.eq(s1.row),
            self.acc_r.en.eq(s1_valid),
        ]
        m.d.sync += [
            s2_valid.eq(s1_valid),
            s2.eq(s1),
            s2_weight.eq(weight),
        ]
        with m.If(s1.drain):
            m.d.sync += s2.value.eq(s1_bias)
        if self._config.maximum:
            with m.If(s1.maximum):    # by the resets of the registers
                m.d.sync += s2_weight.eq(0)
        return s2_valid, s2, s2_weight

    def _weigh_scaled(self, m, s1):
        """Return bias and weight of a drained row in stage 1. Pass its scale on, and entry 0."""
        m.submodules.words = words = RowWords(self._config)
        power  = Signal(self._layouts.weight, reset_less=True)
        weight = Signal(self._layouts.weight, attrs={"keep": 1})    # that of an entry is late
        m.d.comb += [
            words.word.eq(self.bias),
            words.lane.eq(self._lane),
            words.drains.eq(self.i.valid & self.i.p.drain),
            words.pairs.eq(reads_factors(self._config, self.i.p)),
            words.scales.eq(self.i.p.scale),
            weight.eq(Mux(s1.multiply, words.factor, power) if self._config.products else power),
            self.scale.eq(delayed(m, words.scale.as_value(), self._last, "scale")),
            self.quantiser.eq(self.codebook.data),
        ]
        m.d.sync += power.eq(1 << self.i.p.bias_shift)
        return words.bias, weight

    def _weigh_product(self, m):
        """Return the weight of a drained row in stage 1, which is an activation if multiplied.

        All registers but one are 0, so that none is selected; if nothing is drained, all.
        """
        biases = Signal(self._layouts.act_word, reset_less=True)
        power  = Signal(self._layouts.weight, reset_less=True)
        with m.If(~self.i.valid | (self._lane == ACTS_PER_WORD - 1)):
            m.d.sync += biases.eq(self.bias)
        m.d.sync += power.eq(1 << self.i.p.bias_shift)
        with m.If(~self.i.p.drain | self.i.p.multiply):
            m.d.sync += power.eq(0)
        # Kept, as the weight of an entry is late, and should not be taken into these gates.
        selected = Signal(self._layouts.value, attrs={"keep": 1})
        factors  = [Signal(self._layouts.value, reset_less=True, name=f"factor_{lane}")
                    for lane in range(ACTS_PER_WORD)]
        m.d.comb += selected.eq(factors[0] | factors[1] | factors[2] | factors[3])
        for lane, factor in enumerate(factors):
            m.d.sync += factor.eq(biases[lane])
            with m.If(~self.i.p.multiply | (self._lane != lane)):
                m.d.sync += factor.eq(0)
        return power | selected

    @property
    def _lane(self):
        """Lane of the row of an operand."""
        return self.i.p.row[:clog2(ACTS_PER_WORD)]

    def _multiply(self, m, weight, value):
        """Multiply in stage 2. Return for each part of the sum what is to be added in its cycle."""
        if self._last == 0:
            product = Signal(signed(len(weight) + len(value)), reset_less=True)
            m.d.sync += product.eq(weight * value)
            return [[product]]
        m.submodules.multiplier = multiplier = CarrySaveMultiplier(len(value), len(weight))
        m.d.comb += [multiplier.a.eq(value), multiplier.b.eq(weight)]
        return [[*(delayed(m, number[part], n, "product") for number in multiplier.o),
                 Const(multiplier.offset >> part.start, unsigned(part.stop - part.start))]
                for n, part in enumerate(self._parts)]

    def _read(self, m, is_written, follows):
        """Return each part of the accumulator in its cycle of the addition.

        Stage 2 reads it, or the sum if it `is_written`; stage 3 bypasses the preceding sum if the
        operand `follows` one of the same row.
        """
        s3_acc  = Signal(self._layouts.acc, reset_less=True)
        is_same = Signal(reset_less=True)    # the preceding operand has the same row
        m.d.sync += [s3_acc.eq(self.acc_r.data), is_same.eq(follows)]
        old = []
        for n, part in enumerate(self._parts):
            with m.If(delayed(m, is_written, n, "is_written")):
                m.d.sync += s3_acc[part].eq(self.acc_w.data[part])
            old.append(Mux(delayed(m, is_same, n, "is_same"),
                           self.acc_w.data[part], s3_acc[part]))
        return [*old[:-1], old[-1].as_signed()]

    def _add(self, m, s3, old, terms):
        """Add in stage 3. Return the sum, each part in its cycle, with a bit for the overflow.

        A maximum is this sum, or replaces its low bits.
        """
        total = Signal(signed(self._config.acc_width + 1))
        carry = []
        for n, (part, first, others) in enumerate(zip(self._parts, old, terms)):
            new, place = sum([*others, *carry], first), total[part]
            if n < self._last:
                carry_out = Signal(2)    # of three numbers, a constant and a carry
                carry     = [delayed(m, carry_out, 1, "carry")]
                place     = Cat(place, carry_out)
            m.d.comb += place.eq(new)
        if self._config.maximum:
            value = Cat(s3.value[:-1], ~s3.value[-1])
            # Not `value > …`, for which Yosys computes equality, too.
            with m.If(s3.maximum & (old[0][:len(value)] < value)):
                m.d.comb += total[:len(value)].eq(value)
        return total

    def _write(self, m, s3_valid, s3, total):
        """Register the new sum in stage 3, and write it in stage 4."""
        # An overflow is found after the register, as the sum is late.
        s4_row    = Signal.like(s3.row, reset_less=True)
        s4_valid  = Signal()
        s4_acc    = Signal(self._layouts.acc, reset_less=True)
        acc       = data_register(m, self.o.p.acc)
        last      = data_register(m, self.o.p.last)
        s4_counts = Signal()
        s4_top    = Signal(2, reset_less=True)
        n_late    = self._last
        m.d.comb += self.accumulated.eq(s3_valid & ~s3.drain)
        m.d.sync += [
            s4_valid.eq(s3_valid),
            s4_row.eq(s3.row),
            s4_acc.eq(total),
            s4_counts.eq(delayed(m, s3_valid & ~s3.discard, n_late, "counts", reset_less=False)),
            s4_top.eq(total[-2:]),
            self.o.valid.eq(delayed(m, s3_valid & s3.drain & ~s3.discard, n_late, "drains",
                                    reset_less=False)),
        ]
        for n, part in enumerate(self._parts):
            m.d.sync += acc[part].eq(delayed(m, total[part], n_late - n, "total"))
            with m.If(delayed(m, s3.drain, n, "drain")):
                m.d.sync += s4_acc[part].eq(0)
        m.d.sync += last.eq(delayed(m, s3.last, n_late, "last"))

        # Stage 4: write.
        overflowed = Signal()    # in the current tile
        m.d.comb += [
            self.acc_w.addr.eq(s4_row),
            self.acc_w.data.eq(s4_acc),
            self.acc_w.en.eq(s4_valid),
            self.o.p.overflow.eq(overflowed | (s4_counts & s4_top.xor())),
        ]
        m.d.sync += overflowed.eq(self.o.p.overflow & ~(self.o.valid & self.o.p.last))
