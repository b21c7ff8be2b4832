"""delayed."""

import random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eie_hdl.lib.delayed import delayed
from support.simulation import Unwatched


class Dut(wiring.Component):
    """A number, and a flag that a reset clears, both delayed."""

    def __init__(self, cycles):
        self._cycles = cycles
        super().__init__({"i": In(signed(4)), "o": Out(signed(4)), "flag": In(1),
                          "late": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.o.eq(delayed(m, self.i, self._cycles, "o")),
            self.late.eq(delayed(m, self.flag, self._cycles, "late", reset_less=False)),
        ]
        return m


@pytest.mark.parametrize("cycles", [0, 1, 3])
def test_values_are_those_of_earlier_cycles(simulate, cycles):
    rng, dut = random.Random(cycles), Dut(cycles)
    values = [(rng.randrange(-8, 8), rng.randrange(2)) for _ in range(50)]

    async def bench(ctx):
        for cycle, (number, flag) in enumerate(values):
            ctx.set(dut.i, number)
            ctx.set(dut.flag, flag)
            await ctx.delay(1e-9)
            if cycle >= cycles:
                assert (ctx.get(dut.o), ctx.get(dut.late)) == values[cycle - cycles]
            await ctx.tick()

    simulate(Unwatched(dut), bench)


def test_a_reset_clears_only_what_is_not_reset_less(simulate):
    reset, dut = Signal(), Dut(2)

    async def bench(ctx):
        ctx.set(dut.i, -3)
        ctx.set(dut.flag, 1)
        await ctx.tick()
        ctx.set(reset, 1)
        ctx.set(dut.flag, 0)
        await ctx.tick()
        assert (ctx.get(dut.o), ctx.get(dut.late)) == (-3, 0)
        ctx.set(reset, 0)
        await ctx.tick()
        assert (ctx.get(dut.o), ctx.get(dut.late)) == (-3, 0)

    simulate(Unwatched(ResetInserter(reset)(dut)), bench)
