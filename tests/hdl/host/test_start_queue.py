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
        return ctx.get(dut.run.p.descriptor), ctx.get(dut.run.p.buffer), ctx.get(dut.run.p.offset)
    return None


@pytest.fixture
def queue():
    return StartQueue(CONFIG)


def run(simulate, dut, rule):
    async def bench(ctx):
        set_inputs(ctx, dut, input_stride=STRIDE)
        await ctx.tick()    # what the queue derives from the stride is registered
        await rule(ctx)

    simulate(Unwatched(dut), bench)


def test_start_waits_until_it_is_accepted(simulate, queue):
    async def rule(ctx):
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None
        assert await strobe(ctx, queue, i=start(3, 1)) is None
        for _ in range(5):
            assert ctx.get(queue.waiting) and offered(ctx, queue) == (3, 1, STRIDE)
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
            assert offered(ctx, queue) == (2, buffer, buffer * STRIDE)
            await ctx.tick()

    run(simulate, queue, rule)


def test_two_programs_run_one_is_pending_and_a_fourth_is_rejected(simulate, queue):
    async def rule(ctx):
        for number, running in [(1, 0b01), (2, 0b11)]:
            await strobe(ctx, queue, i=start(number, number - 1))
            ctx.set(queue.run.ready, 1)
            await ctx.tick()
            set_inputs(ctx, queue, running=running)
            ctx.set(queue.run.ready, 0)
        assert await strobe(ctx, queue, i=start(3)) is None
        assert await strobe(ctx, queue, i=start(4, 1)) == (Error.START_BUSY, 4)
        # It has no effect: two are still running, and the third is pending.
        assert offered(ctx, queue) == (3, 0, 0)
        for oldest, running, descriptor in [(0, 0b11, 1), (1, 0b11, 2), (1, 0b10, 2), (0, 0b01, 1),
                                            (0, 0b00, 3), (1, 0b00, 3)]:
            set_inputs(ctx, queue, oldest=oldest, running=running)
            assert ctx.get(queue.descriptor) == descriptor

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
        await ctx.tick()
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
        assert offered(ctx, queue) == (depth - 1, 0, 0)

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
        assert offered(ctx, queue) == (5, 0, 0)
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


@pytest.mark.parametrize("buffer", [0, 1])
def test_start_comes_after_a_packet_that_waits_for_its_input_buffer(simulate, queue, buffer):
    """If the packet came before. Then the next packet waits for the start."""
    async def rule(ctx):
        own, other = 1 << buffer, 2 >> buffer
        set_inputs(ctx, queue, reads_input=own, running=own, waiting_input=own)
        await strobe(ctx, queue, i=start(5, buffer))
        for _ in range(3):
            assert ctx.get(queue.waiting) and offered(ctx, queue) is None
            assert ctx.get(queue.buffer_in_use) == own
            await ctx.tick()
        # The pending start does not keep the buffer from the packet.
        set_inputs(ctx, queue, reads_input=0)
        await ctx.tick()
        assert ctx.get(queue.buffer_in_use) == 0 and offered(ctx, queue) is None
        await ctx.tick()    # in this cycle, the packet is accepted
        set_inputs(ctx, queue, waiting_input=0, receiving_input=own)
        for waiting in (0, own, other):    # the next packet has arrived
            set_inputs(ctx, queue, waiting_input=waiting)
            assert ctx.get(queue.buffer_in_use) == own and offered(ctx, queue) is None
            await ctx.tick()
        set_inputs(ctx, queue, waiting_input=own, receiving_input=0)
        assert ctx.get(queue.buffer_in_use) == own
        assert offered(ctx, queue) == (5, buffer, buffer * STRIDE)

    run(simulate, queue, rule)


@pytest.mark.parametrize("buffer", [0, 1])
def test_start_does_not_come_after_other_packets_that_wait(simulate, queue, buffer):
    """For the other buffer; or for its own, but after the start."""
    async def rule(ctx):
        set_inputs(ctx, queue, waiting_input=2 >> buffer)
        await strobe(ctx, queue, i=start(5, buffer))
        for waiting in (2 >> buffer, 1 << buffer):
            set_inputs(ctx, queue, waiting_input=waiting)
            assert offered(ctx, queue) == (5, buffer, buffer * STRIDE)
            assert ctx.get(queue.buffer_in_use) == 1 << buffer
            await ctx.tick()

    run(simulate, queue, rule)


def test_next_start_does_not_wait_for_a_packet_that_was_dropped(simulate, queue):
    async def rule(ctx):
        set_inputs(ctx, queue, reads_input=1, waiting_input=1)
        await strobe(ctx, queue, i=start(5))
        set_inputs(ctx, queue, hold=1, waiting_input=0)
        await strobe(ctx, queue, drop=1)
        set_inputs(ctx, queue, hold=0, reads_input=0)
        await strobe(ctx, queue, i=start(6))
        set_inputs(ctx, queue, waiting_input=1)
        for _ in range(3):
            assert offered(ctx, queue) == (6, 0, 0) and ctx.get(queue.buffer_in_use) == 1
            await ctx.tick()

    run(simulate, queue, rule)


