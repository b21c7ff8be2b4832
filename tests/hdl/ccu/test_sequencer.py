"""Sequencer: states of a program, with scripts in place of memory, PEs and host."""

import collections
import dataclasses
import random

import pytest

from eie_hdl.ccu.sequencer import Sequencer
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts, Memory, any_unwritten
from eie_hdl.registers import Error
from support.simulation import Unwatched, get, nothing, put

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
ANY_UNWRITTEN = any_unwritten(CONFIG)
N_ACTIVATIONS = 3
#: Tokens of a vector: two words and its end.
VECTOR = [{"word": [1, 2, 3, 4], "last_lane": 3}, {"word": [5, 6, 7, 8], "last_lane": 1},
          {"end": 1}]


def tile(**fields):
    """Descriptor of a tile of one row, with its destination away from its source."""
    return {"end": {"destination": 9}, "valid": 1, **fields}


def send(**fields):
    """Descriptor that sends a vector of two rows."""
    return {"start": {"send": 1, "last_word": 1, "last_lane": 2, "last_pe": 1}, "valid": 1,
            **fields}


def serve(dut, program):
    """Background bench: the program memory."""
    words = [LAYOUTS.descriptor.const(descriptor).as_value().value for descriptor in program]

    async def bench(ctx):
        while True:
            *_, en, addr = await ctx.tick().sample(dut.program.en, dut.program.addr)
            if en:
                ctx.set(dut.program.data, words[addr])

    return bench


PHASES = ("phase_control", "phase_compute", "phase_output", "stall_barrier")


def phases(ctx, dut):
    """Names of the phases of this cycle."""
    return [name for name in PHASES if ctx.get(getattr(dut.strobes, name))]


class Pes:
    """Background benches: program memory, scanners, and tiles, written at once or when allowed."""

    def __init__(self, dut, program, *, may_write=True, stall=0.0):
        self.dut, self.may_write, self.stall = dut, may_write, stall
        self.order = collections.deque()    # programs of unwritten tiles
        self.n_scans, self.n_ended = 0, 0
        self.benches = [serve(dut, program), self.track, self.scan]

    async def track(self, ctx):
        dut = self.dut
        while True:
            ctx.set(dut.unwritten, sum({1 << program for program in self.order}))
            ctx.set(dut.n_unwritten, len(self.order))
            ctx.set(dut.tile_started.ready, len(self.order) < CONFIG.max_tiles)
            *_, starts, program, ends = await ctx.tick().sample(
                dut.tile_started.valid & dut.tile_started.ready, dut.tile_started.payload,
                dut.message.valid & dut.message.ready & (dut.message.p.kind == Kind.END))
            if self.n_ended and self.may_write:
                self.order.popleft()
                self.n_ended -= 1
            self.order.extend([program] * starts)
            self.n_scans += starts
            self.n_ended += ends

    async def scan(self, ctx):
        """After each start of a tile, offer some activations and an end."""
        rng = random.Random(107)
        while True:
            while not self.n_scans:
                await ctx.tick()
            self.n_scans -= 1
            await put(ctx, self.dut.scan, [
                *({"column": n, "value": n + 1} for n in range(N_ACTIVATIONS)), {"end": 1}],
                stall=self.stall, rng=rng)


