"""StartControl, with a script in place of the core."""

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.format import Memory
from eie_hdl.host.start_control import StartControl
from eie_hdl.registers import Error
from support.simulation import Unwatched

CONFIG = PRESETS["tiny"]
STRIDE = 7


async def write(ctx, dut, register, **fields):
    """Write a command register, and return the code of the error in the next cycle."""
    for name, value in {"write": 1, **fields}.items():
        ctx.set(getattr(dut.registers, f"{register}_{name}"), value)
    await ctx.tick()
    ctx.set(getattr(dut.registers, f"{register}_write"), 0)
    return Error(ctx.get(getattr(dut.status, f"{register}_error").code))


async def take(ctx, dut, stream):
    """Accept an offer to the core, which is busy from the next cycle on."""
    assert ctx.get(stream.valid)
    ctx.set(stream.ready, 1)
    payload = ctx.get(stream.payload)
    await ctx.tick()
    ctx.set(stream.ready, 0)
    ctx.set(dut.core_busy, 1)
    if stream is dut.run:
        run_programs(ctx, dut, ctx.get(dut.core_running) | 1 << payload.buffer)
    return payload


def run_programs(ctx, dut, running):
    """Set the programs in flight, which have not read their inputs."""
    for signal, value in [(dut.core_running, running), (dut.core_reads_input, running),
                          (dut.core_busy, running != 0), (dut.core_oldest, running == 0b10)]:
        ctx.set(signal, value)


def run(simulate, rule):
    dut = StartControl(CONFIG)

    async def bench(ctx):
        ctx.set(dut.registers.input_stride_value, STRIDE)
        await ctx.tick()
        await rule(ctx, dut)

    simulate(Unwatched(dut), bench)


def test_program_runs_from_its_descriptor_and_input_buffer(simulate):
    async def rule(ctx, dut):
        assert await write(ctx, dut, "start", descriptor=2, buffer=1) == Error.NONE
        assert ctx.get(dut.status.waiting) and not ctx.get(dut.status.started)
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b10
        payload = await take(ctx, dut, dut.run)
        assert (payload.descriptor, payload.buffer, payload.offset) == (2, 1, STRIDE)
        await ctx.tick()
        assert not ctx.get(dut.status.waiting)
        assert (ctx.get(dut.status.descriptor), ctx.get(dut.status.buffer)) == (2, 1)
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b10
        ctx.set(dut.core_reads_input, 0)
        await ctx.tick()
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b00
        run_programs(ctx, dut, 0)
        assert not ctx.get(dut.interlock.in_use) and not ctx.get(dut.interlock.buffer_in_use)

    run(simulate, rule)


def test_start_is_reported_in_the_cycle_in_which_the_core_accepts_it(simulate):
    async def rule(ctx, dut):
        await write(ctx, dut, "start", descriptor=0)
        ctx.set(dut.run.ready, 1)
        assert ctx.get(dut.status.started)
        await ctx.tick()
        assert not ctx.get(dut.status.started)

    run(simulate, rule)


@pytest.mark.parametrize("stride, in_use", [(0, 0b11), (STRIDE, 0b00)])
def test_vector_that_is_still_sent_after_its_program_uses_the_memories(simulate, stride, in_use):
    """Of the input buffers only a single one: a program may start, but nothing may be read."""
    async def rule(ctx, dut):
        ctx.set(dut.registers.input_stride_value, stride)
        ctx.set(dut.registers.read_place_memory, Memory.ACT.value)
        await write(ctx, dut, "start", descriptor=2)
        await take(ctx, dut, dut.run)
        ctx.set(dut.core_sending, 1)
        await ctx.tick()
        run_programs(ctx, dut, 0)
        await ctx.tick()
        assert not ctx.get(dut.status.waiting) and ctx.get(dut.interlock.in_use)
        assert ctx.get(dut.interlock.buffer_in_use) == in_use
        assert await write(ctx, dut, "read", count=2) == Error.BAD_READ
        assert await write(ctx, dut, "start", descriptor=3) == Error.NONE
        assert (await take(ctx, dut, dut.run)).descriptor == 3
        assert ctx.get(dut.status.descriptor) == 3
        run_programs(ctx, dut, 0)
        await ctx.tick()
        ctx.set(dut.core_sending, 0)
        await ctx.tick()
        assert not ctx.get(dut.interlock.in_use) and not ctx.get(dut.interlock.buffer_in_use)
        assert await write(ctx, dut, "read", count=2) == Error.NONE

    run(simulate, rule)


