"""Clock and reset of a top module."""

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from eie_hdl.lib.registered_reset import register_reset


def test_a_reset_acts_a_cycle_later_and_before_the_first_cycle():
    m = Module()
    aclk, aresetn, count = Signal(), Signal(init=1), Signal(4)
    in_reset = register_reset(m, aclk, aresetn)
    m.d.sync += count.eq(count + 1)
    seen = []

    async def bench(ctx):
        for value in (1, 1, 1, 0, 1, 1):
            ctx.set(aresetn, value)
            seen.append((ctx.get(in_reset), ctx.get(count)))
            await ctx.delay(1e-9)
            ctx.set(aclk, 1)
            await ctx.delay(1e-9)
            ctx.set(aclk, 0)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(1, 0), (0, 0), (0, 1), (0, 2), (1, 3), (0, 0)]