def test_tiles_are_starts_activations_and_ends(simulate, stalls):
    """A start comes before its activations, and may come before the end of the tile before."""
    rng = random.Random(109)
    program = [tile(ptr_base=5), tile(ptr_base=11, barrier=1), tile(final=1)]
    dut = Sequencer(CONFIG)
    counts = {"tile_started": 0, "done": 0, "broadcasts": 0}
    pes = Pes(dut, program, stall=stalls.input)

    async def host(ctx):
        ctx.set(dut.watched, 2)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.done)
        await ctx.tick()
        assert not ctx.get(dut.busy)

    async def consumer(ctx):
        messages = await get(ctx, dut.message, 3 * (N_ACTIVATIONS + 2), stall=stalls.output,
                             rng=rng)
        starts = [message for message in messages if message.kind is Kind.START]
        assert [(start.body.start.watched, start.body.start.unwritten) for start in starts] == [
            (2, ANY_UNWRITTEN), (2, 0), (2, ANY_UNWRITTEN)]
        others = [message for message in messages if message.kind is not Kind.START]
        expected = [(Kind.ACTIVATION, descriptor.get("ptr_base", 0) + n, n + 1)
                    if n < N_ACTIVATIONS else (Kind.END, 9)
                    for descriptor in program for n in range(N_ACTIVATIONS + 1)]
        assert list(map(seen, others)) == expected
        for number, start in enumerate(starts):
            first = others[number * (N_ACTIVATIONS + 1)]
            assert any(each is start for each in messages[:place(messages, first)])
        await nothing(ctx, dut.message)

    async def count(ctx):
        async for *_, tile_started, done, broadcasts in ctx.tick().sample(
                dut.tile_started.valid & dut.tile_started.ready, dut.done,
                dut.strobes.broadcasts):
            counts["tile_started"] += tile_started
            counts["done"] += done
            counts["broadcasts"] += broadcasts

    simulate(Unwatched(dut), host, consumer, background=[*pes.benches, count])
    assert counts == {"tile_started": 3, "done": 1, "broadcasts": 3 * N_ACTIVATIONS}


def place(messages, message):
    """Return where a message is in a list, by identity."""
    return next(number for number, each in enumerate(messages) if each is message)


def seen(message):
    """A message of a tile after its start."""
    if message.kind is Kind.END:
        return message.kind, message.body.end.destination
    return message.kind, message.body.activation.pointer, message.body.activation.value


@pytest.mark.parametrize("offset_destination", [0, 1])
def test_end_has_the_destination_in_the_region_of_the_program(simulate, offset_destination):
    """Up to the last row of the memory."""
    offset = CONFIG.act_depth - 1 - tile()["end"]["destination"]
    dut = Sequencer(CONFIG)

    async def host(ctx):
        await put(ctx, dut.run, [{"offset": offset}])

    async def consumer(ctx):
        *_, end = await get(ctx, dut.message, N_ACTIVATIONS + 2)
        assert end.kind == Kind.END
        assert end.body.end.destination == (CONFIG.act_depth - 1 if offset_destination else 9)

    pes = Pes(dut, [tile(offset_destination=offset_destination, final=1)])
    simulate(dut, host, consumer, background=pes.benches)


@pytest.mark.parametrize("may_write, phase", [(True, "phase_control"), (False, "stall_barrier")])
def test_without_a_tile_to_broadcast_unwritten_ones_are_waited_for(simulate, may_write, phase):
    """From the start of the program to its end, each cycle is counted in one phase."""
    dut = Sequencer(CONFIG)
    pes = Pes(dut, [tile(final=1)], may_write=may_write)
    after = []

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        assert phases(ctx, dut) == ["phase_control"]
        await ctx.tick().until(dut.message.p.kind == Kind.END)
        for _ in range(20):
            after.append(phases(ctx, dut))
            await ctx.tick()
        assert ctx.get(dut.busy) == (not may_write) and not ctx.get(dut.done)
        pes.may_write = True
        await ctx.tick().until(~dut.busy)

    simulate(dut, bench, background=pes.benches)
    if may_write:
        assert [] in after
    else:
        assert after[1:] == [[phase]] * 19


def test_program_is_done_when_all_tiles_are_written(simulate):
    dut = Sequencer(CONFIG)
    pes = Pes(dut, [tile(), tile(final=1)], may_write=False)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        while pes.n_ended < 2:
            await ctx.tick()
        for _ in range(10):
            assert not ctx.get(dut.done) and ctx.get(dut.busy)
            await ctx.tick()
        pes.may_write = True
        await ctx.tick().until(dut.done)
        assert not pes.order
        await ctx.tick()
        assert not ctx.get(dut.done) and not ctx.get(dut.busy)

    simulate(dut, bench, background=pes.benches)


def token(item):
    """A token of a vector, in the form of `VECTOR`."""
    if item.end:
        return {"end": 1}
    return {"word": [item.word[lane] for lane in range(4)], "last_lane": item.last_lane}