def test_read_uses_both_input_buffers_and_excludes_other_reads(simulate):
    async def rule(ctx, dut):
        ctx.set(dut.registers.read_place_memory, Memory.ACT.value)
        ctx.set(dut.registers.read_address_value, 3)
        assert await write(ctx, dut, "read", count=2) == Error.NONE
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b11
        await ctx.tick()    # the request has been checked
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b11
        payload = await take(ctx, dut, dut.read)
        assert (payload.memory, payload.address, payload.count) == (Memory.ACT, 3, 2)
        await ctx.tick()
        assert ctx.get(dut.interlock.in_use) and ctx.get(dut.interlock.buffer_in_use) == 0b11
        assert await write(ctx, dut, "read", count=2) == Error.BAD_READ

    run(simulate, rule)


@pytest.mark.parametrize("receiving", ["receiving", "offered", "resetting", "nothing"])
def test_read_is_rejected_while_a_packet_is_received_or_the_core_is_reset(simulate, receiving):
    async def rule(ctx, dut):
        ctx.set(dut.registers.read_place_memory, Memory.ACT.value)
        ctx.set(dut.interlock.receiving, receiving == "receiving")
        ctx.set(dut.interlock.waiting_input, 2 if receiving == "offered" else 0)
        ctx.set(dut.supervision.core_resetting, receiving == "resetting")
        code = await write(ctx, dut, "read", count=2)
        assert code == (Error.NONE if receiving == "nothing" else Error.BAD_READ)

    run(simulate, rule)


@pytest.mark.parametrize("error", ["pending", "failing"])
def test_error_holds_the_start_and_a_clear_request_drops_it(simulate, error):
    """Of a packet even before it is pending, so that a request is not the first error instead."""
    async def rule(ctx, dut):
        await write(ctx, dut, "start", descriptor=1)
        ctx.set(dut.supervision.error_pending, error == "pending")
        ctx.set(dut.interlock.failing, error == "failing")
        ctx.set(dut.interlock.receiving, error == "failing")
        assert ctx.get(dut.status.waiting) and not ctx.get(dut.run.valid)
        assert await write(ctx, dut, "start", descriptor=99) == Error.NONE    # ignored
        assert await write(ctx, dut, "read", count=99) == Error.NONE
        ctx.set(dut.supervision.clear_request, 1)
        await ctx.tick()
        assert not ctx.get(dut.status.waiting)

    run(simulate, rule)


def test_start_waits_while_a_packet_for_its_memories_is_received(simulate):
    async def rule(ctx, dut):
        await write(ctx, dut, "start", descriptor=1, buffer=1)
        for model, buffers, may_run in [(1, 0b00, False), (0, 0b10, False), (0, 0b01, True)]:
            ctx.set(dut.interlock.receiving_model, model)
            ctx.set(dut.interlock.receiving_input, buffers)
            assert ctx.get(dut.run.valid) == may_run

    run(simulate, rule)


def test_oldest_of_two_programs_is_reported(simulate):
    """The watchdog counts for it."""
    async def rule(ctx, dut):
        for buffer in (1, 0):
            await write(ctx, dut, "start", descriptor=2 + buffer, buffer=buffer)
            assert (await take(ctx, dut, dut.run)).buffer == buffer
        ctx.set(dut.core_oldest, 1)
        assert ctx.get(dut.interlock.buffer_in_use) == 0b11
        assert (ctx.get(dut.status.descriptor), ctx.get(dut.status.buffer)) == (3, 1)
        assert await write(ctx, dut, "start", descriptor=4, buffer=1) == Error.NONE
        run_programs(ctx, dut, 0b01)
        assert (ctx.get(dut.status.descriptor), ctx.get(dut.status.buffer)) == (2, 0)
        assert ctx.get(dut.interlock.buffer_in_use) == 0b11
        assert await write(ctx, dut, "read", count=2) == Error.BAD_READ

    run(simulate, rule)


def test_start_comes_after_a_packet_that_waits_for_its_input_buffer(simulate):
    async def rule(ctx, dut):
        run_programs(ctx, dut, 0b01)
        ctx.set(dut.interlock.waiting_input, 0b01)
        await write(ctx, dut, "start", descriptor=1)
        ctx.set(dut.core_reads_input, 0)
        await ctx.tick()
        assert not ctx.get(dut.run.valid) and not ctx.get(dut.interlock.buffer_in_use)
        await ctx.tick()    # in this cycle, the packet is accepted
        ctx.set(dut.interlock.waiting_input, 0)
        ctx.set(dut.interlock.receiving_input, 0b01)
        assert not ctx.get(dut.run.valid)
        await ctx.tick()
        ctx.set(dut.interlock.receiving_input, 0)
        assert ctx.get(dut.run.valid)

    run(simulate, rule)
