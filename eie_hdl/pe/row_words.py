from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import SCALE_SHIFT_WIDTH, Layouts
from ..lib.delayed import delayed

__all__ = ["RowWords"]


class RowWords(wiring.Component):
    """Selects bias, factor and shift of a drained row from the words that the drain reads.

    Latency is one cycle, and three of a scale. A register for each lane is 0 unless it is that of
    the row, so that none is selected.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    word : :py:`In(layouts.act_word)`
        Word at the output of the SRAM: in the first row of four, that of factors if there are
        `pairs`, which then follows that of biases; else that of biases. In the cycle after the
        first row, that of shifts if the row is scaled.
    lane : :py:`In(...)`
        Lane of the row.
    drains, pairs, scales : :py:`In(1)`
        A row is drained; biases and factors are read alternately; and shifts, too.
    bias : :py:`Out(layouts.value)`
        Bias of the row.
    factor : :py:`Out(layouts.value)`
        Factor of the row, if there are `pairs`.
    scale : :py:`Out(scale)`
        Factor and shift of the row, two cycles after `factor`; 0 without `scales`.
    """
    word: data.View
    lane: Signal
    drains: Signal
    pairs: Signal
    scales: Signal
    bias: Signal
    factor: Signal
    scale: data.View

    @staticmethod
    def scale_layout(config: EIEConfig) -> data.StructLayout:
        """Layout of `scale`."""
        return data.StructLayout({"fraction": config.act_width, "shift": SCALE_SHIFT_WIDTH})

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "word":   In(layouts.act_word),
            "lane":   In(clog2(ACTS_PER_WORD)),
            "drains": In(1),
            "pairs":  In(1),
            "scales": In(1),
            "bias":   Out(layouts.value),
            "factor": Out(layouts.value),
            "scale":  Out(self.scale_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()

        # The word of the first row is late, so that only this row uses it before a register.
        biases   = Signal(self._layouts.act_word, reset_less=True)
        factors  = Signal(self._layouts.act_word, reset_less=True)
        is_first = self.lane == 0
        with m.If(~self.drains | (self.lane == ACTS_PER_WORD - 1) | (is_first & ~self.pairs)):
            m.d.sync += biases.eq(self.word)
        with m.If(is_first):
            m.d.sync += factors.eq(self.word)
        later = range(1, ACTS_PER_WORD)
        m.d.comb += [
            self.bias.eq(self._select(m, "bias", {
                "alone": (self.word[0], is_first & ~self.pairs),
                "0":     (biases[0], is_first & self.pairs),
                **{str(lane): (biases[lane], self.lane == lane) for lane in later}})),
            self.factor.eq(self._select(m, "factor", {
                "0": (self.word[0], is_first),
                **{str(lane): (factors[lane], self.lane == lane) for lane in later}})),
        ]
        self._find_scale(m, is_first)

        return m

    def _find_scale(self, m, is_first):
        """Drive `scale`."""
        # Shifts are a cycle later, in which their first row is in the next stage.
        shifts = Signal(data.ArrayLayout(SCALE_SHIFT_WIDTH, ACTS_PER_WORD), reset_less=True)
        with m.If(delayed(m, is_first, 1, "is_first")):
            m.d.sync += shifts.eq(Cat(value[:SCALE_SHIFT_WIDTH] for value in self.word))
        s1_scales = delayed(m, self.scales, 1, "s1_scales")
        s2_scales = delayed(m, s1_scales, 1, "s2_scales")
        s2_lane   = delayed(m, self.lane, 2, "lane")
        fraction  = Signal(len(self.factor), reset_less=True)
        m.d.sync += fraction.eq(self.factor)
        with m.If(~s1_scales):
            m.d.sync += fraction.eq(0)
        m.d.comb += [
            self.scale.fraction.eq(delayed(m, fraction, 1, "fraction")),
            self.scale.shift.eq(self._select(m, "shift", {
                str(lane): (shift, s2_scales & (s2_lane == lane))
                for lane, shift in enumerate(shifts)})),
        ]

    def _select(self, m, name, sources):
        """Return the one of these values whose flag is set, in the next cycle."""
        selected = Const(0)
        for place, (value, flag) in sources.items():
            register = Signal.like(value, name=f"{name}_{place}", reset_less=True)
            m.d.sync += register.eq(value)
            with m.If(~flag):
                m.d.sync += register.eq(0)
            selected |= register
        return selected
