"""Ccu running programs, with a script in place of the tree and the PEs."""

import collections
import dataclasses
import random
import types

import pytest
from amaranth.hdl import Shape

from eie_hdl.ccu.ccu import Ccu
from eie_hdl.config import ACTS_PER_WORD, FILLING_LIMIT, PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts, Memory, any_unwritten
from eie_hdl.registers import Error
from eie_hdl.tree.tree import EVENTS
from support.counting import counting
from support.short import each_once
from support.simulation import STALLS, get, nothing, put

CountingCcu = counting(Ccu, lambda ccu: ccu.host.counted)

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "smallest": EIEConfig(n_pe=1, n_codebooks=1, acc_depth=4, act_depth=2, ptr_depth=2,
                          program_depth=2),
}
#: The same in all of them.
MAX_TILES = CONFIGS["default"].max_tiles
ANY_UNWRITTEN = any_unwritten(CONFIGS["default"])
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


def messages(config, run):
    """Expected messages of the tiles of a run, without their starts."""
    layouts = Layouts.of(config)
    for descriptor, elements in zip(run.program, run.found):
        if not descriptor["start"]["send"]:
            for element in elements:
                yield Kind.ACTIVATION, layouts.activation.const({
                    "pointer": descriptor["ptr_base"] + element["column"],
                    "value": wrapped(element["value"], config)})
            end = descriptor["end"]
            yield Kind.END, layouts.end.const({
                **end, "destination": end["destination"]
                + run.offset * descriptor["offset_destination"]})


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


@dataclasses.dataclass
class Run:
    """A program that is run: its descriptors, and what has been seen of it.

    `found` are the tokens that follow each start, of the scanners or of a vector; `overflows` the
    token of each tile.
    """
    program: list
    found: list
    overflows: list
    offset: int = 0
    messages: list = dataclasses.field(default_factory=list)    # of its tiles, without starts
    n_started: int = 0    # descriptors
    n_tiles_started: int = 0
    n_tiles_ended: int = 0
    n_written: int = 0

    def is_next(self, start):
        """True if a start is that of the next descriptor."""
        if self.n_started == len(self.program):
            return False
        descriptor = self.program[self.n_started]
        expected = descriptor["start"]
        source = expected.get("source", 0) + self.offset * descriptor.get("offset_source", 0)
        return start.source == source and all(
            getattr(start, name) == expected.get(name, 0)
            for name in ("codebook", "last_word", "send", "last_lane", "last_pe"))


class Tile:
    """A tile that has been started."""

    def __init__(self, run, start):
        number = run.n_started
        self.run, self.unwritten = run, start.unwritten
        self.descriptor, self.found = run.program[number], run.found[number]
        self.is_new = True    # nothing has been found


