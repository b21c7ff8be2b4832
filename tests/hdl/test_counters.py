# amaranth: UnusedElaboratable=no
"""Counters."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import data

from eie_hdl.counters import Counters
from eie_hdl.format import COUNTER_WIDTH, COUNTERS
from eie_hdl.tree import EVENTS


def layout(n_pe):
    return data.StructLayout(dict.fromkeys(EVENTS, unsigned(n_pe.bit_length())))


@pytest.mark.parametrize("n_pe", [1, 4, 256])
def test_everything_is_summed_from_clear_to_clear(simulate, n_pe):
    dut = Counters(layout(n_pe))
    rng = random.Random(n_pe)

    async def bench(ctx):
        sums = dict.fromkeys(COUNTERS, 0)
        for _ in range(100):
            clear = rng.random() < 0.05
            step = {name: rng.choice([0, n_pe, rng.randint(0, n_pe)]) if name in EVENTS
                    else rng.randrange(2) for name in COUNTERS}
            ctx.set(dut.clear, clear)
            ctx.set(dut.events, {name: step[name] for name in EVENTS})
            ctx.set(dut.strobes, {name: step[name] for name in COUNTERS if name not in EVENTS})
            assert {name: ctx.get(getattr(dut.counts, name)) for name in COUNTERS} == sums
            await ctx.tick()
            sums = {name: 0 if clear else sums[name] + step[name] for name in COUNTERS}

    simulate(dut, bench)


def test_every_counter_is_there_and_has_48_bits():
    dut = Counters(layout(4))
    widths = {name: len(getattr(dut.counts, name)) for name in dut.counts.signature.members}
    assert widths == dict.fromkeys(COUNTERS, COUNTER_WIDTH)
    assert COUNTER_WIDTH == 48


def test_what_the_tree_does_not_sum_is_counted_by_strobes():
    dut = Counters(layout(4))
    strobes = {name: field.width for name, field in dut.strobes.shape()}
    assert strobes == {name: 1 for name in COUNTERS if name not in EVENTS}
