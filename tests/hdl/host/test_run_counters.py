"""RunCounters, cycle by cycle against a model."""

import random

from eie_hdl.config import PRESETS
from eie_hdl.host.run_counters import RunCounters

CONFIG = PRESETS["tiny"]


def test_registers_are_those_of_the_last_program_and_counters_are_copied_on_request(simulate):
    """All events may coincide; clear takes precedence."""
    rng = random.Random(7)
    dut = RunCounters(CONFIG)
    registers = dut.registers
    events = dict.fromkeys(("ended", "latched", "cleared"), 0)

    async def bench(ctx):
        programs, overflow, tile = 0, 0, 0
        done_before = 0
        for _ in range(400):
            done, latch = rng.random() < 0.2, rng.random() < 0.2
            write, clear = rng.random() < 0.5, rng.random() < 0.05
            now = rng.randrange(2), rng.randrange(CONFIG.program_depth)
            ctx.set(dut.overflow, now[0])
            ctx.set(dut.overflow_tile, now[1])
            ctx.set(dut.done, done)
            ctx.set(dut.clear, clear)
            ctx.set(registers.control_write, write)
            ctx.set(registers.control_latch, latch)
            await ctx.tick()

            if done_before:
                programs, (overflow, tile) = programs + 1, now
                events["ended"] += 1
            if clear:
                programs, overflow, tile = 0, 0, 0
                events["cleared"] += 1
            events["latched"] += write and latch and not done
            done_before = done
            assert ctx.get(dut.copy) == (done or (write and latch))
            assert [ctx.get(value) for value in (
                registers.programs_value, registers.overflow_any, registers.overflow_tile)] == [
                    programs, overflow, tile]

    simulate(dut, bench)
    assert min(events.values()) > 5