class Pes:
    """Script of the other end of the link, and what it has seen, for the given runs in order."""

    def __init__(self, dut, runs, *, n_pe=4, stalls=(0, 0), full=0.0, seed=1):
        self.dut, self.runs = dut, list(runs)
        self.n_pe = n_pe
        self.input_stall, self.full = stalls[0], full
        self.seed = seed
        self.loads = []
        self.n_runs, self.in_flight = 0, {}    # by buffer
        self.tiles, self.n_begun, self.n_ended, self.n_written = [], 0, 0, 0
        self.vectors = collections.deque()
        self.counts, self.recent = {}, collections.deque([0], EIEConfig(n_pe=n_pe).n_in_flight)
        self.may_write = True

    def benches(self):
        return [self.listen, self.write, self.fill_queues, self.scan, self.send]

    async def scan(self, ctx):
        """Offer the tokens of each tile, after enough tiles before it have been written."""
        rng = random.Random(self.seed)
        while True:
            while self.n_begun == len(self.tiles) or not self.may_begin(self.n_begun):
                await ctx.tick()
            self.n_begun += 1
            await put(ctx, self.dut.link.scan, [*self.tiles[self.n_begun - 1].found, END],
                      stall=self.input_stall, rng=rng)

    def may_begin(self, number):
        return number - self.n_written <= self.tiles[number].unwritten

    async def send(self, ctx):
        rng = random.Random(self.seed + 3)
        while True:
            while not self.vectors or self.n_written < self.vectors[0][0]:
                await ctx.tick()
            await put(ctx, self.dut.link.result, [*self.vectors.popleft()[1], END],
                      stall=self.input_stall, rng=rng)

    async def write(self, ctx):
        rng = random.Random(self.seed + 1)
        while True:
            while self.n_written == self.n_ended or not self.may_write:
                await ctx.tick()
            run = self.tiles[self.n_written].run
            await put(ctx, self.dut.link.written, [run.overflows[run.n_written]],
                      stall=self.input_stall and 0.9, rng=rng)
            run.n_written += 1
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
        """Log messages, check them against the rules, and count the cycles."""
        link, host = self.dut.link, self.dut.host
        signals = {
            "busy": host.busy, "running": host.running, "filling": link.filling, "full": link.full,
            "events": link.events, "given": link.message.valid, "message": link.message.payload,
            "loading": link.load.valid, "load": link.load.payload, "found": link.scan.valid,
            "taken": link.scan.ready, "element": link.scan.payload,
            "refused": host.result_blocked, "sending": host.sending, "written": link.written.valid,
            "run": host.run.valid & host.run.ready, "buffer": host.run.p.buffer,
            "sent": host.result.valid & host.result.ready & host.result.p.end,
            "done": host.done, "oldest": host.oldest, "watched": host.watched}
        was_stopped = was_loading = sending = False
        n_current = n_written = 0    # tiles broadcast; written, as the CCU knows
        async for _, _, *values in ctx.tick().sample(*signals.values()):
            now = types.SimpleNamespace(**dict(zip(signals, values)))
            if now.loading:
                assert not (self.n_pe == 1 and was_loading), "A word has no time to be written"
                self.loads.append(now.load)
            was_loading = now.loading and now.busy
            starts_vector = False
            if now.given:
                assert not was_stopped, "The queues are full"
                starts_vector = self.take(now)
            assert now.sending == (sending or starts_vector)
            sending = now.sending and not now.sent
            self.recent.append(now.given)
            stopped = now.full or (now.filling and sum(self.recent) > FILLING_LIMIT)
            tile = self.tiles[n_current] if n_current < len(self.tiles) else None
            n_unwritten = len(self.tiles) - n_written
            self.count(now, self.events(now, tile, stopped, n_unwritten))
            if tile:
                tile.is_new = tile.is_new and not now.found
            n_current += now.found and now.taken and now.element.end
            n_written += now.written
            was_stopped = stopped
            if now.done:
                del self.in_flight[now.oldest]
            if now.run:
                self.in_flight[now.buffer] = self.runs[self.n_runs]
                self.n_runs += 1

    def take(self, now):
        """Log a message of a program in flight; return True if it starts a vector."""
        kind, body = seen(now.message)
        if kind is Kind.START:
            assert body.watched == now.watched
            [run] = [run for run in self.in_flight.values() if run.is_next(body)]
            return self.take_start(run, body, oldest=next(iter(self.in_flight.values())))
        tile = self.tiles[self.n_ended]
        tile.run.messages.append((kind, body))
        if kind is Kind.END:
            assert not (tile.descriptor.get("result_barrier") and now.sending)
            self.n_ended += 1
            tile.run.n_tiles_ended += 1
        return False

    def take_start(self, run, start, oldest):
        """Check the start of a descriptor."""
        descriptor, found = run.program[run.n_started], run.found[run.n_started]
        since = next((number for number, tile in enumerate(reversed(self.tiles))
                      if tile.run is run), 0)
        assert not descriptor.get("alone") or run is oldest
        if start.send:
            assert run is oldest, "A younger program sends nothing"
            assert not (descriptor.get("barrier") and run.n_tiles_ended < run.n_tiles_started)
            self.vectors.append((len(self.tiles) - start.unwritten, found))
        if descriptor.get("barrier") and run.n_tiles_started:
            assert start.unwritten == min(since, ANY_UNWRITTEN)
        assert descriptor.get("barrier") or start.unwritten == ANY_UNWRITTEN
        if not start.send:
            assert not self.tiles or self.may_begin(len(self.tiles) - 1), "There is no room"
            assert len(self.tiles) - self.n_written < MAX_TILES + 1
            assert len(self.tiles) - self.n_ended < 2, "Two ends are overtaken"
            self.tiles.append(Tile(run, start))
            run.n_tiles_started += 1
        run.n_started += 1
        return bool(start.send)

    def events(self, now, tile, stopped, n_unwritten):
        """Events of this cycle that are counted."""
        is_activation = bool(tile) and now.found and not now.element.end
        for_tiles = (bool(tile) and tile.is_new and not now.found
                     and bool(tile.descriptor.get("barrier")))
        n_pe, runs = self.n_pe, now.running != 0
        return {
            "cycles": runs, "broadcasts": is_activation and now.taken,
            "ptr_reads": n_pe * (is_activation and now.taken),
            "phase_compute": is_activation or (bool(tile) and not now.found and not for_tiles),
            "stall_barrier": for_tiles or (runs and not tile and n_unwritten > 0),
            "stall_full": is_activation and stopped,
            "stall_scan": bool(tile) and not now.found and not for_tiles,
            "stall_result": runs and now.refused,
            **{name: now.events[name] for name in EVENTS}}

    def count(self, now, events):
        """Count events since a program started while none was in flight."""
        cleared = now.run and not now.running
        self.counts = {name: 0 if cleared else self.counts.get(name, 0) + event
                       for name, event in events.items()}


