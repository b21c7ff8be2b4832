from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts
from ..lib.data_register import data_register

__all__ = ["Mac"]


class Mac(wiring.Component):
    """Four-stage multiply-accumulate pipeline, one operand per cycle for any sequence of rows.

    (Han et al., ISCA 2016, section 4, "Arithmetic Unit".)

    1. Register the weight that the codebook returns for `i`.
    2. Multiply, and read the accumulator. It is bypassed if the operand before the preceding one
       has the same row, as its sum is being written.
    3. Add product and accumulator. It is bypassed if the preceding operand has the same row.
    4. Write the sum, or zero if the row is drained.

    Sums wrap at ``acc_width``.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    i : :py:`In(stream.Signature(layouts.operand, always_ready=True))`
        Operands.
    o : :py:`Out(stream.Signature(sum, always_ready=True))`
        Drained rows, four cycles after `i`: the accumulator `acc`, and `last` of the tile, with
        which `overflow` is set if any addition of the tile overflowed.
    bias : :py:`In(layouts.act_word)`
        Word of biases that contains the one of a drained row, with `i`.
    accumulated : :py:`Out(1)`
        Strobe: an entry is accumulated.
    codebook, acc_r, acc_w : :py:`In(memory...Port.Signature(...))`
        Ports of the codebook memory and of the accumulators.
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
        row_width = clog2(config.acc_depth)
        super().__init__({
            "i": In(stream.Signature(layouts.operand, always_ready=True)),
            "o": Out(stream.Signature(self.sum_layout(config), always_ready=True)),
            "bias": In(layouts.act_word),
            "accumulated": Out(1),
            "codebook": In(memory.ReadPort.Signature(
                addr_width=clog2(config.n_codebooks << config.v_width), shape=layouts.weight)),
            "acc_r": In(memory.ReadPort.Signature(addr_width=row_width, shape=layouts.acc)),
            "acc_w": In(memory.WritePort.Signature(addr_width=row_width, shape=layouts.acc)),
        })

    def elaborate(self, platform):
        m = Module()

        s2_valid, s2, s2_weight = self._weigh(m)

        # Stage 2: multiply and read the accumulator, which may be being written.
        config, layouts = self._config, self._layouts
        product    = Signal(signed(config.act_width + config.codebook_width), reset_less=True)
        s3         = Signal(layouts.operand, reset_less=True)
        s3_valid   = Signal()
        s3_acc     = Signal(layouts.acc, reset_less=True)
        is_same    = Signal(reset_less=True)    # the preceding operand has the same row
        m.d.sync += [
            product.eq(s2_weight * s2.value),
            s3_valid.eq(s2_valid),
            s3.eq(s2),
            s3_acc.eq(self.acc_r.data),
            is_same.eq(s3_valid & (s3.row == s2.row)),
        ]
        with m.If(self.acc_w.en & (self.acc_w.addr == s2.row)):
            m.d.sync += s3_acc.eq(self.acc_w.data)

        old = Mux(is_same, self.acc_w.data, s3_acc)
        self._accumulate(m, s3_valid, s3, old + product)

        return m

    def _weigh(self, m):
        """Find the weight and the value of an operand, for stage 2."""
        layouts = self._layouts
        # Before stage 1: address the codebook. The bias is in one of two lanes then: selecting it
        # from the word at once would take too long after block RAM.
        s1          = Signal(layouts.operand, reset_less=True)
        s1_valid    = Signal()
        s1_biases   = Signal(data.ArrayLayout(layouts.value, ACTS_PER_WORD // 2), reset_less=True)
        bias_weight = Signal(layouts.weight)
        biases      = self.bias.as_value()
        m.d.comb += [
            self.codebook.addr.eq(self.i.p.code),
            self.codebook.en.eq(self.i.valid & ~self.i.p.drain),
            bias_weight.eq(1 << s1.bias_shift),
        ]
        m.d.sync += [
            s1_valid.eq(self.i.valid),
            s1.eq(self.i.payload),
            s1_biases.eq(biases.word_select(self.i.p.row[1], len(biases) // 2)),
        ]

        # Stage 1: weight from the codebook, or of a bias. Address the accumulator.
        s2        = Signal(layouts.operand, reset_less=True)
        s2_valid  = Signal()
        s2_weight = Signal(layouts.weight, reset_less=True)
        m.d.comb += [
            self.acc_r.addr.eq(s1.row),
            self.acc_r.en.eq(s1_valid),
        ]
        m.d.sync += [
            s2_valid.eq(s1_valid),
            s2.eq(s1),
            s2_weight.eq(Mux(s1.drain, bias_weight, self.codebook.data)),
        ]
        with m.If(s1.drain):
            m.d.sync += s2.value.eq(s1_biases[s1.row[0]])
        return s2_valid, s2, s2_weight

    def _accumulate(self, m, s3_valid, s3, new):
        """Register the new sum in stage 3, and write it in stage 4."""
        # An overflow is found after the register, as the sum is late.
        s4_row    = Signal.like(s3.row, reset_less=True)
        s4_valid  = Signal()
        s4_acc    = Signal(self._layouts.acc, reset_less=True)
        acc       = data_register(m, self.o.p.acc)
        last      = data_register(m, self.o.p.last)
        s4_counts = Signal()
        s4_top    = Signal(2, reset_less=True)
        total     = Signal(signed(self._config.acc_width + 1))
        m.d.comb += [
            total.eq(new),
            self.accumulated.eq(s3_valid & ~s3.drain),
        ]
        m.d.sync += [
            s4_valid.eq(s3_valid),
            s4_row.eq(s3.row),
            s4_acc.eq(total),
            s4_counts.eq(s3_valid & ~s3.discard),
            s4_top.eq(total[-2:]),
            self.o.valid.eq(s3_valid & s3.drain & ~s3.discard),
            acc.eq(total),
            last.eq(s3.last),
        ]
        with m.If(s3.drain):
            m.d.sync += s4_acc.eq(0)

        # Stage 4: write.
        overflowed = Signal()    # in the current tile
        m.d.comb += [
            self.acc_w.addr.eq(s4_row),
            self.acc_w.data.eq(s4_acc),
            self.acc_w.en.eq(s4_valid),
            self.o.p.overflow.eq(overflowed | (s4_counts & s4_top.xor())),
        ]
        m.d.sync += overflowed.eq(self.o.p.overflow & ~(self.o.valid & self.o.p.last))