def test_send_descriptor_is_a_start_whose_vector_goes_to_the_host(simulate, stalls):
    """From the input buffer whose offset was given with the start."""
    rng = random.Random(113)
    program = [send(offset_source=1, final=1)]
    dut = Sequencer(CONFIG)

    async def host(ctx):
        await put(ctx, dut.run, [{"offset": 7}])
        await ctx.tick().until(dut.done)

    async def pes(ctx):
        [message] = await get(ctx, dut.message, 1)
        start = message.body.start
        assert message.kind == Kind.START and start.send and start.source == 7
        assert (start.last_word, start.last_lane, start.last_pe) == (1, 2, 1)
        assert ctx.get(dut.sending)
        await put(ctx, dut.answer, VECTOR, stall=stalls.input, rng=rng)
        assert not ctx.get(dut.sending)
        await nothing(ctx, dut.message, cycles=60)

    async def consumer(ctx):
        received = await get(ctx, dut.results, len(VECTOR), stall=stalls.output)
        assert list(map(token, received)) == VECTOR

    simulate(dut, host, pes, consumer, background=[serve(dut, program)])


def count_strobes(dut, counts, *names):
    """Background bench that counts strobes while the sequencer is busy."""
    async def bench(ctx):
        async for *_, busy, strobes in ctx.tick().sample(dut.busy, dut.strobes):
            assert strobes.cycles == busy
            for name in names:
                counts[name] = counts.get(name, 0) + getattr(strobes, name)

    return bench


def test_program_ends_and_the_next_one_runs_while_a_vector_is_sent(simulate):
    """No cycle of either is spent on the vector, of which the host takes nothing meanwhile."""
    program = [send(final=1), tile(final=1)]
    dut = Sequencer(CONFIG)
    counts = {}

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        ctx.set(dut.answer.payload, VECTOR[0])
        ctx.set(dut.answer.valid, 1)
        for first in (0, 1):
            await put(ctx, dut.run, [{"descriptor": first}])
            await ctx.tick().until(dut.done)
            await ctx.tick()
            assert ctx.get(dut.sending) and not ctx.get(dut.busy)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.sending) and ctx.get(dut.run.ready) and ctx.get(dut.results.valid)
        assert counts["phase_output"] == counts["stall_result"] == 0
        ctx.set(dut.results.ready, 1)
        await put(ctx, dut.answer, VECTOR)
        assert not ctx.get(dut.sending)

    simulate(dut, bench, background=[
        *Pes(dut, program).benches, count_strobes(dut, counts, *PHASES, "stall_result")])


@pytest.mark.parametrize("same_program", [False, True])
def test_second_vector_waits_until_the_first_has_been_sent_which_is_phase_output(simulate,
                                                                                 same_program):
    program = [send(final=int(not same_program)), send(final=1)]
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        if not same_program:
            await ctx.tick().until(dut.done)
            await put(ctx, dut.run, [{"descriptor": 1}])
        await ctx.tick().until(dut.strobes.phase_output)
        for token in VECTOR:
            for _ in range(5):
                assert not ctx.get(dut.message.valid) and ctx.get(dut.sending)
                assert [ctx.get(getattr(dut.strobes, name)) for name in PHASES] == [0, 0, 1, 0]
                await ctx.tick()
            ctx.set(dut.answer.payload, token)
            ctx.set(dut.answer.valid, 1)
            ctx.set(dut.results.ready, 1)
            assert not ctx.get(dut.message.valid) and ctx.get(dut.strobes.phase_output)
            await ctx.tick()
            ctx.set(dut.answer.valid, 0)
            ctx.set(dut.results.ready, 0)
        for has_waited in [False, True]:
            assert ctx.get(dut.message.valid) == has_waited and not ctx.get(dut.sending)
            assert [ctx.get(getattr(dut.strobes, name)) for name in PHASES] == [1, 0, 0, 0]
            await ctx.tick()
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.sending)

    simulate(dut, bench, background=[serve(dut, program)])