async def run(ctx, dut, first=0, offset=0):
    await put(ctx, dut.host.run, [{"descriptor": first, "offset": offset}])
    assert ctx.get(dut.host.busy)
    while ctx.get(dut.host.busy):
        await ctx.tick()
    await ctx.tick()    # for the benches in the background to have seen all


def counters(ctx, dut):
    return {name: ctx.get(value) for name, value in dut.sums.items()}


def random_activations(rng, config, count):
    """Words for the activation SRAMs."""
    return [{"memory": Memory.ACT, "address": rng.randrange(config.act_depth),
             "data": rng.getrandbits(4 * config.act_width), "pe": rng.randrange(config.n_pe),
             "everyone": rng.randrange(2)} for _ in range(count)]


@pytest.mark.parametrize("config, stalls", each_once(CONFIGS, STALLS))
def test_program_runs_as_the_model_does(simulate, config, stalls):
    """Messages and results in order, barriers kept, everything counted, all tiles written.

    A program may begin while the vector of the one before is being sent.

    It runs three times, the last with queues that fill half of the time, and with words for the
    activation SRAMs in between. An accumulator overflows late in the first run and early in the
    last.
    """
    layouts = Layouts.of(config)
    rng = random.Random(29)
    offset = rng.randrange(config.act_depth)
    program, found = random_program(rng, config, min(9, config.program_depth), offset)
    n_tiles = sum(not descriptor["start"]["send"] for descriptor in program)
    tokens = [[int(tile in tiles) for tile in range(n_tiles)] for tiles in (
        {n_tiles - 1, n_tiles - 2}, {}, {0, n_tiles - 1})]
    runs = [Run(program, found, tokens[turn], offset) for turn in range(3)]
    loads = random_activations(rng, config, 12)
    expected = results(config, program, found)
    dut = CountingCcu(config)
    pes = Pes(dut, runs, n_pe=config.n_pe, stalls=stalls)
    last_run = False

    async def host(ctx):
        nonlocal last_run
        ctx.set(dut.host.watched, rng.randrange(config.n_pe))
        await put(ctx, dut.host.load, words(config, program), stall=stalls.input)
        for turn in range(3):
            last_run = turn == 2
            pes.full = 0.5 * last_run
            await run(ctx, dut, offset=offset)
            assert runs[turn].messages == list(messages(config, runs[turn]))
            assert runs[turn].n_written == n_tiles and runs[turn].n_started == len(program)
            assert ctx.get(dut.host.overflow) == any(tokens[turn])
            if any(tokens[turn]):
                assert ctx.get(dut.host.overflow_tile) == tokens[turn].index(1)
            check_counters(ctx, dut, pes)
        await ctx.tick().repeat(30)
        assert pes.loads == [layouts.pe_load.const(load) for load in loads]

    async def loader(ctx):
        while not last_run:
            await ctx.tick()
        await put(ctx, dut.host.load, loads, stall=0.5, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.host.result, 3 * len(expected), stall=stalls.output)
        assert list(map(seen_result, received)) == expected * 3
        await nothing(ctx, dut.host.result)

    simulate(dut, host, loader, consumer, background=pes.benches())


def check_counters(ctx, dut, pes):
    counts = counters(ctx, dut)
    assert pes.counts == {name: counts[name] for name in pes.counts}
    assert counts["cycles"] == sum(counts[name] for name in (
        "phase_control", "phase_compute", "phase_output", "stall_barrier"))
    assert counts["macs"] > 0


