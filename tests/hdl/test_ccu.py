"""Ccu running programs, with a script in place of the tree and the PEs."""

import random

import pytest

from eie_hdl.ccu import Ccu
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts, Memory, pack
from eie_hdl.tree import EVENTS
from eie_sim.testing import get, nothing, put
from eie_sim.vectors import packet

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "smallest": EIEConfig(n_pe=1, n_codebooks=1, acc_depth=4, act_depth=2, ptr_depth=2,
                          program_depth=2),
}
END = {"end": 1}


def random_fields(rng, layout):
    return {name: random_fields(rng, field.shape) if hasattr(field.shape, "members")
            else rng.getrandbits(field.width) for name, field in layout}


def random_program(rng, config, count):
    """Descriptors, and what the scanners find for each; only the last one is final."""
    layouts = Layouts(config)
    program, found = [], []
    for number in range(count):
        descriptor = random_fields(rng, layouts.descriptor)
        descriptor["start"]["dense"] = dense = int(rng.random() < 0.3)
        descriptor["final"] = int(number == count - 1)
        program.append(descriptor)
        # A vector that is sent to the host has elements.
        length = rng.randint(1, 12) if dense else rng.choice([0, 1, 9])
        found.append([{**random_fields(rng, layouts.scan), "end": 0} for _ in range(length)])
    return program, found


def beats(config, program, address=0):
    def stack(items):
        return {name: stack([item[name] for item in items]) if isinstance(value, dict)
                else [item[name] for item in items] for name, value in items[0].items()}

    words = pack(Layouts(config).descriptor, stack(program))
    return packet(config, Memory.PROGRAM, words, address=address, pe=0).tolist()


def messages(config, program, found):
    """What must be broadcast."""
    layouts = Layouts(config)
    for descriptor, elements in zip(program, found):
        yield Kind.START, layouts.start.const(descriptor["start"])
        if not descriptor["start"]["dense"]:
            for element in elements:
                pointer = (descriptor["ptr_base"] + element["column"]) % (2 * config.ptr_depth)
                yield Kind.ACTIVATION, layouts.activation.const({
                    "pointer": pointer, "value": wrapped(element["value"], config)})
            yield Kind.END, layouts.end.const(descriptor["end"])


def wrapped(value, config):
    return value - ((value >> config.act_width - 1) << config.act_width)


def results(config, program, found):
    return [(element["column"], wrapped(element["value"], config), n == len(elements) - 1)
            for descriptor, elements in zip(program, found) if descriptor["start"]["dense"]
            for n, element in enumerate(elements)]


def seen(message):
    return message.kind, message.body[message.kind.name.lower()]


class Pes:
    """Script of the other end of the link, and what it has seen.

    `found` is what the scanners find after each start, `overflows` the token of each tile.
    """
    def __init__(self, dut, program, found, overflows, *, stalls=(0, 0), full=0.0, seed=1):
        self.dut, self.program, self.found, self.overflows = dut, program, found, overflows
        self.input_stall, self.full = stalls[0], full
        self.seed = seed
        self.messages, self.n_started, self.n_ended, self.n_written = [], 0, 0, 0
        self.counts = {}
        self.may_write = True

    def benches(self):
        return [self.listen, self.scan, self.write, self.fill_queues]

    async def scan(self, ctx):
        rng, n_scanned = random.Random(self.seed), 0
        while True:
            while n_scanned == self.n_started:
                await ctx.tick()
            await put(ctx, self.dut.link.scan, [*self.found[n_scanned], END],
                      stall=self.input_stall, rng=rng)
            n_scanned += 1

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
            ctx.set(self.dut.link.full, rng.random() < self.full)
            busy = ctx.get(self.dut.host.busy)
            ctx.set(self.dut.link.events, {name: busy and rng.randrange(2) for name in EVENTS})
            await ctx.tick()

    async def listen(self, ctx):
        """Note messages, hold them against the rules, and count."""
        link, host = self.dut.link, self.dut.host
        is_open = was_full = False
        watched = [host.busy, link.full, link.events, link.message.valid, link.message.payload,
                   link.scan.valid, link.scan.ready, link.scan.payload,
                   host.run.valid & host.run.ready]
        async for _, _, busy, full, events, given, message, found, taken, element, run in \
                ctx.tick().sample(*watched):
            if given:
                kind, body = seen(message)
                self.messages.append((kind, body))
                assert not was_full or kind is Kind.LOAD, "The queues are full"
                if kind is Kind.START:
                    is_open = not body.dense
                    if self.program[self.n_started]["barrier"]:
                        assert self.n_written == self.n_ended, "A tile is not yet written"
                    self.n_started += 1
                self.n_ended += kind is Kind.END
            is_activation = is_open and found and not element.end
            step = {"cycles": busy, "broadcasts": is_activation and not full,
                    "stall_full": is_activation and full, "stall_scan": is_open and not found,
                    **{name: events[name] for name in EVENTS}}
            self.counts = {name: 0 if run else self.counts.get(name, 0) + step[name]
                           for name in step}
            is_open = is_open and not (found and taken and element.end)
            was_full = full


