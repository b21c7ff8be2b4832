from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import ACTS_PER_WORD, EIEConfig, clog2
from ..format import Layouts

__all__ = ["RowWords"]


class RowWords(wiring.Component):
    """Selects the bias and the factor of a drained row from the words that the drain reads.

    Latency is one cycle. A register for each lane is 0 unless it is that of the row, so that none
    is selected.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    word : :py:`In(layouts.act_word)`
        Word at the output of the SRAM: in the first row of four, that of factors if there are
        `pairs`, which then follows that of biases; else that of biases.
    lane : :py:`In(...)`
        Lane of the row.
    drains, pairs : :py:`In(1)`
        A row is drained; biases and factors are read alternately.
    bias : :py:`Out(layouts.value)`
        Bias of the row.
    factor : :py:`Out(layouts.value)`
        Factor of the row, if there are `pairs`.
    """
    word: data.View
    lane: Signal
    drains: Signal
    pairs: Signal
    bias: Signal
    factor: Signal

    def __init__(self, config: EIEConfig):
        self._layouts = layouts = Layouts.of(config)
        super().__init__({
            "word":   In(layouts.act_word),
            "lane":   In(clog2(ACTS_PER_WORD)),
            "drains": In(1),
            "pairs":  In(1),
            "bias":   Out(layouts.value),
            "factor": Out(layouts.value),
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

        return m

    def _select(self, m, name, sources):
        """Return the one of these values whose flag is set, in the next cycle."""
        selected = Const(0)
        for place, (value, flag) in sources.items():
            register = Signal(self._layouts.value, name=f"{name}_{place}", reset_less=True)
            m.d.sync += register.eq(value)
            with m.If(~flag):
                m.d.sync += register.eq(0)
            selected |= register
        return selected
