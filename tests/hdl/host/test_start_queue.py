"""StartQueue and ReadStart: each rule, then any sequence against a model."""

import dataclasses
import random

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, Memory
from eie_hdl.host.error_log import error_layout
from eie_hdl.host.start_queue import ReadStart, StartQueue, read_layout, start_layout
from eie_hdl.registers import Error
from support.simulation import Unwatched

CONFIG = PRESETS["tiny"]
INPUT_WORDS = 7


def put_in(ctx, dut, **inputs):
    for name, value in inputs.items():
        ctx.set(getattr(dut, name), value)


async def strobe(ctx, dut, **inputs):
    """Set inputs for a cycle, and tell which error there was in it, and its address."""
    before = {name: ctx.get(getattr(dut, name)) for name in inputs}
    put_in(ctx, dut, **inputs)
    error = ctx.get(dut.error)
    await ctx.tick()
    put_in(ctx, dut, **before)
    return (Error(error.code), error.address) if error.code else None


def start(descriptor, buffer=0):
    return start_layout.const({"valid": 1, "descriptor": descriptor, "buffer": buffer})


def offered(ctx, dut):
    """The start that the machine could take now."""
    if ctx.get(dut.run.valid):
        return ctx.get(dut.run.p.descriptor), ctx.get(dut.run.p.offset)
    return None


@pytest.fixture
def queue():
    return StartQueue(CONFIG)


def run(simulate, dut, rule):
    async def bench(ctx):
        put_in(ctx, dut, input_words=INPUT_WORDS, input_double=1)
        await rule(ctx)

    simulate(Unwatched(dut), bench)


def test_start_waits_until_it_is_taken(simulate, queue):
    async def rule(ctx):
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None
        assert await strobe(ctx, queue, i=start(3, 1)) is None
        for _ in range(5):
            assert ctx.get(queue.waiting) and offered(ctx, queue) == (3, INPUT_WORDS)
            assert ctx.get(queue.descriptor) == 3
            await ctx.tick()
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None

    run(simulate, queue, rule)


def test_rows_of_buffer_1_are_behind_those_of_buffer_0(simulate, queue):
    async def rule(ctx):
        ctx.set(queue.run.ready, 1)
        for buffer in (0, 1, 1, 0):
            await strobe(ctx, queue, i=start(2, buffer))
            assert offered(ctx, queue) == (2, buffer * INPUT_WORDS)
            await ctx.tick()
            assert ctx.get(queue.buffer) == buffer

    run(simulate, queue, rule)


def test_one_program_runs_one_waits_and_a_third_is_refused(simulate, queue):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(1))
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        put_in(ctx, queue, running=1)
        ctx.set(queue.run.ready, 0)
        assert await strobe(ctx, queue, i=start(2, 1)) is None
        assert await strobe(ctx, queue, i=start(4)) == (Error.START_BUSY, 4)
        # It changes nothing: the first is the one that runs, the second the one that waits.
        assert (ctx.get(queue.descriptor), ctx.get(queue.buffer)) == (1, 0)
        assert offered(ctx, queue) == (2, INPUT_WORDS)

    run(simulate, queue, rule)


@pytest.mark.parametrize("descriptor, buffer, double, error", [
    (CONFIG.program_depth - 1, 0, 0, None),
    (CONFIG.program_depth, 0, 0, Error.START_RANGE),
    (0xFFFF, 0, 1, Error.START_RANGE),
    (0, 1, 1, None),
    (0, 1, 0, Error.START_RANGE),
])
def test_descriptor_and_buffer_must_exist(simulate, queue, descriptor, buffer, double, error):
    async def rule(ctx):
        put_in(ctx, queue, input_double=double)
        found = await strobe(ctx, queue, i=start(descriptor, buffer))
        assert found == (error and (error, descriptor))
        assert ctx.get(queue.waiting) == (error is None)

    run(simulate, queue, rule)


@pytest.mark.parametrize("depth", [2, 9, 4096])
def test_last_descriptor_exists_whatever_the_depth_of_the_program(simulate, depth):
    queue = StartQueue(dataclasses.replace(CONFIG, program_depth=depth))

    async def rule(ctx):
        assert await strobe(ctx, queue, i=start(depth)) == (Error.START_RANGE, depth)
        assert await strobe(ctx, queue, i=start(depth - 1)) is None
        assert offered(ctx, queue) == (depth - 1, 0)

    run(simulate, queue, rule)


def test_start_during_a_reset_is_refused(simulate, queue):
    async def rule(ctx):
        put_in(ctx, queue, refuse=1)
        assert await strobe(ctx, queue, i=start(5)) == (Error.START_BUSY, 5)
        put_in(ctx, queue, refuse=0)
        assert not ctx.get(queue.waiting)

    run(simulate, queue, rule)


