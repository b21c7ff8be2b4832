"""StartQueue: each rule, then any sequence against a model."""

import dataclasses
import random

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.host.start_queue import StartQueue, start_layout
from eie_hdl.registers import Error
from support.simulation import Unwatched
from support.strobes import set_inputs, strobe

CONFIG = PRESETS["tiny"]
STRIDE = 7


def start(descriptor, buffer=0):
    return start_layout.const({"valid": 1, "descriptor": descriptor, "buffer": buffer})


def offered(ctx, dut):
    """Return the offered start."""
    if ctx.get(dut.run.valid):
        return ctx.get(dut.run.p.descriptor), ctx.get(dut.run.p.offset)
    return None


@pytest.fixture
def queue():
    return StartQueue(CONFIG)


def run(simulate, dut, rule):
    async def bench(ctx):
        set_inputs(ctx, dut, input_stride=STRIDE)
        await rule(ctx)

    simulate(Unwatched(dut), bench)


def test_start_waits_until_it_is_accepted(simulate, queue):
    async def rule(ctx):
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None
        assert await strobe(ctx, queue, i=start(3, 1)) is None
        for _ in range(5):
            assert ctx.get(queue.waiting) and offered(ctx, queue) == (3, STRIDE)
            assert ctx.get(queue.descriptor) == 3
            await ctx.tick()
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None

    run(simulate, queue, rule)


def test_buffer_1_follows_buffer_0(simulate, queue):
    async def rule(ctx):
        ctx.set(queue.run.ready, 1)
        for buffer in (0, 1, 1, 0):
            await strobe(ctx, queue, i=start(2, buffer))
            assert offered(ctx, queue) == (2, buffer * STRIDE)
            await ctx.tick()
            assert ctx.get(queue.buffer) == buffer

    run(simulate, queue, rule)


def test_one_program_runs_one_is_pending_and_a_third_is_rejected(simulate, queue):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(1))
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        set_inputs(ctx, queue, running=1)
        ctx.set(queue.run.ready, 0)
        assert await strobe(ctx, queue, i=start(2, 1)) is None
        assert await strobe(ctx, queue, i=start(4)) == (Error.START_BUSY, 4)
        # It has no effect: the first is still running, and the second pending.
        assert (ctx.get(queue.descriptor), ctx.get(queue.buffer)) == (1, 0)
        assert offered(ctx, queue) == (2, STRIDE)

    run(simulate, queue, rule)


@pytest.mark.parametrize("descriptor, buffer, stride, error", [
    (CONFIG.program_depth - 1, 0, 0, None),
    (CONFIG.program_depth, 0, 0, Error.START_RANGE),
    (0xFFFF, 0, STRIDE, Error.START_RANGE),
    (0, 1, 0, Error.START_RANGE),
    (0, 1, 1, None),
    (0, 1, CONFIG.act_depth - 1, None),
    (0, 1, CONFIG.act_depth, Error.START_RANGE),
    (0, 1, 0xFFFF, Error.START_RANGE),
])
def test_descriptor_and_buffer_must_exist(simulate, queue, descriptor, buffer, stride, error):
    async def rule(ctx):
        set_inputs(ctx, queue, input_stride=stride)
        found = await strobe(ctx, queue, i=start(descriptor, buffer))
        assert found == (error and (error, descriptor))
        assert ctx.get(queue.waiting) == (error is None)

    run(simulate, queue, rule)


@pytest.mark.parametrize("depth", [2, 9, 4096])
def test_last_descriptor_exists_for_any_depth_of_the_program(simulate, depth):
    queue = StartQueue(dataclasses.replace(CONFIG, program_depth=depth))

    async def rule(ctx):
        assert await strobe(ctx, queue, i=start(depth)) == (Error.START_RANGE, depth)
        assert await strobe(ctx, queue, i=start(depth - 1)) is None
        assert offered(ctx, queue) == (depth - 1, 0)

    run(simulate, queue, rule)


def test_start_during_a_reset_is_rejected(simulate, queue):
    async def rule(ctx):
        set_inputs(ctx, queue, refuse=1)
        assert await strobe(ctx, queue, i=start(5)) == (Error.START_BUSY, 5)
        set_inputs(ctx, queue, refuse=0)
        assert not ctx.get(queue.waiting)

    run(simulate, queue, rule)


def test_pending_error_ignores_starts_and_keeps_the_pending_one(simulate, queue):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(5))
        set_inputs(ctx, queue, hold=1)
        assert await strobe(ctx, queue, i=start(6)) is None
        assert ctx.get(queue.waiting) and offered(ctx, queue) is None
        set_inputs(ctx, queue, hold=0)
        assert offered(ctx, queue) == (5, 0)
        assert await strobe(ctx, queue, drop=1) is None
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None

    run(simulate, queue, rule)