@pytest.mark.parametrize("seed, stalls", each_once(range(3), STALLS))
def test_programs_in_flight_run_as_the_model_does(simulate, seed, stalls):
    """Of different lengths and first descriptors, one for each buffer, some of them `alone`.

    They end in the order of their starts, and their results are sent in this order. Each has its
    own overflows.
    """
    config, rng = CONFIGS["tiny"], random.Random(seed)
    offset = rng.randrange(1, 40)
    programs = [random_program(rng, config, count, buffer * offset)
                for buffer, count in enumerate((rng.randint(2, 6), rng.randint(4, 9)))]
    programs[seed % 2][0][0]["alone"] = seed == 2
    first = [0, len(programs[0][0])]
    order = [rng.randrange(2) for _ in range(10)]
    runs = []
    for buffer in order:
        program, found = programs[buffer]
        tokens = [int(rng.random() < 0.2) for each in program if not each["start"]["send"]]
        runs.append(Run(program, found, tokens, buffer * offset))
    dut = CountingCcu(config)
    pes = Pes(dut, runs, n_pe=config.n_pe, stalls=stalls, full=0.2)
    n_done, n_both = 0, 0

    async def host(ctx):
        await put(ctx, dut.host.load, words(config, [*programs[0][0], *programs[1][0]]))
        for buffer in order:
            await put(ctx, dut.host.run, [{"descriptor": first[buffer], "buffer": buffer,
                                           "offset": buffer * offset}])
        while ctx.get(dut.host.busy):
            await ctx.tick()
        await ctx.tick().repeat(2)
        for each in runs:
            assert each.messages == list(messages(config, each))
        check_counters(ctx, dut, pes)

    async def consumer(ctx):
        expected = sum((results(config, each.program, each.found) for each in runs), [])
        received = await get(ctx, dut.host.result, len(expected), stall=stalls.output)
        assert list(map(seen_result, received)) == expected
        await nothing(ctx, dut.host.result)

    async def watch(ctx):
        nonlocal n_done, n_both
        was_done = False
        async for *_, done, running, oldest, overflow, number in ctx.tick().sample(
                dut.host.done, dut.host.running, dut.host.oldest, dut.host.overflow,
                dut.host.overflow_tile):
            if was_done:
                tokens = runs[n_done - 1].overflows
                assert overflow == any(tokens)
                assert not overflow or number == tokens.index(1)
            assert not done or oldest == order[n_done]
            was_done = done
            n_done += done
            n_both += running == 3

    simulate(dut, host, consumer, background=[*pes.benches(), watch], deadline=20_000)
    assert n_done == len(order) and n_both > 50


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
    dut = CountingCcu(config)

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await put(ctx, dut.host.run, [{}])
        await ctx.tick().until(dut.link.message.valid)
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
    program = [tile(barrier=int(n == 0), final=int(n == MAX_TILES - 1))
               for n in range(MAX_TILES)]
    dut = CountingCcu(config)
    pes = Pes(dut, [Run(program, [[]] * MAX_TILES, [0] * MAX_TILES)])
    pes.may_write = False

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await put(ctx, dut.host.run, [{}])
        while pes.n_ended < MAX_TILES:
            await ctx.tick()
        await ctx.tick().repeat(20)
        assert ctx.get(dut.host.busy)
        pes.may_write = True
        while ctx.get(dut.host.busy):
            await ctx.tick()
        assert pes.n_written == MAX_TILES

    simulate(dut, bench, background=pes.benches())


def test_waiting_at_barriers_and_at_the_end_is_counted(simulate):
    """Ten more cycles of waiting lengthen the program by ten cycles and change no other counter."""
    config = PRESETS["tiny"]
    program = [tile(), tile(barrier=1), tile(final=1)]
    dut = CountingCcu(config)
    pes = Pes(dut, [Run(program, [[]] * 3, [0] * 3) for _ in range(3)])
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
            counts.append({name: ctx.get(dut.sums[name])
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
    dut = CountingCcu(config)
    pes = Pes(dut, [Run(program[-3:], found[-3:], [0] * 3)])

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await run(ctx, dut, depth - 3)
        await ctx.tick().repeat(20)
        assert ctx.get(dut.host.fault.code) == Error.NONE
        assert [body.pointer for kind, body in pes.runs[0].messages if kind is Kind.ACTIVATION] == [
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
    """Its start is not broadcast, or activations only up to the one without pointers.

    Nothing of a vector that it would send goes to the host.
    """
    config = CONFIGS["tiny"]
    good = {"start": {"source": 8}, "end": {"destination": 20}, "valid": 1}
    program = [*[good] * address, wrong]
    elements = [{"column": n, "value": 1} for n in range(3)]
    dut = CountingCcu(config)
    vector = [{"word": [1, 2, 3, 4], "last_lane": 3}]
    found = [*[elements] * address, vector if wrong["start"].get("send") else elements]
    pes = Pes(dut, [Run(program, found, [0] * address, offset)])

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
        kinds = [kind for kind, _ in pes.runs[0].messages]
        expected = [*[Kind.ACTIVATION] * 3, Kind.END] * address
        if error is Error.BAD_POINTER:    # the pointer after the column must be there, too
            expected += [Kind.ACTIVATION] * (config.n_pointers - 1 - wrong["ptr_base"] + 1)
            assert kinds == expected and pes.runs[0].n_started == address + 1
        else:
            assert kinds == expected[:len(kinds)] and pes.runs[0].n_started <= address

    simulate(dut, bench, background=pes.benches())


def test_column_may_have_the_last_two_pointers(simulate):
    config = CONFIGS["tiny"]
    program = [tile(ptr_base=config.n_pointers - 4, final=1)]
    dut = CountingCcu(config)
    pes = Pes(dut, [Run(program, [[{"column": n, "value": 1} for n in range(3)]], [0])])

    async def bench(ctx):
        await put(ctx, dut.host.load, words(config, program))
        await run(ctx, dut)
        assert ctx.get(dut.host.fault.code) == Error.NONE
        assert pes.runs[0].messages[2][1].pointer == config.n_pointers - 2

    simulate(dut, bench, background=pes.benches())
