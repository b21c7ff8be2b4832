"""Supervisor: priority of errors, and their effects on the core."""

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.host.error_log import error_layout
from eie_hdl.host.supervisor import Supervisor
from eie_hdl.lib.registered_reset import RESET_CYCLES
from eie_hdl.registers import Error

CONFIG = PRESETS["tiny"]
#: Error codes by source, in order of priority.
SOURCES = {"fault": Error.BAD_DESCRIPTOR, "starts.start_error": Error.START_RANGE,
           "starts.read_error": Error.BAD_READ, "packet_error": Error.BAD_PE}


def put_error(ctx, dut, source, code, **fields):
    *outer, name = source.split(".")
    ctx.set(getattr(getattr(dut, outer[0]) if outer else dut, name),
            error_layout.const({"code": code, **fields}))


async def control(ctx, dut, *bits):
    """Write to register CONTROL, which takes effect in the cycle after the next."""
    for bit in ("write", *bits):
        ctx.set(getattr(dut.registers, f"control_{bit}"), 1)
    await ctx.tick()
    for bit in ("write", *bits):
        ctx.set(getattr(dut.registers, f"control_{bit}"), 0)


@pytest.mark.parametrize("source", SOURCES)
def test_the_simultaneous_error_of_highest_priority_is_logged(simulate, source):
    dut = Supervisor(CONFIG)
    names = list(SOURCES)

    async def bench(ctx):
        for rank, name in enumerate(names[names.index(source):]):
            put_error(ctx, dut, name, SOURCES[name], address=rank + 5)
        assert not ctx.get(dut.new_error) and not ctx.get(dut.supervision.error_pending)
        await ctx.tick()
        assert ctx.get(dut.new_error) and ctx.get(dut.supervision.error_pending)
        assert ctx.get(dut.registers.error_code) == SOURCES[source]
        assert ctx.get(dut.registers.error_address_value) == 5
        for name in SOURCES:
            put_error(ctx, dut, name, Error.NONE)
        await control(ctx, dut, "clear")
        assert ctx.get(dut.supervision.error_pending) and ctx.get(dut.supervision.clear_request)
        await ctx.tick()
        assert not ctx.get(dut.supervision.error_pending)

    simulate(dut, bench)


def test_memory_and_pe_of_a_packet_are_logged(simulate):
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        put_error(ctx, dut, "packet_error", Error.BAD_PE, address=7, memory=2, pe=9)
        await ctx.tick()
        assert (ctx.get(dut.registers.error_memory), ctx.get(dut.registers.error_pe)) == (2, 9)

    simulate(dut, bench)


def test_failed_core_is_reset_once_and_its_fault_reported_once(simulate):
    """The fault persists until the reset; the host may clear the error before that."""
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        put_error(ctx, dut, "fault", Error.NO_END)
        await ctx.tick()
        assert ctx.get(dut.supervision.core_resetting) and ctx.get(dut.supervision.core_aborting)
        await control(ctx, dut, "clear")
        await ctx.tick().until(dut.supervision.core_reset)
        n_cycles = 1
        while ctx.get(dut.supervision.core_reset):
            n_cycles += 1
            await ctx.tick()
        assert n_cycles == RESET_CYCLES
        assert ctx.get(dut.supervision.core_resetting)    # the core is not yet out of reset
        put_error(ctx, dut, "fault", Error.NONE)
        await ctx.tick().until(~dut.supervision.core_resetting)
        for _ in range(100):
            for name in ("core_reset", "core_resetting", "core_aborting", "error_pending"):
                assert not ctx.get(getattr(dut.supervision, name)), name
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("blocked, code", [(0, Error.TIMEOUT), (1, Error.RESULT_BLOCKED)])
def test_program_that_exceeds_the_time_limit_is_stopped(simulate, blocked, code):
    dut = Supervisor(CONFIG)
    limit = 10

    async def bench(ctx):
        ctx.set(dut.registers.watchdog_value, limit)
        ctx.set(dut.blocked, blocked)
        ctx.set(dut.starts.descriptor, 3)
        ctx.set(dut.starts.started, 1)
        await ctx.tick()
        ctx.set(dut.starts.started, 0)
        ctx.set(dut.busy, 1)
        await ctx.tick().repeat(limit + 1)
        assert not ctx.get(dut.supervision.error_pending)
        await ctx.tick()
        assert ctx.get(dut.registers.error_code) == code
        assert ctx.get(dut.registers.error_address_value) == 3
        assert ctx.get(dut.supervision.core_resetting)

    simulate(dut, bench)


