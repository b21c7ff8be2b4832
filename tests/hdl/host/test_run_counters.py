"""RunCounters, cycle by cycle against a model."""

import random

from eie_hdl.config import PRESETS
from eie_hdl.format import COUNTER_WIDTH, COUNTERS
from eie_hdl.host.run_counters import RunCounters
from eie_hdl.registers import REGISTER_WIDTH

CONFIG = PRESETS["tiny"]


def registers_of(ctx, dut):
    registers = dut.registers
    counters = {name: ctx.get(getattr(registers, f"{name}_lo_value"))
                | ctx.get(getattr(registers, f"{name}_hi_value")) << REGISTER_WIDTH
                for name in COUNTERS}
    return (counters, ctx.get(registers.programs_value), ctx.get(registers.overflow_any),
            ctx.get(registers.overflow_tile))


def test_registers_are_those_of_the_last_program_or_latch(simulate):
    """All events may coincide; clear takes precedence."""
    rng = random.Random(7)
    dut = RunCounters(CONFIG)
    events = dict.fromkeys(("ended", "latched", "cleared"), 0)

    async def bench(ctx):
        counters, programs, overflow, tile = dict.fromkeys(COUNTERS, 0), 0, 0, 0
        done_before = 0
        for _ in range(400):
            done, latch = rng.random() < 0.2, rng.random() < 0.2
            write, clear = rng.random() < 0.5, rng.random() < 0.05
            core = {name: rng.getrandbits(COUNTER_WIDTH) for name in COUNTERS}
            now = rng.randrange(2), rng.randrange(CONFIG.program_depth)
            for name, value in core.items():
                ctx.set(getattr(dut.counters, name), value)
            ctx.set(dut.overflow, now[0])
            ctx.set(dut.overflow_tile, now[1])
            ctx.set(dut.done, done)
            ctx.set(dut.clear, clear)
            ctx.set(dut.registers.control_write, write)
            ctx.set(dut.registers.control_latch, latch)
            await ctx.tick()

            if done_before or (write and latch):
                counters = core
                events["latched"] += not done_before
            if done_before:
                programs, (overflow, tile) = programs + 1, now
                events["ended"] += 1
            if clear:
                counters, programs, overflow, tile = dict.fromkeys(COUNTERS, 0), 0, 0, 0
                events["cleared"] += 1
            done_before = done
            assert registers_of(ctx, dut) == (counters, programs, overflow, tile)

    simulate(dut, bench)
    assert min(events.values()) > 5
