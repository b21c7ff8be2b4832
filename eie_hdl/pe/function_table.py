from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EIEConfig
from ..format import Layouts, Table
from ..lib.carry_save import CarrySaveMultiplier
from ..lib.delayed import delayed
from ..numeric import TANH_TABLE

__all__ = ["FunctionTable"]

#: Bits of an index of the ROM, which is signed, and of the rest of a position, in 256ths of an
#: entry: as fine as positions are defined.
_INDEX_WIDTH = 9
_REST_WIDTH = 8

#: Fraction bits of the entries of the table.
_ENTRY_FRAC = 15

#: Bits by which the last bit of a negative operand is divided, so that it can be lowered a little.
#: No two entries differ by more than ``2 ** 10``.
_LOWER_WIDTH = 10


class FunctionTable(wiring.Component):
    """Applies sigmoid or tanh to activations, by a table with linear interpolation.

    docs/operations.md defines them, "The table of tanh". As sigmoid is ``(1 + tanh(x / 2)) / 2``,
    both read the same ROM. Throughput is one activation per cycle, latency ``table_stages``; those
    to which no function applies are as late.

    Signs need no logic, as the ROM has entries for negative positions, too, and a chord is the same
    from both ends. Only halves are rounded away from zero, those of negative results thus down.
    Therefore a negative operand `x` is lowered by ``2 ** -10``: all that follows is then less, but
    by no more than a step, so that halves fall below. Its bits are those of ``x - 1``, followed by
    ones. Where a chord is level, the entry itself is lowered.

    With ``scales``, the sign of an operand is not known before it is complete, so that it comes as
    it is, and its last bits are lowered here. At the begin of a chord, they become negative.

    Parameters
    ----------
    config : :class:`EIEConfig`
        Configuration.

    Members
    -------
    table : :py:`In(2)`
        The :class:`~eie_hdl.format.Table`, constant while activations are in the pipeline.
    i : :py:`In(stream.Signature(operand, always_ready=True))`
        Activations: `value`, and `last` of the tile. Without ``scales`` and with a function, those
        that are `negative` before they are rounded are one less, and those of tanh have a bit less.
    o : :py:`Out(stream.Signature(result, always_ready=True))`
        `value` and `last`.
    """
    table: Signal
    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: EIEConfig):
        self._config = config
        width = config.act_width
        #: Fraction bits of sums beyond those of entries: the last but one bit of the sum of tanh is
        #: the last one of its result.
        self._frac = max(0, width - 1 - _ENTRY_FRAC)
        #: Stages of the multiplication, as of that of the MAC without its addition.
        self._n_multiplies = config.mac_stages - 3
        value = Layouts.of(config).value
        super().__init__({
            "table": In(Table),
            "i": In(stream.Signature(self.operand_layout(config), always_ready=True)),
            "o": Out(stream.Signature(data.StructLayout({"value": value, "last": 1}),
                                      always_ready=True)),
        })

    @staticmethod
    def operand_layout(config: EIEConfig) -> data.StructLayout:
        """Payload of `i`."""
        return data.StructLayout({"value": Layouts.of(config).value,
                                  **({} if config.scales else {"negative": 1}), "last": 1})

    def elaborate(self, platform):
        m = Module()

        is_tanh     = self.table == Table.TANH
        index, rest = self._locate(m, is_tanh)
        entry       = self._read(m, index)
        part        = self._multiply(m, entry.step, delayed(m, rest, 2, "rest"))
        first       = delayed(m, entry.first, self._n_multiplies, "first")
        self._finish(m, first, part, is_tanh)

        return m

    def _finish(self, m, first, part, is_tanh):
        """Add, with half of a step of the result, and shift for either function.

        One of three registers is not 0, so that none is selected.
        """
        width  = self._config.act_width
        half   = max(0, _ENTRY_FRAC + 1 - width)
        stages = self._config.table_stages
        total  = Signal(signed(len(first) + 1))
        tanh, sigmoid, passed = (Signal(signed(width), reset_less=True, name=name)
                                 for name in ("tanh", "sigmoid", "passed"))
        is_sigmoid = self.table == Table.SIGMOID
        m.d.comb += [
            total.eq(first + part + (is_sigmoid << half)),
            self.o.p.value.eq(tanh | sigmoid | passed),
        ]
        m.d.sync += [
            tanh.eq(total >> half + 1),
            sigmoid.eq((total >> half + 2) + (1 << width - 3)),
            passed.eq(delayed(m, self.i.p.value, stages - 1, "value")),
            self.o.valid.eq(delayed(m, self.i.valid, stages - 1, "valid", reset_less=False)),
            self.o.p.last.eq(delayed(m, self.i.p.last, stages - 1, "last")),
        ]
        for register, selected in ((tanh, is_tanh), (sigmoid, is_sigmoid),
                                   (passed, ~is_tanh & ~is_sigmoid)):
            with m.If(~selected):
                m.d.sync += register.eq(0)

    def _locate(self, m, is_tanh):
        """Return the index in the ROM, and the rest: its bits, and those of the lowered operand.

        A position of sigmoid is the operand, one of tanh is twice the operand.
        """
        value    = self.i.p.value
        is_exact = self._config.scales    # operands are lowered here
        lowered  = value[-1] if is_exact else self.i.p.negative
        doubled  = Cat(0, _limit(value)) if is_exact else Cat(lowered, value[:-2], value[-1])
        operand  = Mux(is_tanh, doubled, value.as_unsigned())
        surplus  = len(value) - _INDEX_WIDTH - _REST_WIDTH
        if surplus > 0:
            operand = self._round(m, operand.as_signed(), lowered, surplus)
            lowered = delayed(m, lowered, 1, "lowered")
        if is_exact:
            index, rest = operand[-_INDEX_WIDTH:], operand[:-_INDEX_WIDTH]
            rest = (rest - lowered)[:len(rest) + 1]
            return index, Cat(lowered.replicate(_LOWER_WIDTH), rest).as_signed()
        place = Cat(lowered.replicate(max(0, -surplus - _REST_WIDTH)), operand)
        rest  = Cat(lowered.replicate(_LOWER_WIDTH), place[:-_INDEX_WIDTH])
        return place[-_INDEX_WIDTH:], rest

    def _round(self, m, operand, lowered, shift):
        """Round wide operands, away from zero, to the range of positions. Lowered ones stay so."""
        half     = 1 << shift - 1
        rounded  = Signal(signed(len(operand) - shift + 1))
        position = Signal(len(rounded) - 1, reset_less=True)
        # One less than half of a step suffices for a negative operand that is not lowered yet.
        least    = half - 1 if self._config.scales else -half
        m.d.comb += rounded.eq((operand + Mux(lowered, least, half)) >> shift)
        m.d.sync += position.eq(rounded)
        with m.If(rounded[-1] != rounded[-2]):
            m.d.sync += position.eq(Cat((~rounded[-1]).replicate(len(position) - 1), rounded[-1]))
        return position

    def _read(self, m, index):
        """Read the ROM, and register the entry, as block RAM is late."""
        entries = _make_entries(self._config.act_width, self._frac)
        layout  = data.StructLayout({
            "first": signed(_ENTRY_FRAC + 2 + self._frac),
            "step":  max(step for _, step in entries).bit_length()})
        read    = Signal(layout, reset_less=True)
        entry   = Signal(layout, reset_less=True)
        with m.Switch(index):
            for at, (first, step) in enumerate(entries, -(1 << _INDEX_WIDTH - 1)):
                with m.Case(at & (1 << _INDEX_WIDTH) - 1):
                    m.d.sync += read.eq(layout.const({"first": first, "step": step}))
        m.d.sync += entry.eq(read)
        return entry

    def _multiply(self, m, step, rest):
        """Multiply the step to the next entry by the rest. Return it in units of a sum."""
        product = Signal(Shape(len(step) + len(rest), rest.shape().signed), reset_less=True)
        if self._n_multiplies > 1:
            m.submodules.multiplier = multiplier = CarrySaveMultiplier(len(rest) + 1, len(step) + 1)
            m.d.comb += [multiplier.a.eq(rest), multiplier.b.eq(step)]
            m.d.sync += product.eq(sum(multiplier.o, multiplier.offset))
        else:
            m.d.sync += product.eq(step * rest)
        part = product[len(rest) - rest.shape().signed - self._frac:]
        return part.as_signed() if rest.shape().signed else part


def _limit(value):
    """Drop a bit of an operand of tanh. One that needs it becomes one whose result is 1, or -1."""
    sign    = value[-1]
    exceeds = value[-2] != sign
    return Cat(value[:-4], Mux(exceeds, (~sign).replicate(2), value[-4:-2]), sign)


def _make_entries(width, frac):
    """Entries of the ROM, from the lowest index: the first value of a chord, and its step.

    Values have `frac` fraction bits more than the table, and half of a step of tanh is added.
    """
    last   = len(TANH_TABLE) - 1
    half   = 1 << max(0, _ENTRY_FRAC + 1 - width)
    places = range(-(1 << _INDEX_WIDTH - 1), (1 << _INDEX_WIDTH - 1) + 1)
    values = [TANH_TABLE[min(abs(place), last)] * (1 if place > 0 else -1) for place in places]
    return [((value << frac) + half - (place < 0 and following == value), following - value)
            for place, value, following in zip(places, values, values[1:])]