def test_buffers_of_programs_that_read_them_and_of_the_pending_start_are_in_use(simulate, queue):
    """From the cycle after the request on, until the cycle after their use."""
    async def rule(ctx):
        async def check(before, after):
            assert ctx.get(queue.buffer_in_use) == before
            await ctx.tick()
            assert ctx.get(queue.buffer_in_use) == after

        assert ctx.get(queue.buffer_in_use) == 0b00
        await strobe(ctx, queue, i=start(0, 1))
        ctx.set(queue.run.ready, 1)
        await check(0b10, 0b10)
        ctx.set(queue.run.ready, 0)
        set_inputs(ctx, queue, running=0b10, reads_input=0b10)
        await check(0b10, 0b10)
        await strobe(ctx, queue, i=start(0, 0))
        await check(0b11, 0b11)
        set_inputs(ctx, queue, reads_input=0)    # it runs, but has read its input
        await check(0b11, 0b01)
        await strobe(ctx, queue, drop=1)
        await check(0b01, 0b00)
        set_inputs(ctx, queue, reading=1)    # of any rows
        await check(0b00, 0b11)
        # Results are never in one of two buffers, but may be in the rows of a single one.
        set_inputs(ctx, queue, reading=0, sending=1)
        await check(0b11, 0b00)
        set_inputs(ctx, queue, input_stride=0)
        await ctx.tick().repeat(2)
        assert ctx.get(queue.buffer_in_use) & 0b01

    run(simulate, queue, rule)


@dataclasses.dataclass
class Model:
    """Model of StartQueue."""
    waiting: tuple | None = None
    packet_first: bool = False
    first: list = dataclasses.field(default_factory=lambda: [0, 0])
    #: Registers: inputs of the cycle before, the error and the buffers in use.
    before: dict = dataclasses.field(
        default_factory=lambda: {"waiting_input": 0, "input_stride": STRIDE})
    error: tuple | None = None
    use: int = 0

    def step(self, request, inputs, ready):
        """Return the expected outputs of this cycle, and advance to the next."""
        descriptor, buffer = self.waiting or (0, 0)
        receiving = inputs["receiving_input"] >> buffer & 1
        has_two = self.before["input_stride"] != 0
        waits = self.packet_first and self.before["waiting_input"] >> buffer & 1
        offer = None
        if self.waiting and not (inputs["hold"] or inputs["refuse"] or inputs["receiving_model"]
                                 or receiving or waits):
            offer = descriptor, buffer, buffer * inputs["input_stride"]
        expected = (self.waiting is not None, offer, self.error, self.use,
                    self.first[inputs["oldest"]] if inputs["running"] else
                    self.waiting and descriptor)

        is_taken = inputs["waiting_input"] & ~self.use & 1 << buffer
        self.packet_first = bool(waits and not receiving)
        self.use = inputs["reads_input"]
        if self.waiting and not (self.packet_first and not is_taken):
            self.use |= 1 << buffer
        if request:
            self.use |= 1 << request[1]
        if inputs["reading"] or inputs["sending"] and not has_two:
            self.use = 0b11
        self.error = None
        is_pending = self.waiting is not None
        if offer and ready:
            self.first[buffer], self.waiting = descriptor, None
        if request and not inputs["hold"]:
            if is_pending or inputs["refuse"]:
                self.error = Error.START_BUSY, request[0]
            elif request[0] >= CONFIG.program_depth or request[1] and not has_two:
                self.error = Error.START_RANGE, request[0]
            else:
                self.waiting = request
                self.packet_first = bool(inputs["waiting_input"] >> request[1] & 1)
        if inputs["drop"]:
            self.waiting = None
        self.before = inputs
        return expected


def test_any_sequence_of_starts_follows_the_model(simulate, queue):
    rng = random.Random(97)
    often = {"drop": 0.02, "hold": 0.1, "refuse": 0.1,
             "receiving_model": 0.1, "reading": 0.1, "sending": 0.3}

    async def rule(ctx):
        model, n_taken, n_packets_first, errors = Model(), 0, 0, set()
        running = []    # input buffers of programs in flight, the oldest one first
        for _ in range(3000):
            inputs = {name: rng.random() < chance for name, chance in often.items()}
            for name in ("receiving_input", "waiting_input", "reads_input"):
                inputs[name] = rng.choice([0, 0, 1, 2, 3])
            inputs |= {"running": sum(1 << buffer for buffer in running),
                       "oldest": running[0] if running else rng.randrange(2)}
            inputs["input_stride"] = rng.choice([0, 1, STRIDE, CONFIG.act_depth - 1])
            request = None
            if rng.random() < 0.2:
                request = rng.randrange(CONFIG.program_depth + 3), rng.randrange(2)
            ready = rng.random() < 0.6 and (not model.waiting or model.waiting[1] not in running)
            set_inputs(ctx, queue, i=start(*request) if request else {}, **inputs)
            ctx.set(queue.run.ready, ready)
            waiting, offer, error, use, descriptor = model.step(request, inputs, ready)
            found = ctx.get(queue.error)
            assert ctx.get(queue.waiting) == waiting
            assert offered(ctx, queue) == offer
            assert ((found.code, found.address) if found.code else None) == error
            assert ctx.get(queue.buffer_in_use) == use
            assert descriptor is None or ctx.get(queue.descriptor) == descriptor
            errors.add(error and error[0])
            n_taken += bool(offer and ready)
            del running[:running != [] and rng.random() < 0.2]
            running += [offer[1]] if offer and ready else []
            n_packets_first += waiting and model.packet_first
            await ctx.tick()
        assert errors == {None, Error.START_BUSY, Error.START_RANGE}
        assert n_taken > 100 and n_packets_first > 50

    run(simulate, queue, rule)
