"""ErrorLog."""

import random

import pytest

from eie_hdl.host.error_log import ErrorLog, error_layout
from eie_hdl.registers import Error

CODES = [error for error in Error if error is not Error.NONE]


def random_error(rng):
    return error_layout.const({"code": rng.choice(CODES), **{
        name: rng.getrandbits(error_layout.members[name]) for name in ("address", "memory", "pe")}})


def test_first_error_of_the_lowest_source_stays_until_it_is_cleared(simulate):
    """Errors arise in any sources, also simultaneously and in the cycle of the clear."""
    n_sources = 5
    rng = random.Random(61)
    dut = ErrorLog(n_sources=n_sources)
    none = error_layout.const({})

    async def bench(ctx):
        kept, new, n_kept_while_cleared = none, False, 0
        for _ in range(600):
            found = [random_error(rng) if rng.random() < 0.03 else none for _ in range(n_sources)]
            clear = rng.random() < 0.2
            for source, error in zip(dut.i, found):
                ctx.set(source, error)
            ctx.set(dut.clear, clear)
            first = next((error for error in found if error.code), none)
            assert ctx.get(dut.error) == kept
            assert ctx.get(dut.pending) == bool(kept.code)
            assert ctx.get(dut.new) == new
            new = bool(first.code and (clear or not kept.code))
            n_kept_while_cleared += bool(new and kept.code)
            await ctx.tick()
            kept = first if new else none if clear else kept
        assert n_kept_while_cleared > 3

    simulate(dut, bench)


@pytest.mark.parametrize("winner", range(3))
def test_of_simultaneous_errors_the_lowest_numbered_is_kept(simulate, winner):
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
