"""is_below."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eie_hdl.export.verilog import to_verilog
from eie_hdl.lib.compare import is_below


class Dut(wiring.Component):
    def __init__(self, limit):
        self._limit = limit
        super().__init__({"i": In(4), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(is_below(self.i, self._limit))
        return m


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 10, 15, 16, 17, 32])
def test_every_value_is_compared(simulate, limit):
    dut = Dut(limit)

    async def bench(ctx):
        for value in range(16):
            ctx.set(dut.i, value)
            await ctx.delay(1e-9)
            assert ctx.get(dut.o) == (value < limit)

    simulate(dut, bench)


@pytest.mark.parametrize("limit, compares", [(8, False), (10, True)])
def test_a_power_of_two_needs_no_comparison(limit, compares):
    assert (" < " in to_verilog(Dut(limit), "dut")) == compares
