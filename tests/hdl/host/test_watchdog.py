"""Watchdog."""

import pytest

from eie_hdl.host.error_log import error_layout
from eie_hdl.host.watchdog import Watchdog
from eie_hdl.registers import Error


async def errors(ctx, dut, cycles, *, active=True, restart=False):
    """Run for some cycles, and return the numbers of those with an error, from 0."""
    found = []
    for cycle in range(cycles):
        ctx.set(dut.active, active)
        ctx.set(dut.restart, restart and cycle == 0)
        if ctx.get(dut.error.code) != Error.NONE:
            found.append(cycle)
        await ctx.tick()
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_as_many_cycles_as_the_limit_are_allowed(simulate, limit):
    """The limit applies to a pending start, and to a program from the cycle after its start.

    The error is reported once, in the cycle after the one that exceeds the limit.
    """
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, limit)
        for _ in range(2):
            assert await errors(ctx, dut, limit) == []
            assert await errors(ctx, dut, 4, active=False) == []
            assert await errors(ctx, dut, limit + 30) == [limit + 1]
            assert await errors(ctx, dut, 1, active=False) == []
        assert await errors(ctx, dut, 1 + limit, restart=True) == []
        assert await errors(ctx, dut, 2, active=False) == []
        assert await errors(ctx, dut, 1 + limit + 30, restart=True) == [1 + limit + 1]

    simulate(dut, bench)


def test_start_of_a_program_restarts_the_timer(simulate):
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, 8)
        for waited in range(8):
            assert await errors(ctx, dut, waited) == []
            assert await errors(ctx, dut, 1 + 8, restart=True) == []
            assert await errors(ctx, dut, 1, active=False) == []

    simulate(dut, bench)


def test_without_a_limit_there_is_no_error(simulate):
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, 0)
        assert await errors(ctx, dut, 200, restart=True) == []

    simulate(dut, bench)


@pytest.mark.parametrize("blocked", [False, True])
def test_error_distinguishes_a_blocked_result_and_names_the_program(simulate, blocked):
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, 3)
        ctx.set(dut.active, 1)
        ctx.set(dut.descriptor, 0xBEEF)
        ctx.set(dut.blocked, not blocked)
        await ctx.tick().repeat(4)
        ctx.set(dut.blocked, blocked)    # sampled in the cycle of the error
        assert ctx.get(dut.error) == error_layout.const({
            "code": Error.RESULT_BLOCKED if blocked else Error.TIMEOUT, "address": 0xBEEF})

    simulate(dut, bench)