@pytest.mark.parametrize("result_barrier", [0, 1])
def test_result_barrier_holds_the_end_of_its_tile_alone(simulate, result_barrier):
    """The tile is started and its activations are broadcast while the vector is sent."""
    program = [send(), tile(), tile(result_barrier=result_barrier, final=1)]
    dut = Sequencer(CONFIG)
    kinds = []

    async def listen(ctx):
        async for *_, given, kind in ctx.tick().sample(
                dut.message.valid & dut.message.ready, dut.message.p.kind):
            if given and kind is not Kind.START:
                kinds.append(kind)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        before = [*[Kind.ACTIVATION] * N_ACTIVATIONS, Kind.END] * 2
        await put(ctx, dut.run, [{}])
        await ctx.tick().repeat(40)
        assert kinds == before[:len(before) - result_barrier]
        assert ctx.get(dut.busy) == ctx.get(dut.strobes.phase_output) == result_barrier
        assert not ctx.get(dut.strobes.phase_control) and not ctx.get(dut.strobes.stall_barrier)
        ctx.set(dut.results.ready, 1)
        await put(ctx, dut.answer, VECTOR)
        await ctx.tick().repeat(2)
        assert kinds == before
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.busy)

    simulate(dut, bench, background=[*Pes(dut, program).benches, listen])


def test_result_barrier_does_not_wait_for_a_vector_that_is_started_later(simulate):
    """Nor has it an effect in a send descriptor."""
    program = [tile(result_barrier=1), send(barrier=1, result_barrier=1), tile(), tile(final=1)]
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.sending)

    simulate(dut, bench, background=Pes(dut, program).benches)


def test_wait_for_tiles_is_no_phase_output_although_a_vector_is_being_sent(simulate):
    program = [send(), send(barrier=1, final=1)]
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        ctx.set(dut.unwritten, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.sending)
        await ctx.tick().repeat(10)
        assert phases(ctx, dut) == ["stall_barrier"]
        ctx.set(dut.unwritten, 0)
        assert phases(ctx, dut) == ["phase_output"]

    simulate(dut, bench, background=[serve(dut, program)])


def test_blocked_beat_is_counted_while_a_program_runs_that_does_not_send_it(simulate):
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.result_blocked, 1)
        assert not ctx.get(dut.strobes.stall_result)
        await put(ctx, dut.run, [{}])
        for blocked in (1, 0, 1):
            ctx.set(dut.result_blocked, blocked)
            assert ctx.get(dut.strobes.stall_result) == blocked and not ctx.get(dut.sending)
            await ctx.tick()

    simulate(dut, bench, background=[serve(dut, [tile(final=1)])])


@pytest.mark.parametrize("phase", range(12))
@pytest.mark.parametrize("wrong, code", [
    (tile(end={"destination": 0}, final=1), Error.BAD_DESCRIPTOR),
    (send(start={"send": 1, "source": CONFIG.act_depth - 1, "last_word": 1}, final=1),
     Error.BAD_DESCRIPTOR),
    ({"start": {"send": 1}}, Error.NO_END),
    (tile(ptr_base=CONFIG.n_pointers - 3, final=1), Error.BAD_POINTER),
])
def test_vector_is_sent_whole_when_the_next_program_fails(simulate, wrong, code, phase):
    """Its end passes in every cycle around the fault; the state after it is the same."""
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        ctx.set(dut.results.ready, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.done)
        await put(ctx, dut.run, [{"descriptor": 1}])
        for cycle in range(40):
            if phase - 2 <= cycle <= phase:
                ctx.set(dut.answer.payload, VECTOR[cycle - phase + 2])
                ctx.set(dut.answer.valid, 1)
                assert ctx.get(dut.answer.ready) and ctx.get(dut.results.valid)
            else:
                ctx.set(dut.answer.valid, 0)
            *_, done = await ctx.tick().sample(dut.done)
            # A later descriptor is not sent: the fault is that of the wrong one.
            assert ctx.get(dut.sending) == (cycle < phase)
            assert not done
        assert (ctx.get(dut.fault.code), ctx.get(dut.fault.address)) == (code, 1)
        assert ctx.get(dut.busy) and not ctx.get(dut.message.valid)

    background = Pes(dut, [send(final=1), wrong, tile(final=1)]).benches
    simulate(Unwatched(dut), bench, background=background)


