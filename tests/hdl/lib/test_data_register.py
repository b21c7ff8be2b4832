"""data_register."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eie_hdl.lib.data_register import data_register
from support.simulation import Unwatched


class Dut(wiring.Component):
    """A register with reset, and one without."""

    def __init__(self):
        super().__init__({"i": In(4), "o": Out(4), "valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        value = data_register(m, self.o)
        assert value.name == "value"
        m.d.sync += [value.eq(self.i), self.valid.eq(1)]
        return m


def test_a_reset_does_not_reach_the_register(simulate):
    reset, dut = Signal(), Dut()

    async def bench(ctx):
        ctx.set(dut.i, 9)
        await ctx.tick()
        assert (ctx.get(dut.o), ctx.get(dut.valid)) == (9, 1)
        ctx.set(reset, 1)
        ctx.set(dut.i, 5)
        await ctx.tick()
        assert (ctx.get(dut.o), ctx.get(dut.valid)) == (5, 0)

    simulate(Unwatched(ResetInserter(reset)(dut)), bench)
