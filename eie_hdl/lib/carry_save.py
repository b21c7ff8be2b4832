from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .delayed import delayed

__all__ = ["CarrySaveMultiplier"]


class CarrySaveMultiplier(wiring.Component):
    """Multiplies two signed numbers, up to the last addition.

    The product is ``o[0] + o[1] + offset``. Half of the delay of a multiplier is the carry of this
    addition, for which the user may have a better place. Latency is one cycle, throughput one
    product per cycle.

    `b` is recoded to digits from -2 to 2 (Booth), each of which adds a multiple of `a`. The bits of
    the same weight, a column, are reduced to two by full and half adders (Dadda).

    Parameters
    ----------
    a_width, b_width : :class:`int`
        Bits of the factors.

    Attributes
    ----------
    offset : :class:`int`
        Constant part of the product. It is negative, as the numbers are not.

    Members
    -------
    a, b : :py:`In(signed(...))`
        Factors.
    o : :py:`Out(...).array(2)`
        Unsigned numbers.
    """
    a: Signal
    b: Signal

    def __init__(self, a_width: int, b_width: int):
        n_columns   = a_width + b_width + b_width % 2
        self.offset = -(1 << n_columns - 1)
        super().__init__({"a": In(signed(a_width)), "b": In(signed(b_width)),
                          "o": Out(n_columns).array(2)})

    def elaborate(self, platform):
        m = Module()

        columns = self._multiples(m)
        for height in _heights(max(map(len, columns))):
            columns = _reduce(m, columns, height)
        # A column of one bit leaves the other number 0 there, without a register: synthesis tools
        # may refuse those of constants.
        for n, column in enumerate(columns):
            for place, (number, bit) in enumerate(zip(self.o, column)):
                m.d.comb += number[n].eq(delayed(m, bit, 1, f"o_{place}_{n}"))

        return m

    def _multiples(self, m):
        """Return the columns of the multiples of `a`, one for each digit of `b`.

        A negative multiple is inverted, and one is added. A sign bit counts negatively, which is
        the inverted bit minus one. The sum of these ones is subtracted once for all multiples, by
        `offset` and the constant bits of the columns.
        """
        columns  = [[] for _ in self.o[0]]
        a, b     = self.a, Cat(0, self.b, self.b[-1])
        constant = -self.offset
        for place in range(0, len(self.b), 2):
            lower, middle, negative = b[place:place + 3]
            one      = Signal(name=f"one_{place}")
            two      = Signal(name=f"two_{place}")
            multiple = Signal(len(a) + 1, name=f"multiple_{place}")
            m.d.comb += [
                one.eq(middle ^ lower),
                two.eq((negative ^ middle) & ~one),
                multiple.eq((Cat(a, a[-1]) & one.replicate(len(multiple))
                             | Cat(0, a) & two.replicate(len(multiple)))
                            ^ negative.replicate(len(multiple))),
            ]
            for n, bit in enumerate((*multiple[:-1], ~multiple[-1])):
                columns[place + n].append(bit)
            columns[place].append(negative)
            constant -= 1 << place + len(a)
        for n, column in enumerate(columns):
            if constant >> n & 1:
                column.append(Const(1))
        return columns


def _heights(greatest):
    """Heights of the columns after each step, down to 2: a full adder makes two bits of three."""
    heights = [2]
    while heights[-1] * 3 // 2 < greatest:
        heights.append(heights[-1] * 3 // 2)
    return reversed(heights)


def _reduce(m, columns, height):
    """Reduce each column to at most `height` bits, carries included, by as few adders as possible.

    There is no carry out of the last column, as the sum fits all columns.
    """
    reduced, carries = [], []
    for n, column in enumerate(columns):
        bits, carries = [*column, *carries], []
        while len(bits) > height:
            # A half adder has two inputs.
            a, b, c = bits[0], bits[1], bits[2] if len(bits) > height + 1 else Const(0)
            adder = Signal(2, name=f"adder_{height}_{n}_{len(bits)}")
            m.d.comb += adder.eq(Cat(a ^ b ^ c, (a & b) | (c & (a | b))))
            bits = [*bits[3 if len(bits) > height + 1 else 2:], adder[0]]
            carries.append(adder[1])
        reduced.append(bits)
    return reduced
