# amaranth: UnusedElaboratable=no
"""Counters."""

import random

import pytest

from eie_hdl.ccu.counters import Counters
from eie_hdl.config import EIEConfig
from eie_hdl.format import COUNTER_WIDTH, COUNTERS
from eie_hdl.tree.tree import EVENTS

STROBES = [name for name in COUNTERS if name not in EVENTS and name != "ptr_reads"]


def counts(ctx, dut):
    return {name: ctx.get(getattr(dut.counts, name)) for name in COUNTERS}


@pytest.mark.parametrize("n_pe", [1, 4, 256])
def test_everything_is_summed_from_clear_to_clear_while_enabled(simulate, n_pe):
    dut = Counters(EIEConfig(n_pe=n_pe))
    rng = random.Random(n_pe)

    async def bench(ctx):
        sums, seen = dict.fromkeys(COUNTERS, 0), set()
        for _ in range(200):
            clear, enable = rng.random() < 0.05, rng.random() < 0.7
            step = {name: rng.choice([0, n_pe, rng.randint(0, n_pe)]) for name in EVENTS}
            step |= {name: rng.randrange(2) for name in STROBES}
            step["ptr_reads"] = n_pe * step["broadcasts"]
            ctx.set(dut.clear, clear)
            ctx.set(dut.enable, enable)
            ctx.set(dut.events, {name: step[name] for name in EVENTS})
            ctx.set(dut.strobes, {name: step[name] for name in STROBES})
            assert counts(ctx, dut) == sums
            await ctx.tick()
            sums = {name: 0 if clear else sums[name] + enable * step[name] for name in COUNTERS}
            seen |= {name for name in COUNTERS if sums[name] > 1}
        assert seen == set(COUNTERS)

    simulate(dut, bench)


def test_counts_do_not_end_at_32_bits(simulate):
    dut = Counters(EIEConfig())
    most = (1 << 32) - 1

    async def bench(ctx):
        ctx.set(dut.counts.cycles, most)
        ctx.set(dut.counts.broadcasts, most)
        ctx.set(dut.enable, 1)
        ctx.set(dut.strobes, {"cycles": 1, "broadcasts": 1})
        await ctx.tick()
        assert counts(ctx, dut) == {**dict.fromkeys(COUNTERS, 0), "cycles": most + 1,
                                    "broadcasts": most + 1, "ptr_reads": 16 * (most + 1)}

    simulate(dut, bench)


def test_every_counter_is_there_at_its_full_width():
    dut = Counters(EIEConfig())
    widths = {name: len(getattr(dut.counts, name)) for name in dut.counts.signature.members}
    assert widths == dict.fromkeys(COUNTERS, COUNTER_WIDTH)


def test_what_the_tree_does_not_sum_is_counted_by_strobes():
    dut = Counters(EIEConfig())
    strobes = {name: field.width for name, field in dut.strobes.shape()}
    assert strobes == dict.fromkeys(STROBES, 1)
