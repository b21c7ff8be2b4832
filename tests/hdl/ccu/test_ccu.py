"""Ccu running programs, with a script in place of the tree and the PEs."""

import collections
import dataclasses
import random
from functools import partial

import pytest
from amaranth.hdl import Shape

from eie_hdl.ccu.ccu import Ccu
from eie_hdl.config import ACTS_PER_WORD, FILLING_LIMIT, PRESETS, EIEConfig
from eie_hdl.format import COUNTERS, Kind, Layouts, Memory
from eie_hdl.registers import Error
from eie_hdl.tree.tree import EVENTS
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "smallest": EIEConfig(n_pe=1, n_codebooks=1, acc_depth=4, act_depth=2, ptr_depth=2,
                          program_depth=2),
}
END = {"end": 1}


def random_fields(rng, layout):
    return {name: random_fields(rng, field.shape) if hasattr(field.shape, "members")
            else rng.getrandbits(Shape.cast(field.shape).width) for name, field in layout}


def random_descriptor(rng, config, offset):
    """Random descriptor with valid rows at this offset, and a separate destination."""
    layouts = Layouts.of(config)
    while True:
        descriptor = random_fields(rng, layouts.descriptor)
        start, end = descriptor["start"], descriptor["end"]
        start["send"] = int(rng.random() < 0.4)
        start["codebook"] %= config.n_codebooks
        end["bias_shift"] %= config.max_bias_shift + 1
        # Vectors are short: most random ones would not fit.
        start["last_word"] %= max(1, config.act_depth // 4)
        end["last_word"] %= max(1, min(config.tile_words, config.act_depth // 4))
        source = start["source"] + offset * descriptor["offset_source"]
        read = range(source, source + start["last_word"] + 1)
        first = end["destination"] + offset * descriptor["offset_destination"]
        written = range(first, first + end["last_word"] + 1)
        biases = range(end["bias"], end["bias"] + end["last_word"] + 1)
        if max(read[-1], written[-1], biases[-1]) < config.act_depth \
                and not set(read) & set(written):
            return {**descriptor, "valid": 1}


def random_program(rng, config, count, offset):
    """Descriptors, and the tokens of the PEs for each; only the last one is final.

    For a tile they are of the scanners, for a vector those of the result path.
    """
    layouts = Layouts.of(config)
    program, found = [], []
    for number in range(count):
        descriptor = random_descriptor(rng, config, offset)
        descriptor["final"] = int(number == count - 1)
        descriptor["ptr_base"] %= config.n_pointers - 1
        program.append(descriptor)
        if descriptor["start"]["send"]:
            found.append([{**random_result(rng, config), "end": 0}
                          for _ in range(rng.randint(1, 12))])
            continue
        elements = [{**random_fields(rng, layouts.scan), "end": 0}
                    for _ in range(rng.choice([0, 1, 9]))]
        for element in elements:
            element["column"] %= config.n_pointers - 1 - descriptor["ptr_base"]
        found.append(elements)
    return program, found


def random_result(rng, config):
    return {"word": [rng.getrandbits(config.act_width) for _ in range(ACTS_PER_WORD)],
            "last_lane": rng.randrange(ACTS_PER_WORD)}


def words(config, program):
    """Descriptors on their way to the program memory, from its first word on."""
    layout = Layouts.of(config).descriptor
    return [{"memory": Memory.PROGRAM, "address": address,
             "data": layout.const(descriptor).as_value().value}
            for address, descriptor in enumerate(program)]


def messages(config, program, found, offset, watched):
    """Expected broadcast messages."""
    layouts = Layouts.of(config)
    for descriptor, elements in zip(program, found):
        start = descriptor["start"]
        yield Kind.START, layouts.start.const({
            **start, "source": start["source"] + offset * descriptor["offset_source"],
            "watched": watched})
        if not start["send"]:
            for element in elements:
                yield Kind.ACTIVATION, layouts.activation.const({
                    "pointer": descriptor["ptr_base"] + element["column"],
                    "value": wrapped(element["value"], config)})
            end = descriptor["end"]
            yield Kind.END, layouts.end.const({
                **end, "destination": end["destination"]
                + offset * descriptor["offset_destination"]})


def wrapped(value, config):
    return value - ((value >> config.act_width - 1) << config.act_width)


def results(config, program, found):
    """Expected words and ends of the vectors of a program."""
    return [token for descriptor, tokens in zip(program, found) if descriptor["start"]["send"]
            for token in [*((tuple(wrapped(value, config) for value in item["word"]),
                             item["last_lane"]) for item in tokens), "end"]]


def seen_result(item):
    """A token of a vector, in the form of :func:`results`."""
    if item.end:
        return "end"
    return tuple(item.word[lane] for lane in range(ACTS_PER_WORD)), item.last_lane


def seen(message):
    return message.kind, message.body[message.kind.name.lower()]


class Pes:
    """Script of the other end of the link, and what it has seen.

    `found` are the tokens that follow each start, of the scanners or of a vector; `overflows` the
    token of each tile.
    """
    def __init__(self, dut, program, found, overflows, *, n_pe=4, stalls=(0, 0), full=0.0, seed=1):
        self.dut, self.program, self.found, self.overflows = dut, program, found, overflows
        self.n_pe = n_pe
        self.input_stall, self.full = stalls[0], full
        self.seed = seed
        self.messages, self.loads = [], []
        self.n_started, self.n_ended, self.n_written = 0, 0, 0
        self.tiles, self.vectors = collections.deque(), collections.deque()
        self.counts = {}
        self.may_write = True

    def benches(self):
        return [self.listen, self.write, self.fill_queues,
                partial(self.answer, self.dut.link.scan, self.tiles, self.seed),
                partial(self.answer, self.dut.link.result, self.vectors, self.seed + 3)]

    async def answer(self, stream, starts, seed, ctx):
        """Offer the tokens of each start."""
        rng = random.Random(seed)
        while True:
            while not starts:
                await ctx.tick()
            await put(ctx, stream, [*self.found[starts.popleft()], END], stall=self.input_stall,
                      rng=rng)

    async def write(self, ctx):
        rng = random.Random(self.seed + 1)
        while True:
            while self.n_written == self.n_ended or not self.may_write:
                await ctx.tick()
            await put(ctx, self.dut.link.written, [self.overflows[self.n_written]],
                      stall=self.input_stall and 0.9, rng=rng)
            self.n_written += 1

    async def fill_queues(self, ctx):
        rng = random.Random(self.seed + 2)
        while True:
            ctx.set(self.dut.link.filling, rng.random() < self.full)
            ctx.set(self.dut.link.full, rng.random() < self.full)
            ctx.set(self.dut.host.result_blocked, rng.random() < 0.3)
            busy = ctx.get(self.dut.host.busy)
            ctx.set(self.dut.link.events, {name: busy and rng.randrange(2) for name in EVENTS})
            await ctx.tick()

    async def listen(self, ctx):
        """Log messages, check them against the rules, and count them."""
        link, host = self.dut.link, self.dut.host
        scanning = was_stopped = was_loading = False
        recent = collections.deque([0], EIEConfig(n_pe=self.n_pe).n_in_flight)
        watched = [host.busy, link.filling, link.full, link.events, link.message.valid,
                   link.message.payload, link.load.valid, link.load.payload,
                   link.scan.valid, link.scan.ready, link.scan.payload,
                   host.result_blocked, host.run.valid & host.run.ready, host.sending,
                   host.result.valid & host.result.ready & host.result.p.end, host.fault.code]
        sending = False
        async for (_, _, busy, filling, full, events, given, message, loading, load, found, taken,
                   element, refused, run, is_sending, sent, fault) in ctx.tick().sample(*watched):
            # A start is seen a cycle after the sequencer has sent it, as is a fault of it.
            starts = (given and message.kind is Kind.START and message.body.start.send
                      and not fault)
            assert is_sending == (sending or starts)
            sending = is_sending and not sent
            if loading:
                assert not (self.n_pe == 1 and was_loading), "A word has no time to be written"
                self.loads.append(load)
            was_loading = loading and busy
            if given:
                kind, body = seen(message)
                self.messages.append((kind, body))
                assert not was_stopped, "The queues are full"
                if kind is Kind.START:
                    scanning = not body.send
                    if self.program[self.n_started].get("barrier"):
                        assert self.n_written == self.n_ended, "A tile is not yet written"
                    (self.tiles if scanning else self.vectors).append(self.n_started)
                    self.n_started += 1
                if kind is Kind.END and self.program[self.n_started - 1].get("result_barrier"):
                    assert not is_sending, "A result has not yet been sent"
                self.n_ended += kind is Kind.END
            recent.append(given)
            stopped = full or (filling and sum(recent) > FILLING_LIMIT)
            is_activation = scanning and found and not element.end
            step = {"cycles": busy, "broadcasts": is_activation and taken,
                    "ptr_reads": self.n_pe * (is_activation and taken),
                    "phase_compute": scanning,
                    "stall_full": is_activation and stopped, "stall_scan": scanning and not found,
                    "stall_result": busy and refused,
                    **{name: events[name] for name in EVENTS}}
            self.counts = {name: 0 if run else self.counts.get(name, 0) + step[name]
                           for name in step}
            if found and taken and element.end:
                scanning = False
            was_stopped = stopped


async def run(ctx, dut, first=0, offset=0):
    await put(ctx, dut.host.run, [{"descriptor": first, "offset": offset}])
    assert ctx.get(dut.host.busy)
    while ctx.get(dut.host.busy):
        await ctx.tick()
    await ctx.tick()    # for the benches in the background to have seen all


def counters(ctx, dut):
    return {name: ctx.get(getattr(dut.host.counters, name)) for name in COUNTERS}


def random_activations(rng, config, count):
    """Words for the activation SRAMs."""
    return [{"memory": Memory.ACT, "address": rng.randrange(config.act_depth),
             "data": rng.getrandbits(4 * config.act_width), "pe": rng.randrange(config.n_pe),
             "everyone": rng.randrange(2)} for _ in range(count)]


@pytest.mark.parametrize("name", CONFIGS)
def test_program_runs_as_the_model_does(simulate, stalls, name):
    """Messages and results in order, barriers kept, everything counted, all tiles written.

    A program may begin while the vector of the one before is being sent.

    It runs three times, the last with queues that fill half of the time, and with words for the
    activation SRAMs in between. An accumulator overflows late in the first run and early in the
    last.
    """
    config = CONFIGS[name]
    layouts = Layouts.of(config)
    rng = random.Random(29)
    offset, watched = rng.randrange(config.act_depth), rng.randrange(config.n_pe)
    program, found = random_program(rng, config, min(9, config.program_depth), offset)
    n_tiles = sum(not descriptor["start"]["send"] for descriptor in program)
    tokens = [[int(tile in tiles) for tile in range(n_tiles)] for tiles in (
        {n_tiles - 1, n_tiles - 2}, {}, {0, n_tiles - 1})]
    loads = random_activations(rng, config, 12)
    expected = results(config, program, found)
    dut = Ccu(config)
    pes = Pes(dut, program * 3, found * 3, sum(tokens, []), n_pe=config.n_pe, stalls=stalls)
    last_run = False

    async def host(ctx):
        nonlocal last_run
        ctx.set(dut.host.watched, watched)
        await put(ctx, dut.host.load, words(config, program), stall=stalls.input)
        for turn in range(3):
            pes.messages.clear()
            last_run = turn == 2
            pes.full = 0.5 * last_run
            await run(ctx, dut, offset=offset)
            assert pes.messages == list(messages(config, program, found, offset, watched))
            assert pes.n_written == pes.n_ended == (turn + 1) * n_tiles
            assert ctx.get(dut.host.overflow) == any(tokens[turn])
            if any(tokens[turn]):
                assert ctx.get(dut.host.overflow_tile) == tokens[turn].index(1)
            counts = counters(ctx, dut)
            assert pes.counts == {name: counts[name] for name in pes.counts}
            assert counts["cycles"] == sum(counts[name] for name in (
                "phase_control", "phase_compute", "phase_output", "stall_barrier"))
            assert counts["macs"] > 0
        await ctx.tick().repeat(30)
        assert pes.loads == [layouts.load.const(load) for load in loads]

    async def loader(ctx):
        while not last_run:
            await ctx.tick()
        await put(ctx, dut.host.load, loads, stall=0.5, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.host.result, 3 * len(expected), stall=stalls.output)
        assert list(map(seen_result, received)) == expected * 3
        await nothing(ctx, dut.host.result)

    simulate(dut, host, loader, consumer, background=pes.benches())


def tile(**fields):
    """A descriptor of a tile that scans row 0 and writes row 1."""
    return {"start": {}, "end": {"destination": 1}, "valid": 1, **fields}


def output(**fields):
    """A descriptor that sends row 0."""
    return {"start": {"send": 1}, "end": {}, "valid": 1, **fields}


def test_activation_is_broadcast_in_every_cycle_one_cycle_after_the_scanner(simulate):
    config = PRESETS["tiny"]
    program = [tile(final=1)]
    elements = [{"column": n, "value": n + 1} for n in range(10)]
    dut = Ccu(config)

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.link.scan.ready)
        ctx.set(dut.link.scan.valid, 1)
        for element in elements:
            ctx.set(dut.link.scan.payload, element)
            assert ctx.get(dut.link.scan.ready)
            await ctx.tick()
            assert ctx.get(dut.link.message.valid)
            assert ctx.get(dut.link.message.payload.body.activation.pointer) == element["column"]

    simulate(dut, bench)


def test_tiles_without_a_barrier_do_not_wait_to_be_written(simulate):
    """Tokens are held back until all messages are out; the program ends with the last token."""
    config = PRESETS["tiny"]
    program = [tile(barrier=int(n == 0), final=int(n == 7)) for n in range(8)]
    dut = Ccu(config)
    pes = Pes(dut, program, [[]] * 8, [0] * 8)
    pes.may_write = False

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await put(ctx, dut.host.run, [{}])
        while pes.n_ended < 8:
            await ctx.tick()
        await ctx.tick().repeat(20)
        assert ctx.get(dut.host.busy)
        pes.may_write = True
        while ctx.get(dut.host.busy):
            await ctx.tick()
        assert pes.n_written == 8

    simulate(dut, bench, background=pes.benches())


def test_waiting_at_barriers_and_at_the_end_is_counted(simulate):
    """Ten more cycles of waiting lengthen the program by ten cycles and change no other counter."""
    config = PRESETS["tiny"]
    program = [tile(), tile(barrier=1), tile(final=1)]
    dut = Ccu(config)
    pes = Pes(dut, program * 3, [[]] * 9, [0] * 9)
    counts = []

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        for turn, delays in enumerate([(20, 20), (30, 20), (20, 30)]):
            pes.may_write = False
            await put(ctx, dut.host.run, [{}])
            for n_tiles, delay in zip((1, 3), delays):
                while pes.n_ended < 3 * turn + n_tiles:
                    await ctx.tick()
                await ctx.tick().repeat(delay)
                pes.may_write = True
                while pes.n_written < 3 * turn + n_tiles:
                    await ctx.tick()
                pes.may_write = False
            while ctx.get(dut.host.busy):
                await ctx.tick()
            counts.append({name: ctx.get(getattr(dut.host.counters, name))
                           for name in ("cycles", "stall_barrier", "stall_full", "stall_scan")})

    simulate(dut, bench, background=pes.benches())
    assert counts[1] == counts[2] == {
        **counts[0], "cycles": counts[0]["cycles"] + 10,
        "stall_barrier": counts[0]["stall_barrier"] + 10}


@pytest.mark.parametrize("config", [CONFIGS["tiny"],
                                    dataclasses.replace(CONFIGS["tiny"], program_depth=13)],
                         ids=["power of two", "other"])
def test_program_starts_at_the_requested_word_and_may_end_with_the_last(simulate, config):
    depth = config.program_depth
    program = [tile(ptr_base=n, final=int(n == depth - 1)) for n in range(depth)]
    found = [[{"column": 0, "value": 1}]] * depth
    dut = Ccu(config)
    pes = Pes(dut, program, found, [0] * depth)

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await run(ctx, dut, depth - 3)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.host.fault.code) == Error.NONE
        assert [body.pointer for kind, body in pes.messages if kind is Kind.ACTIVATION] == [
            depth - n for n in (3, 2, 1)]

    simulate(dut, bench, background=pes.benches())


LAST = CONFIGS["tiny"].program_depth - 1
N_POINTERS = CONFIGS["tiny"].n_pointers


@pytest.mark.parametrize("address, wrong, offset, error", [
    (1, tile(start={"last_word": 1}), 0, Error.BAD_DESCRIPTOR),
    (0, tile(start={"last_word": 1}), 0, Error.BAD_DESCRIPTOR),
    (1, tile(start={"source": 2, "codebook": 3}), 0, Error.BAD_DESCRIPTOR),
    (1, tile(end={"destination": 63, "last_word": 1}), 0, Error.BAD_DESCRIPTOR),
    (1, tile(end={"destination": 1, "bias": 63, "last_word": 1}), 0, Error.BAD_DESCRIPTOR),
    (1, tile(end={"destination": 1, "bias_shift": 6}), 0, Error.BAD_DESCRIPTOR),
    (1, output(start={"send": 1, "source": 60, "last_word": 4}), 0, Error.BAD_DESCRIPTOR),
    (1, output(start={"send": 1, "last_word": 4}, offset_source=1), 60, Error.BAD_DESCRIPTOR),
    (1, output(start={"send": 1, "source": 63}, offset_source=1), 63, Error.BAD_DESCRIPTOR),
    (1, tile(offset_source=1), 1, Error.BAD_DESCRIPTOR),
    (1, tile(end={"destination": 2}, offset_destination=1), 62, Error.BAD_DESCRIPTOR),
    (1, tile(end={"destination": 63}, offset_destination=1), 63, Error.BAD_DESCRIPTOR),
    (1, tile(start={"source": 8}, end={"destination": 1}, offset_destination=1), 7,
     Error.BAD_DESCRIPTOR),
    (1, tile(barrier=1, valid=0), 0, Error.NO_END),
    (1, {"start": {}, "end": {}}, 0, Error.NO_END),
    (LAST, tile(), 0, Error.NO_END),
    (LAST, output(), 0, Error.NO_END),
    (1, tile(ptr_base=N_POINTERS - 1), 0, Error.BAD_POINTER),
    (1, tile(ptr_base=N_POINTERS - 3, final=1), 0, Error.BAD_POINTER),
])
def test_wrong_descriptor_stops_the_machine(simulate, address, wrong, offset, error):
    """No more than its start, or activations up to the one without pointers, is broadcast.

    Nothing of a vector that it would send goes to the host.
    """
    config = CONFIGS["tiny"]
    good = {"start": {"source": 8}, "end": {"destination": 20}, "valid": 1}
    program = [*[good] * address, wrong]
    elements = [{"column": n, "value": 1} for n in range(3)]
    dut = Ccu(config)
    vector = [{"word": [1, 2, 3, 4], "last_lane": 3}]
    pes = Pes(dut, program, [*[elements] * address, vector if wrong["start"].get("send")
                             else elements], [0] * address)

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await put(ctx, dut.host.run, [{"offset": offset}])
        ctx.set(dut.host.result.ready, 1)
        await ctx.tick().until(dut.host.fault.code)
        for _ in range(30):
            assert ctx.get(dut.host.busy) and not ctx.get(dut.host.done)
            assert not ctx.get(dut.host.result.valid) and not ctx.get(dut.host.run.ready)
            await ctx.tick()
        assert ctx.get(dut.host.fault) == dut.host.fault.shape().const(
            {"code": error, "address": address})
        kinds = [kind for kind, _ in pes.messages]
        n_sent = 0
        if error is Error.BAD_POINTER:    # the pointer after the column must be there, too
            n_sent = config.n_pointers - 1 - wrong["ptr_base"] + 1
        assert kinds[:5 * address] == [Kind.START, *[Kind.ACTIVATION] * 3, Kind.END] * address
        assert kinds[5 * address:] == [Kind.START] + [Kind.ACTIVATION] * n_sent

    simulate(dut, bench, background=pes.benches())


def test_column_may_have_the_last_two_pointers(simulate):
    config = CONFIGS["tiny"]
    program = [tile(ptr_base=config.n_pointers - 4, final=1)]
    dut = Ccu(config)
    pes = Pes(dut, program, [[{"column": n, "value": 1} for n in range(3)]], [0])

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await run(ctx, dut)
        assert ctx.get(dut.host.fault.code) == Error.NONE
        assert pes.messages[3][1].pointer == config.n_pointers - 2

    simulate(dut, bench, background=pes.benches())
