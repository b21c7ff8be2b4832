"""ErrorLog and Watchdog."""

import random

import pytest

from eie_hdl.host.error_log import ErrorLog, Watchdog, error_layout
from eie_hdl.registers import Error

CODES = [error for error in Error if error is not Error.NONE]


def random_error(rng):
    return error_layout.const({"code": rng.choice(CODES), **{
        name: rng.getrandbits(error_layout.members[name]) for name in ("address", "memory", "pe")}})


def test_first_error_of_the_lowest_source_stays_until_it_is_cleared(simulate):
    """Errors come from any of the sources, also several at once and in the cycle of the clear."""
    n_sources = 5
    rng = random.Random(61)
    dut = ErrorLog(n_sources=n_sources)
    none = error_layout.const({})

    async def bench(ctx):
        kept, n_kept_while_cleared = none, 0
        for _ in range(600):
            found = [random_error(rng) if rng.random() < 0.03 else none for _ in range(n_sources)]
            clear = rng.random() < 0.2
            for source, error in zip(dut.i, found):
                ctx.set(source, error)
            ctx.set(dut.clear, clear)
            first = next((error for error in found if error.code), none)
            new = bool(first.code and (clear or not kept.code))
            assert ctx.get(dut.error) == kept
            assert ctx.get(dut.stands) == bool(kept.code)
            assert ctx.get(dut.new) == new
            n_kept_while_cleared += bool(new and kept.code)
            await ctx.tick()
            kept = first if new else none if clear else kept
        assert n_kept_while_cleared > 3

    simulate(dut, bench)


@pytest.mark.parametrize("winner", range(3))
def test_of_errors_in_one_cycle_that_of_the_lowest_number_is_kept(simulate, winner):
    dut = ErrorLog(n_sources=3)

    async def bench(ctx):
        for source in range(winner, 3):
            ctx.set(dut.i[source], {"code": CODES[source], "address": 70 + source, "pe": source})
        await ctx.tick()
        for source in range(3):
            ctx.set(dut.i[source], {"code": CODES[5]})
        await ctx.tick()
        assert ctx.get(dut.error) == error_layout.const(
            {"code": CODES[winner], "address": 70 + winner, "pe": winner})

    simulate(dut, bench)


async def errors(ctx, dut, cycles, *, active=True, restart=False):
    """Run for some cycles; tells in which of them, from 0, there was an error."""
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
    """Of a start that waits, and of a program, of which the cycle after its start is the first.

    The cycle after them is one too many, and there is one error.
    """
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, limit)
        for _ in range(2):
            assert await errors(ctx, dut, limit) == []
            assert await errors(ctx, dut, 4, active=False) == []
            assert await errors(ctx, dut, limit + 30) == [limit]
            assert await errors(ctx, dut, 1, active=False) == []
        assert await errors(ctx, dut, 1 + limit, restart=True) == []
        assert await errors(ctx, dut, 2, active=False) == []
        assert await errors(ctx, dut, 1 + limit + 30, restart=True) == [1 + limit]

    simulate(dut, bench)


def test_a_program_has_all_the_time_whatever_it_has_waited(simulate):
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
def test_error_tells_whether_the_host_is_to_blame_and_which_program_it_was(simulate, blocked):
    dut = Watchdog()

    async def bench(ctx):
        ctx.set(dut.limit, 3)
        ctx.set(dut.active, 1)
        ctx.set(dut.descriptor, 0xBEEF)
        ctx.set(dut.blocked, not blocked)
        await ctx.tick().repeat(3)
        ctx.set(dut.blocked, blocked)    # what counts is the moment
        assert ctx.get(dut.error) == error_layout.const({
            "code": Error.RESULT_BLOCKED if blocked else Error.TIMEOUT, "address": 0xBEEF})

    simulate(dut, bench)