@pytest.mark.parametrize("activity", ["busy", "sending"])
@pytest.mark.parametrize("blocked, code", [(0, Error.TIMEOUT), (1, Error.RESULT_BLOCKED)])
def test_results_of_a_program_that_has_ended_have_the_time_limit_from_its_end(
        simulate, activity, blocked, code):
    """As a program has from its start. The descriptor is that of the program."""
    dut = Supervisor(CONFIG)
    limit = 10

    async def bench(ctx):
        ctx.set(dut.registers.watchdog_value, limit)
        ctx.set(dut.blocked, blocked)
        ctx.set(dut.starts.descriptor, 3)
        ctx.set(dut.busy, 1)
        ctx.set(dut.sending, activity == "sending")
        await ctx.tick().repeat(limit - 2)
        ctx.set(dut.done, 1)
        await ctx.tick()
        ctx.set(dut.done, 0)
        ctx.set(dut.busy, activity == "busy")
        await ctx.tick().repeat(limit + 1)
        assert not ctx.get(dut.supervision.error_pending)
        await ctx.tick()
        assert ctx.get(dut.registers.error_code) == code
        assert ctx.get(dut.registers.error_address_value) == 3
        assert ctx.get(dut.supervision.core_resetting)
        await ctx.tick().until(dut.supervision.core_reset)    # although it is sending

    simulate(dut, bench)


def test_failed_core_is_reset_when_no_part_of_a_result_can_be_lost(simulate):
    """It waits beyond the time limit; the error is the fault alone."""
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        ctx.set(dut.registers.watchdog_value, 10)
        ctx.set(dut.sending, 1)
        ctx.set(dut.busy, 1)
        put_error(ctx, dut, "fault", Error.NO_END)
        await ctx.tick()
        assert ctx.get(dut.new_error)
        await ctx.tick()
        for _ in range(100):
            assert ctx.get(dut.supervision.core_resetting)
            assert not ctx.get(dut.supervision.core_reset) and not ctx.get(dut.new_error)
            await ctx.tick()
        ctx.set(dut.sending, 0)
        await ctx.tick()
        assert ctx.get(dut.supervision.core_reset)
        assert ctx.get(dut.registers.error_code) == Error.NO_END

    simulate(dut, bench)


@pytest.mark.parametrize("pending", [0, 1])
def test_pending_start_is_timed_unless_an_error_holds_it(simulate, pending):
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        if pending:
            put_error(ctx, dut, "packet_error", Error.BAD_PE)
            await ctx.tick()
            put_error(ctx, dut, "packet_error", Error.NONE)
        ctx.set(dut.registers.watchdog_value, 5)
        ctx.set(dut.starts.waiting, 1)
        await ctx.tick().repeat(12)
        assert ctx.get(dut.registers.error_code) == (Error.BAD_PE if pending else Error.TIMEOUT)

    simulate(dut, bench)


@pytest.mark.parametrize("busy, code", [(0, Error.TRUNCATED), (1, Error.TIMEOUT)])
def test_packet_that_fails_as_the_time_is_over_is_the_error_unless_a_program_runs(simulate, busy,
                                                                                  code):
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        ctx.set(dut.registers.watchdog_value, 5)
        ctx.set(dut.starts.waiting, 1)
        ctx.set(dut.busy, busy)
        await ctx.tick().repeat(5 + busy)    # the error of a program is reported in the next cycle
        put_error(ctx, dut, "packet_error", Error.TRUNCATED)
        await ctx.tick()
        assert ctx.get(dut.new_error)
        assert ctx.get(dut.registers.error_code) == code
        assert ctx.get(dut.supervision.core_resetting) == busy

    simulate(dut, bench)


def test_soft_reset_wipes_the_memories_and_clears_the_error(simulate):
    dut = Supervisor(CONFIG)

    async def bench(ctx):
        put_error(ctx, dut, "packet_error", Error.BAD_PE)
        await ctx.tick()
        put_error(ctx, dut, "packet_error", Error.NONE)
        await control(ctx, dut, "soft_reset")
        for name in ("soft_reset", "clear_request", "core_aborting"):
            assert ctx.get(getattr(dut.supervision, name)), name
        assert not ctx.get(dut.supervision.core_resetting)
        await ctx.tick()
        assert ctx.get(dut.wipe) and ctx.get(dut.supervision.core_reset)
        assert not ctx.get(dut.supervision.error_pending)
        ctx.set(dut.wiping, 1)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.supervision.core_resetting) and not ctx.get(dut.wipe)
        ctx.set(dut.wiping, 0)
        await ctx.tick().until(~dut.supervision.core_resetting)

    simulate(dut, bench)