def test_while_an_error_stands_starts_are_ignored_and_the_one_that_waits_stays(simulate, queue):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(5))
        put_in(ctx, queue, hold=1)
        assert await strobe(ctx, queue, i=start(6)) is None
        assert ctx.get(queue.waiting) and offered(ctx, queue) is None
        put_in(ctx, queue, hold=0)
        assert offered(ctx, queue) == (5, 0)
        assert await strobe(ctx, queue, drop=1) is None
        assert not ctx.get(queue.waiting) and offered(ctx, queue) is None

    run(simulate, queue, rule)


@pytest.mark.parametrize("buffer", [0, 1])
def test_start_waits_for_a_packet_unless_it_fills_the_other_input_buffer(simulate, queue, buffer):
    async def rule(ctx):
        await strobe(ctx, queue, i=start(5, buffer))
        put_in(ctx, queue, receiving_input=1 << 1 - buffer)
        assert offered(ctx, queue) is not None
        for packet in ({"receiving_input": 1 << buffer}, {"receiving_input": 0b11},
                       {"receiving_model": 1}):
            put_in(ctx, queue, **{"receiving_input": 0, "receiving_model": 0, **packet})
            await ctx.tick()
            assert ctx.get(queue.waiting) and offered(ctx, queue) is None
        put_in(ctx, queue, receiving_model=0)
        assert offered(ctx, queue) is not None

    run(simulate, queue, rule)


def test_buffers_of_the_program_and_of_the_start_that_waits_are_in_use(simulate, queue):
    async def rule(ctx):
        assert ctx.get(queue.buffer_in_use) == 0b00
        await strobe(ctx, queue, i=start(0, 1))
        assert ctx.get(queue.buffer_in_use) == 0b10
        ctx.set(queue.run.ready, 1)
        await ctx.tick()
        ctx.set(queue.run.ready, 0)
        put_in(ctx, queue, running=1)
        assert ctx.get(queue.buffer_in_use) == 0b10
        await strobe(ctx, queue, i=start(0, 0))
        assert ctx.get(queue.buffer_in_use) == 0b11
        put_in(ctx, queue, running=0)
        assert ctx.get(queue.buffer_in_use) == 0b01
        await strobe(ctx, queue, drop=1)
        assert ctx.get(queue.buffer_in_use) == 0b00
        put_in(ctx, queue, reading=1)    # which may be of any rows
        assert ctx.get(queue.buffer_in_use) == 0b11

    run(simulate, queue, rule)


@dataclasses.dataclass
class Model:
    """What StartQueue keeps in mind."""
    waiting: tuple | None = None
    first: int = 0
    buffer: int = 0

    def step(self, wanted, inputs, ready):
        """What must be offered and reported in this cycle; goes on to the next."""
        is_receiving = self.waiting is not None and (
            inputs["receiving_model"] or inputs["receiving_input"] >> self.waiting[1] & 1)
        offer = None
        if self.waiting and not (inputs["hold"] or inputs["refuse"] or is_receiving):
            offer = self.waiting[0], self.waiting[1] * INPUT_WORDS
        error, accepted = Error.NONE, False
        if wanted and not inputs["hold"]:
            if self.waiting or inputs["refuse"]:
                error = Error.START_BUSY
            elif wanted[0] >= CONFIG.program_depth or wanted[1] and not inputs["input_double"]:
                error = Error.START_RANGE
            else:
                accepted = True
        running = inputs["running"]
        use = {self.buffer} if running else set()
        use |= {self.waiting[1]} if self.waiting else set()
        use = {0, 1} if inputs["reading"] else use
        expected = (self.waiting is not None, offer, self.buffer, error, use,
                    self.first if running else self.waiting and self.waiting[0])
        if offer and ready:
            (self.first, self.buffer), self.waiting = self.waiting, None
        if accepted:
            self.waiting = wanted
        if inputs["drop"]:
            self.waiting = None
        return expected


