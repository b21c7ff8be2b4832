from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ZERO_WIDTH, EIEConfig
from ..format import Layouts
from ..lib.carry_save import CarrySaveMultiplier
from ..lib.delayed import delayed

__all__ = ["GUARD_BITS", "RowScale"]

#: Fraction bits of an accumulator when it is multiplied.
GUARD_BITS = 2


class RowScale(wiring.Component):
    """Multiplies shifted accumulators by the factors of their rows, rounds and quantises them.

    docs/architecture.md defines this, "Row scales". Throughput is one row per cycle, latency
    ``scale_stages + 1``, as it replaces the stage that rounds:

    1. Saturate the accumulator.
    2. Multiply. All bits below the one that rounds are set.
    3. Add to the lowest of them, from where a carry reaches the position at which this tile is
       rounded, and add the zero point. Saturate, and clear the bits that are rounded away.
    4. Subtract the zero point.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    begins : :py:`In(1)`
        Strobe: `quantiser` is that of the rows that follow, from two cycles later on.
    scales, relu : :py:`In(1)`
        The tile is quantised, and rows have scales; negative numbers become zero. Constant while
        rows are in the pipeline, from `begins` on.
    quantiser : :py:`In(layouts.quantiser)`
        Entry 0 of the codebook.
    i : :py:`In(stream.Signature(operand, always_ready=True))`
        Rows: the `low` bits of a number with this `sign`, of which bits were truncated that
        differed from the sign if `outside` is set; the `fraction` of the factor; and `last` of the
        tile.
    o : :py:`Out(stream.Signature(result, always_ready=True))`
        `value` and `last`.
    """
    begins: Signal
    scales: Signal
    relu: Signal
    quantiser: data.View
    i: stream.Interface
    o: stream.Interface

    @staticmethod
    def operand_layout(config: EIEConfig) -> data.StructLayout:
        """Payload of `i`."""
        return data.StructLayout({"low": config.act_width + GUARD_BITS, "sign": 1, "outside": 1,
                                  "fraction": config.act_width, "last": 1})

    def __init__(self, config: EIEConfig):
        self._config = config
        layouts = Layouts.of(config)
        super().__init__({
            "begins":    In(1),
            "scales":    In(1),
            "relu":      In(1),
            "quantiser": In(layouts.quantiser),
            "i": In(stream.Signature(self.operand_layout(config), always_ready=True)),
            "o": Out(stream.Signature(data.StructLayout({"value": layouts.value, "last": 1}),
                                      always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()

        width, stages = self._config.act_width, self._config.scale_stages + 1
        cleared, zero, added = self._quantise(m)

        # Stage 1.
        low, sign = self.i.p.low, self.i.p.sign
        operand   = Signal(signed(len(low)), reset_less=True)
        m.d.sync += operand.eq(Mux(self.i.p.outside | (low[-1] != sign),
                                   Cat((~sign).replicate(len(low) - 1), sign), low))
        fraction  = delayed(m, self.i.p.fraction, 1, "fraction")
        factor    = Cat(fraction, Const(1, 2)).as_signed()

        # Stages 2 and 3.
        product = self._multiply(m, operand, factor, cleared)
        total   = Signal(signed(len(product) + 1))
        m.d.comb += total.eq(product + added)
        rounded = self._saturate(m, total[1:], cleared)

        # Stage 4: the bits below those of the zero point stay.
        value = Signal(Layouts.of(self._config).value, reset_less=True)
        place = width - 1 - ZERO_WIDTH
        m.d.sync += value.eq(Cat(rounded[:place], rounded[place:].as_signed() - zero))
        m.d.comb += [
            self.o.p.value.eq(value),
            self.o.valid.eq(delayed(m, self.i.valid, stages, "valid", reset_less=False)),
            self.o.p.last.eq(delayed(m, self.i.p.last, stages, "last")),
        ]

        return m

    def _quantise(self, m):
        """Register the quantisation of a tile.

        Return a mask of the low bits of a result that are cleared, the zero point, and what is
        added to a product: half of a step and the zero point.
        """
        width    = self._config.act_width
        rounding = Signal(self.quantiser.rounding.shape(), reset_less=True)
        point    = Signal(signed(ZERO_WIDTH), reset_less=True)
        zero     = Signal(signed(ZERO_WIDTH), reset_less=True)
        cleared  = Signal(width - 1, reset_less=True)
        added    = Signal(signed(ZERO_WIDTH + 1), reset_less=True)
        with m.If(self.begins):    # nothing else, as block RAM is late
            m.d.sync += [rounding.eq(self.quantiser.rounding), point.eq(self.quantiser.zero)]
        m.d.sync += [
            cleared.eq(Cat(bit < rounding for bit in range(len(cleared)))),
            zero.eq(point),
            added.eq(zero),
        ]
        with m.If(self.begins & ~self.scales):
            m.d.sync += rounding.eq(0)
        with m.If(rounding == 0):
            m.d.sync += zero.eq(0)
        place = width - 1 - ZERO_WIDTH
        for bit, is_cleared in enumerate(cleared[place:]):
            with m.If(is_cleared):
                m.d.sync += added[bit].eq(0)
        return cleared, zero, Cat(1, Const(0, place), added).as_signed()

    def _multiply(self, m, operand, factor, cleared):
        """Return the product in stage 2, from the bit that rounds if none is cleared."""
        n_dropped = self._config.act_width + GUARD_BITS - 1
        product   = Signal(signed(len(operand) + len(factor) - 1 - n_dropped), reset_less=True)
        if self._config.mac_stages > 4:
            m.submodules.multiplier = multiplier = CarrySaveMultiplier(len(operand), len(factor))
            m.d.comb += [multiplier.a.eq(operand), multiplier.b.eq(factor)]
            m.d.sync += product.eq(sum(multiplier.o, multiplier.offset) >> n_dropped)
        else:
            m.d.sync += product.eq((operand * factor) >> n_dropped)
        for bit, is_cleared in enumerate(cleared):
            with m.If(is_cleared):
                m.d.sync += product[bit].eq(1)
        return product

    def _saturate(self, m, total, cleared):
        """Saturate a sum in stage 3, to one bit less if bits are cleared."""
        width   = self._config.act_width
        is_less = cleared[0]
        sign    = total[-1]
        rounded = Signal(width, reset_less=True)
        exceeds = ((total[width] != sign) | (total[width - 1] != total[width])
                   | (is_less & (total[width - 2] != total[width - 1])))
        limit   = Cat((~sign).replicate(width - 2), sign ^ ~is_less, sign)
        m.d.sync += rounded.eq(Mux(exceeds, limit, total) & Cat(~cleared, Const(1)))
        with m.If(self.relu & sign):
            m.d.sync += rounded.eq(0)
        return rounded
