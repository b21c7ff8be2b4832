# amaranth: UnusedElaboratable=no
"""Counters, and the copy of them that the host reads."""

import random

import pytest

from eie_hdl.ccu.counters import Counters, counted_layout
from eie_hdl.config import EIEConfig
from eie_hdl.format import COUNTERS
from eie_hdl.registers import REGISTER_WIDTH
from eie_hdl.tree.tree import EVENTS

STROBES = [name for name in COUNTERS if name not in EVENTS and name != "ptr_reads"]
ZEROS = dict.fromkeys(COUNTERS, 0)


async def read(ctx, dut):
    """Read the copy, while nothing is copied."""
    halves = []
    ctx.set(dut.r.en, 1)
    for row in range(2 * len(COUNTERS)):
        ctx.set(dut.r.addr, row)
        await ctx.tick()
        halves.append(ctx.get(dut.r.data))
    ctx.set(dut.r.en, 0)
    return {name: low | high << REGISTER_WIDTH
            for name, low, high in zip(COUNTERS, halves[::2], halves[1::2], strict=True)}


async def wait(ctx, dut):
    """Wait until the copy is complete; return after how many cycles it is."""
    cycles = 0
    while ctx.get(dut.copying):
        cycles += 1
        await ctx.tick()
    return cycles


class Counting:
    """Drives the events of a cycle, and sums them."""

    def __init__(self, dut, n_pe):
        self.dut, self.n_pe = dut, n_pe
        self.sums, self.copied = ZEROS, ZEROS

    async def cycle(self, ctx, step, *, clear=0, enable=1, copy=0):
        """Spend a cycle with the events `step` by name."""
        events, strobes = ({name: step.get(name, 0) for name in names}
                           for names in (EVENTS, STROBES))
        ctx.set(self.dut.counted, {"clear": clear, "enable": enable, "events": events,
                                   "strobes": strobes})
        ctx.set(self.dut.copy, copy)
        if copy:    # without this cycle
            self.copied = self.sums
        await ctx.tick()
        step = {**step, "ptr_reads": self.n_pe * step.get("broadcasts", 0)}
        self.sums = ZEROS if clear else {name: self.sums[name] + enable * step.get(name, 0)
                                         for name in COUNTERS}
        ctx.set(self.dut.copy, 0)


@pytest.mark.parametrize("n_pe", [1, 4, 256])
def test_copy_has_the_sums_from_clear_to_copy(simulate, n_pe):
    """Copies and clears come in any order, at distances below and above that of two visits."""
    dut = Counters(EIEConfig(n_pe=n_pe))
    counting = Counting(dut, n_pe)
    rng = random.Random(n_pe)

    async def bench(ctx):
        seen = set()
        await wait(ctx, dut)
        assert await read(ctx, dut) == ZEROS
        for _ in range(30):
            most = rng.random() < 0.5    # all events of each cycle, hence the fronts' widths
            often = rng.choice([0.02, 0.1, 0.3])
            for _ in range(rng.choice([1, 3, 10, 40, 200])):
                step = {name: n_pe if most else rng.randint(0, n_pe) for name in EVENTS}
                step |= {name: most or rng.randrange(2) for name in STROBES}
                await counting.cycle(ctx, step, clear=rng.random() < often / 2,
                                     enable=most or rng.random() < 0.7,
                                     copy=rng.random() < often)
            # Each of the last cycles may be one of the next program.
            if rng.random() < 0.5:
                await counting.cycle(ctx, step, copy=1)
                await counting.cycle(ctx, step, clear=rng.randrange(2))
            ctx.set(dut.counted, {})
            assert await wait(ctx, dut) <= dut.COPY_CYCLES
            assert await read(ctx, dut) == counting.copied
            seen |= {name for name in COUNTERS if counting.copied[name] > 1}
        assert seen == set(COUNTERS)

    simulate(dut, bench)


@pytest.mark.parametrize("between", [0, 1, 7, *range(12, 17), 27, 28, 29])
def test_counters_are_copied_as_they_were_although_the_next_program_clears_them(simulate, between):
    """A program ends, the next starts in the next cycle, and ends some cycles later."""
    dut = Counters(EIEConfig(n_pe=2))
    counting = Counting(dut, 2)
    step = {"cycles": 1, "macs": 2}

    async def bench(ctx):
        for _ in range(100):
            await counting.cycle(ctx, step)
        await counting.cycle(ctx, step, copy=1)
        await counting.cycle(ctx, step, clear=1)
        for cycle in range(between):
            assert ctx.get(dut.copying) == (cycle + 2 < dut.COPY_CYCLES)
            await counting.cycle(ctx, {**step, "broadcasts": 1})
        assert counting.copied["cycles"] == 100
        ctx.set(dut.counted, {})
        await wait(ctx, dut)
        assert await read(ctx, dut) == counting.copied
        await counting.cycle(ctx, {}, copy=1)
        await wait(ctx, dut)
        assert await read(ctx, dut) == ZEROS | {
            "cycles": between, "macs": 2 * between, "broadcasts": between, "ptr_reads": 2 * between}

    simulate(dut, bench)


@pytest.mark.parametrize("width", [32, 64])
def test_carry_passes_all_bits(simulate, width):
    """Low bits before are zero, as those of the fronts are."""
    dut = Counters(EIEConfig())
    counting = Counting(dut, 16)
    before = ZEROS | {"cycles": (1 << width) - 32, "ptr_reads": (1 << width) - 512}

    async def bench(ctx):
        await wait(ctx, dut)
        for _ in range(3):    # a row that is being visited is written back
            for row, value in enumerate(before.values()):
                ctx.set(dut.totals.data[row], value)
            await ctx.tick()
        for _ in range(100):
            await counting.cycle(ctx, {"cycles": 1, "broadcasts": 1})
        await counting.cycle(ctx, {}, copy=1)
        await wait(ctx, dut)
        assert await read(ctx, dut) == {name: (before[name] + value) % (1 << 64)
                                        for name, value in counting.copied.items()}

    simulate(dut, bench)


def test_reported_events_are_those_of_the_tree_and_strobes_for_the_rest():
    layout = counted_layout(EIEConfig(n_pe=16))
    widths = {**{name: field.width for name, field in layout.members["events"]},
              **{name: field.width for name, field in layout.members["strobes"]}}
    assert widths == {**dict.fromkeys(STROBES, 1), **dict.fromkeys(EVENTS, 5)}