@pytest.mark.parametrize("wrong, code", [
    (send(start={"send": 1, "source": CONFIG.act_depth - 1, "last_word": 1}, final=1),
     Error.BAD_DESCRIPTOR),
    (send(start={"send": 1, "source": CONFIG.act_depth - 1, "last_word": 1}),
     Error.BAD_DESCRIPTOR),
    ({"start": {"send": 1}}, Error.NO_END),
])
@pytest.mark.parametrize("ready", [0, 1])
def test_vector_of_a_wrong_descriptor_is_not_sent(simulate, wrong, code, ready):
    """Even if its start is broadcast in the cycle in which the fault is detected."""
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, ready)
        ctx.set(dut.results.ready, 1)
        await put(ctx, dut.run, [{}])
        ctx.set(dut.answer.payload, VECTOR[0])
        ctx.set(dut.answer.valid, 1)
        for cycle in range(40):
            assert not ctx.get(dut.sending) and not ctx.get(dut.results.valid)
            assert not ctx.get(dut.done) and ctx.get(dut.busy)
            if cycle > 4:
                assert (ctx.get(dut.fault.code), ctx.get(dut.fault.address)) == (code, 0)
                assert not ctx.get(dut.message.valid)
            await ctx.tick()

    background = Pes(dut, [wrong, {}]).benches
    simulate(Unwatched(dut), bench, background=background)


@pytest.mark.parametrize("program, code, address", [
    ([tile(end={"destination": 0}, final=1)], Error.BAD_DESCRIPTOR, 0),
    ([tile(), {}], Error.NO_END, 1),
    ([tile(), tile(ptr_base=CONFIG.n_pointers - 3, final=1)], Error.BAD_POINTER, 1),
])
def test_fault_stops_the_program_and_stays(simulate, program, code, address):
    dut = Sequencer(CONFIG)

    async def bench(ctx):
        ctx.set(dut.message.ready, 1)
        await put(ctx, dut.run, [{}])
        await ctx.tick().until(dut.fault.code != Error.NONE)
        for _ in range(20):
            assert (ctx.get(dut.fault.code), ctx.get(dut.fault.address)) == (code, address)
            assert not ctx.get(dut.message.valid) and not ctx.get(dut.scan.ready)
            assert ctx.get(dut.busy) and not ctx.get(dut.done)
            await ctx.tick()

    simulate(Unwatched(dut), bench, background=Pes(dut, program).benches)


def test_read_of_activations_sends_whole_rows_and_lasts_until_they_are_sent(simulate, stalls):
    dut = Sequencer(CONFIG)

    async def host(ctx):
        await put(ctx, dut.read, [{"memory": Memory.ACT, "address": 5, "count": 3}])
        assert ctx.get(dut.reading) and ctx.get(dut.busy)
        await ctx.tick().until(~dut.busy)
        assert not ctx.get(dut.sending)

    async def pes(ctx):
        [message] = await get(ctx, dut.message, 1)
        start = message.body.start
        assert (message.kind, start.send) == (Kind.START, 1)
        assert (start.source, start.last_word, start.last_lane, start.last_pe) == (
            5, 2, 3, CONFIG.n_pe - 1)
        await ctx.tick().repeat(10)
        await put(ctx, dut.answer, VECTOR, stall=stalls.input)

    async def consumer(ctx):
        received = await get(ctx, dut.results, len(VECTOR), stall=stalls.output)
        assert list(map(token, received)) == VECTOR

    async def watch(ctx):
        async for *_, done, busy, taken in ctx.tick().sample(
                dut.done, dut.busy, dut.results.valid & dut.results.ready):
            assert not done    # a read is no program
            assert busy or not taken

    simulate(dut, host, pes, consumer, background=[watch])


def test_read_of_another_memory_asks_for_its_pieces(simulate):
    config = dataclasses.replace(CONFIG, readback=True)
    dut = Sequencer(config)

    async def host(ctx):
        await put(ctx, dut.read, [{"memory": Memory.CODEBOOK, "pe": 1, "address": 4, "count": 2}])
        assert not ctx.get(dut.busy)

    async def pes(ctx):
        for address in (4, 5):
            [request] = await get(ctx, dut.request, 1)
            assert (request.memory, request.pe, request.address) == (Memory.CODEBOOK, 1, address)
            await put(ctx, dut.answer, [{"word": [address]}, {"end": 1}])

    async def consumer(ctx):
        received = await get(ctx, dut.results, 3)
        assert [(item.word[0], item.last_lane, item.end) for item in received[:2]] == [
            (4, 0, 0), (5, 0, 0)]
        assert received[2].end

    simulate(dut, host, pes, consumer)
