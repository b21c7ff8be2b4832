from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig, clog2
from ..format import Layouts
from ..lib.data_register import data_register

__all__ = ["Mac"]


class Mac(wiring.Component):
    """Four-stage multiply-accumulate pipeline, one operand per cycle for any sequence of rows.

    (Han et al., ISCA 2016, section 4, "Arithmetic Unit".)

    1. Register the weight that the codebook returns for `i`.
    2. Multiply, and read the accumulator.
    3. Add product and accumulator. The accumulator is bypassed if the preceding operand has the
       same row, as its sum is not yet written.
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
    accumulated : :py:`Out(1)`
        Strobe: an entry is accumulated.
    codebook, acc_r, acc_w : :py:`In(memory...Port.Signature(...))`
        Ports of the codebook memory and of the accumulators.
    """
    i: stream.Interface
    o: stream.Interface
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
            "accumulated": Out(1),
            "codebook": In(memory.ReadPort.Signature(
                addr_width=clog2(config.n_codebooks << config.v_width), shape=layouts.weight)),
            "acc_r": In(memory.ReadPort.Signature(addr_width=row_width, shape=layouts.acc)),
            "acc_w": In(memory.WritePort.Signature(addr_width=row_width, shape=layouts.acc)),
        })

    def elaborate(self, platform):
        m = Module()

        config, layouts = self._config, self._layouts

        # Before stage 1: address the codebook.
        s1          = Signal(layouts.operand, reset_less=True)
        s1_valid    = Signal()
        bias_weight = Signal(layouts.weight)
        m.d.comb += [
            self.codebook.addr.eq(self.i.p.code),
            self.codebook.en.eq(self.i.valid & ~self.i.p.drain),
            bias_weight.eq(1 << s1.bias_shift),
        ]
        m.d.sync += [
            s1_valid.eq(self.i.valid),
            s1.eq(self.i.payload),
        ]

        # Stage 1: weight from the codebook, or of a bias.
        s2        = Signal(layouts.operand, reset_less=True)
        s2_valid  = Signal()
        s2_weight = Signal(layouts.weight, reset_less=True)
        m.d.sync += [
            s2_valid.eq(s1_valid),
            s2.eq(s1),
            s2_weight.eq(Mux(s1.drain, bias_weight, self.codebook.data)),
        ]

        # Stage 2: multiply and read the accumulator.
        product    = Signal(signed(config.act_width + config.codebook_width), reset_less=True)
        s3         = Signal(layouts.operand, reset_less=True)
        s3_valid   = Signal()
        is_same    = Signal(reset_less=True)    # the preceding operand has the same row
        m.d.comb += [
            self.acc_r.addr.eq(s2.row),
            self.acc_r.en.eq(s2_valid),
        ]
        m.d.sync += [
            product.eq(s2_weight * s2.value),
            s3_valid.eq(s2_valid),
            s3.eq(s2),
            is_same.eq(s3_valid & (s3.row == s2.row)),
        ]

        # Stage 3: add.
        s4_row      = Signal.like(s2.row, reset_less=True)
        acc         = data_register(m, self.o.p.acc)
        last        = data_register(m, self.o.p.last)
        s4_valid    = Signal()
        s4_acc      = Signal(layouts.acc, reset_less=True)
        s4_overflow = Signal()
        old         = Signal(layouts.acc)
        total       = Signal(signed(config.acc_width + 1))
        m.d.comb += [
            old.eq(Mux(is_same, s4_acc, self.acc_r.data)),
            total.eq(old + product),
            self.accumulated.eq(s3_valid & ~s3.drain),
        ]
        m.d.sync += [
            s4_valid.eq(s3_valid),
            s4_row.eq(s3.row),
            s4_acc.eq(total),
            s4_overflow.eq(s3_valid & ~s3.discard & (total[-1] != total[-2])),
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
            self.o.p.overflow.eq(overflowed | s4_overflow),
        ]
        m.d.sync += overflowed.eq(self.o.p.overflow & ~(self.o.valid & self.o.p.last))

        return m