def test_any_sequence_of_starts_follows_the_model(simulate, queue):
    rng = random.Random(97)
    often = {"drop": 0.02, "hold": 0.1, "refuse": 0.1, "input_double": 0.8,
             "receiving_model": 0.1, "reading": 0.1, "running": 0.5}

    async def rule(ctx):
        model, n_taken, errors = Model(), 0, set()
        for _ in range(3000):
            inputs = {name: rng.random() < chance for name, chance in often.items()}
            inputs["receiving_input"] = rng.choice([0, 0, 1, 2, 3])
            wanted = None
            if rng.random() < 0.2:
                wanted = rng.randrange(CONFIG.program_depth + 3), rng.randrange(2)
            ready = rng.random() < 0.3
            put_in(ctx, queue, i=start(*wanted) if wanted else {}, **inputs)
            ctx.set(queue.run.ready, ready)
            waiting, offer, buffer, error, use, descriptor = model.step(wanted, inputs, ready)
            assert ctx.get(queue.waiting) == waiting
            assert offered(ctx, queue) == offer
            assert ctx.get(queue.buffer) == buffer
            assert ctx.get(queue.error.code) == error
            assert error is Error.NONE or ctx.get(queue.error.address) == wanted[0]
            assert ctx.get(queue.buffer_in_use) == sum(1 << number for number in use)
            assert descriptor is None or ctx.get(queue.descriptor) == descriptor
            errors.add(error)
            n_taken += bool(offer and ready)
            await ctx.tick()
        assert errors == {Error.NONE, Error.START_BUSY, Error.START_RANGE}
        assert n_taken > 100

    run(simulate, queue, rule)


def read(memory, *, address, count, pe=0):
    return read_layout.const({"valid": 1, "memory": memory, "pe": pe, "address": address,
                              "count": count})


def requested(ctx, dut):
    """The request that the machine could take now."""
    if not ctx.get(dut.read.valid):
        return None
    payload = ctx.get(dut.read.payload)
    return payload.memory.value, payload.pe, payload.address, payload.count


def cases(config):
    """Requests, and whether they are for words that exist and can be read."""
    images = {memory.value: image for memory, image in Layouts(config).memories.items()}
    for memory in range(8):
        image = images.get(memory)
        readable = image is not None and (config.readback or memory == Memory.ACT.value)
        depth = image.depth if image else 16
        for address, count, fits in [
                (0, 1, True), (0, depth, True), (depth - 1, 1, True), (1, depth - 1, True),
                (0, 0, False), (0, depth + 1, False), (depth, 1, False), (depth - 1, 2, False),
                ((1 << 24) - 1, 1, False), (1, (1 << 24) - 1, False)]:
            for pe in (0, config.n_pe - 1, config.n_pe, 255):
                one_pe = memory not in (Memory.ACT.value, Memory.PROGRAM.value)
                yield ((memory, pe, address, count),
                       readable and fits and (pe < config.n_pe or not one_pe), one_pe)


@pytest.mark.parametrize("readback", [True, False])
def test_only_words_that_exist_can_be_read(simulate, readback):
    config = dataclasses.replace(CONFIG, readback=readback)
    dut = ReadStart(config)

    async def bench(ctx):
        n_good = 0
        for place, is_good, one_pe in cases(config):
            memory, pe, address, count = place
            ctx.set(dut.i, read(memory, address=address, count=count, pe=pe))
            error = ctx.get(dut.error)
            assert (error.code == Error.NONE) if is_good else error == error_layout.const({
                "code": Error.BAD_READ, "address": address, "memory": memory, "pe": pe})
            await ctx.tick()
            ctx.set(dut.i, {})
            if is_good:
                n_good += 1
                seen = requested(ctx, dut)
                assert seen == (place if one_pe else (memory, seen[1], address, count))
                await ctx.tick()
                assert requested(ctx, dut) == seen
                ctx.set(dut.read.ready, 1)
                await ctx.tick()
                ctx.set(dut.read.ready, 0)
            assert requested(ctx, dut) is None
        # Four ranges, of any PE named; of PEs that exist, where that matters.
        assert n_good == 4 * (4 * 2 + 2 * 3 if readback else 4)

    simulate(Unwatched(dut), bench)


def test_read_is_refused_while_the_machine_is_not_idle_and_ignored_while_an_error_stands(simulate):
    dut = ReadStart(CONFIG)
    request = read(Memory.ACT, address=5, count=2)

    async def bench(ctx):
        assert await strobe(ctx, dut, i=request, refuse=1) == (Error.BAD_READ, 5)
        for refuse in (0, 1):
            assert await strobe(ctx, dut, i=request, hold=1, refuse=refuse) is None
        assert requested(ctx, dut) is None

    simulate(Unwatched(dut), bench)


def test_request_that_waits_can_be_dropped(simulate):
    dut = ReadStart(CONFIG)

    async def bench(ctx):
        await strobe(ctx, dut, i=read(Memory.ACT, address=5, count=2))
        assert requested(ctx, dut) is not None
        ctx.set(dut.drop, 1)
        await ctx.tick()
        assert requested(ctx, dut) is None

    simulate(Unwatched(dut), bench)