async def run(ctx, dut, first=0):
    await put(ctx, dut.host.run, [first])
    assert ctx.get(dut.host.busy)
    while ctx.get(dut.host.busy):
        await ctx.tick()
    await ctx.tick()    # for the benches in the background to have seen all


@pytest.mark.parametrize("name", CONFIGS)
def test_program_runs_as_the_model_does(simulate, stalls, name):
    """Messages and results in order, barriers kept, everything counted, all tiles written.

    It runs three times, the last with queues that are full half of the time. An accumulator
    overflows late in the first run and early in the last.
    """
    config = CONFIGS[name]
    rng = random.Random(29)
    program, found = random_program(rng, config, min(9, config.program_depth))
    n_tiles = sum(not descriptor["start"]["dense"] for descriptor in program)
    tokens = [[int(tile in tiles) for tile in range(n_tiles)] for tiles in (
        {n_tiles - 1, n_tiles - 2}, {}, {0, n_tiles - 1})]
    expected = results(config, program, found)
    dut = Ccu(config)
    pes = Pes(dut, program * 3, found * 3, sum(tokens, []), stalls=stalls)

    async def host(ctx):
        await put(ctx, dut.host.load, beats(config, program), stall=stalls.input)
        for turn in range(3):
            pes.messages.clear()
            pes.full = 0.5 * (turn == 2)
            await run(ctx, dut)
            assert pes.messages == list(messages(config, program, found))
            assert pes.n_written == pes.n_ended == (turn + 1) * n_tiles
            assert ctx.get(dut.host.overflow) == any(tokens[turn])
            if any(tokens[turn]):
                assert ctx.get(dut.host.overflow_tile) == tokens[turn].index(1)
            assert pes.counts == {name: ctx.get(getattr(dut.host.counters, name))
                                  for name in pes.counts}
            assert pes.counts["macs"] > 0

    async def consumer(ctx):
        received = await get(ctx, dut.host.result, 3 * len(expected), stall=stalls.output)
        assert [(got.column, got.value, bool(got.last)) for got in received] == expected * 3
        await nothing(ctx, dut.host.result)

    simulate(dut, host, consumer, background=pes.benches())


def tile(**fields):
    return {"start": {"source": 0, "last_word": 0, "codebook": 0, "dense": 0},
            "end": {"destination": 0, "bias": 0, "last_word": 0, "shift": 0, "bias_shift": 0,
                    "relu": 0}, "ptr_base": 0, "barrier": 0, "final": 0, **fields}


def test_activation_is_broadcast_in_every_cycle_one_behind_the_scanner(simulate):
    config = PRESETS["tiny"]
    program = [tile(final=1)]
    elements = [{"column": n, "value": n + 1} for n in range(10)]
    dut = Ccu(config)

    async def bench(ctx):
        await put(ctx, dut.host.load, beats(config, program))
        await put(ctx, dut.host.run, [0])
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
        await put(ctx, dut.host.load, beats(config, program))
        await put(ctx, dut.host.run, [0])
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
    """Ten cycles more of it are ten cycles more in all, and nothing else changes."""
    config = PRESETS["tiny"]
    program = [tile(), tile(barrier=1), tile(final=1)]
    dut = Ccu(config)
    pes = Pes(dut, program * 3, [[]] * 9, [0] * 9)
    counts = []

    async def bench(ctx):
        await put(ctx, dut.host.load, beats(config, program))
        for turn, delays in enumerate([(20, 20), (30, 20), (20, 30)]):
            pes.may_write = False
            await put(ctx, dut.host.run, [0])
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


def test_program_starts_where_it_is_told_and_ends_with_the_last_descriptor_of_the_memory(simulate):
    """Which need not be final."""
    config = PRESETS["tiny"]
    program = [tile(ptr_base=n) for n in range(config.program_depth)]
    found = [[{"column": 0, "value": 1}]] * config.program_depth
    dut = Ccu(config)
    pes = Pes(dut, program, found, [0] * config.program_depth)

    async def bench(ctx):
        await put(ctx, dut.host.load, beats(config, program))
        await run(ctx, dut, config.program_depth - 3)
        await ctx.tick().repeat(20)
        assert [body.pointer for kind, body in pes.messages if kind is Kind.ACTIVATION] == [
            config.program_depth - n for n in (3, 2, 1)]

    simulate(dut, bench, background=pes.benches())