@pytest.mark.parametrize("buffer", [0, 1])
def test_start_waits_for_a_packet_unless_it_fills_the_other_input_buffer(simulate, queue, buffer):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(5, buffer))
        set_inputs(ctx, queue, receiving_input=1 << 1 - buffer)
        assert offered(ctx, queue) is not None
        for packet in ({"receiving_input": 1 << buffer}, {"receiving_input": 0b11},
                       {"receiving_model": 1}):
            set_inputs(ctx, queue, **{"receiving_input": 0, "receiving_model": 0, **packet})
            await ctx.tick()
            assert ctx.get(queue.waiting) and offered(ctx, queue) is None
        set_inputs(ctx, queue, receiving_model=0)
        assert offered(ctx, queue) is not None

    run(simulate, queue, rule)


def test_buffers_of_running_and_pending_programs_are_in_use(simulate, queue):
    async def rule(ctx):
        assert ctx.get(queue.buffer_in_use) == 0b00
        await strobe(ctx, queue, i=start(0, 1))
        assert ctx.get(queue.buffer_in_use) == 0b10
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        ctx.set(queue.run.ready, 0)
        set_inputs(ctx, queue, running=1)
        assert ctx.get(queue.buffer_in_use) == 0b10
        await strobe(ctx, queue, i=start(0, 0))
        assert ctx.get(queue.buffer_in_use) == 0b11
        set_inputs(ctx, queue, running=0)
        assert ctx.get(queue.buffer_in_use) == 0b01
        await strobe(ctx, queue, drop=1)
        assert ctx.get(queue.buffer_in_use) == 0b00
        set_inputs(ctx, queue, reading=1)    # of any rows
        assert ctx.get(queue.buffer_in_use) == 0b11
        # Results are never in one of two buffers, but may be in the rows of a single one.
        set_inputs(ctx, queue, reading=0, sending=1)
        assert ctx.get(queue.buffer_in_use) == 0b00
        set_inputs(ctx, queue, input_stride=0)
        assert ctx.get(queue.buffer_in_use) & 0b01

    run(simulate, queue, rule)


@dataclasses.dataclass
class Model:
    """Model of StartQueue."""
    waiting: tuple | None = None
    first: int = 0
    buffer: int = 0

    def step(self, request, inputs, ready):
        """Return the expected outputs of this cycle, and advance to the next."""
        is_receiving = self.waiting is not None and (
            inputs["receiving_model"] or inputs["receiving_input"] >> self.waiting[1] & 1)
        offer = None
        if self.waiting and not (inputs["hold"] or inputs["refuse"] or is_receiving):
            offer = self.waiting[0], self.waiting[1] * inputs["input_stride"]
        error, accepted = Error.NONE, False
        if request and not inputs["hold"]:
            if self.waiting or inputs["refuse"]:
                error = Error.START_BUSY
            elif request[0] >= CONFIG.program_depth or request[1] and not inputs["input_stride"]:
                error = Error.START_RANGE
            else:
                accepted = True
        running = inputs["running"]
        use = {self.buffer} if running else set()
        use |= {self.waiting[1]} if self.waiting else set()
        if inputs["reading"] or inputs["sending"] and not inputs["input_stride"]:
            use = {0, 1}
        expected = (self.waiting is not None, offer, self.buffer, error, use,
                    self.first if running else self.waiting and self.waiting[0])
        if offer and ready:
            (self.first, self.buffer), self.waiting = self.waiting, None
        if accepted:
            self.waiting = request
        if inputs["drop"]:
            self.waiting = None
        return expected


def test_any_sequence_of_starts_follows_the_model(simulate, queue):
    rng = random.Random(97)
    often = {"drop": 0.02, "hold": 0.1, "refuse": 0.1,
             "receiving_model": 0.1, "reading": 0.1, "running": 0.5, "sending": 0.3}

    async def rule(ctx):
        model, n_taken, errors = Model(), 0, set()
        for _ in range(3000):
            inputs = {name: rng.random() < chance for name, chance in often.items()}
            inputs["receiving_input"] = rng.choice([0, 0, 1, 2, 3])
            inputs["input_stride"] = rng.choice([0, 1, STRIDE, CONFIG.act_depth - 1])
            request = None
            if rng.random() < 0.2:
                request = rng.randrange(CONFIG.program_depth + 3), rng.randrange(2)
            ready = rng.random() < 0.3
            set_inputs(ctx, queue, i=start(*request) if request else {}, **inputs)
            ctx.set(queue.run.ready, ready)
            waiting, offer, buffer, error, use, descriptor = model.step(request, inputs, ready)
            assert ctx.get(queue.waiting) == waiting
            assert offered(ctx, queue) == offer
            assert ctx.get(queue.buffer) == buffer
            assert ctx.get(queue.error.code) == error
            assert error is Error.NONE or ctx.get(queue.error.address) == request[0]
            assert ctx.get(queue.buffer_in_use) == sum(1 << number for number in use)
            assert descriptor is None or ctx.get(queue.descriptor) == descriptor
            errors.add(error)
            n_taken += bool(offer and ready)
            await ctx.tick()
        assert errors == {Error.NONE, Error.START_BUSY, Error.START_RANGE}
        assert n_taken > 100

    run(simulate, queue, rule)
