"""Resets that are registered."""

from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.sim import Simulator

from eie_hdl.lib.registered_reset import RESET_CYCLES, drive_domain, register_reset


def test_the_reset_of_a_port_acts_a_cycle_later_long_enough_and_before_the_first_cycle():
    m = Module()
    aclk, aresetn, count = Signal(), Signal(init=1), Signal(4)
    in_reset = drive_domain(m, aclk, aresetn)
    m.d.sync += count.eq(count + 1)
    seen = []

    async def bench(ctx):
        for value in (1, 1, 1, 0, 1, 1, 1, 1):
            ctx.set(aresetn, value)
            seen.append((ctx.get(in_reset), ctx.get(count)))
            await ctx.delay(1e-9)
            ctx.set(aclk, 1)
            await ctx.delay(1e-9)
            ctx.set(aclk, 0)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert RESET_CYCLES == 3
    assert seen == [(1, 0), (0, 0), (0, 1), (0, 2), (1, 3), (1, 0), (1, 0), (0, 0)]


def test_a_registered_reset_comes_a_cycle_later_and_lasts_two_cycles_or_more():
    m = Module()
    m.domains += ClockDomain("sync")
    reset, seen = Signal(), []
    registered, statements = register_reset(reset)
    m.d.sync += statements

    async def bench(ctx):
        for value in (0, 1, 0, 0, 0, 1, 1, 1, 0, 0):
            ctx.set(reset, value)
            seen.append(ctx.get(registered))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, 0, 1, 1, 0, 0, 1, 1, 1, 0]
