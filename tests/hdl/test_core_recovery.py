"""Core: memory read back, programs that fail, and resets; afterwards all is as it was."""

import dataclasses
import random

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Shape, Signal

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import result_order, scatter
from eie_hdl.config import PRESETS
from eie_hdl.core import Core
from eie_hdl.format import Layouts, Memory
from eie_hdl.numeric import wrap
from eie_hdl.registers import Error
from eie_sim.golden.model import GoldenModel
from support.counting import counting
from support.simulation import Unwatched, get_vector, image_words, input_words, nothing, put

CountingCore = counting(Core, lambda core: core.counted)

TINY = PRESETS["tiny"]

#: A core of one PE has all parts of one of two but a tree.
ONE_PE_IN_FULL = pytest.mark.parametrize("n_pe", [pytest.param(1, marks=pytest.mark.full), 2])


class Host:
    """A core, and what its host does with it to read memory."""

    def __init__(self, config, seed):
        self.config, self.layouts, self.core = config, Layouts.of(config), CountingCore(config)
        self.rng = random.Random(seed)
        self.requests = []

    async def ask(self, ctx):
        """Background bench: a request is taken only with the last piece of its words."""
        while True:
            if self.requests:
                await put(ctx, self.core.read, [self.requests.pop()])
            else:
                await ctx.tick()

    async def read(self, ctx, memory, *, pe=0, address=0, count=None, stall=0.0):
        """Words of a PE, or of activations those of all, one PE after the other in each row."""
        config, image = self.config, self.layouts.memories[memory]
        count = count or image.depth
        width = Shape.cast(image.shape).width
        n_pieces = -(-width // config.act_width)
        self.requests.append({"memory": memory, "pe": pe, "address": address, "count": count})
        received = await get_vector(ctx, self.core.result, stall=stall, rng=self.rng)
        n_words = count * config.n_pe if memory is Memory.ACT else count
        assert len(received) == n_words * n_pieces
        return [self.pack(received[first:first + n_pieces], width)
                for first in range(0, len(received), n_pieces)]

    def pack(self, pieces, width):
        """Join sign-extended pieces to a word; bits above its width are dropped."""
        step = self.config.act_width
        assert pieces == [wrap(piece, step) for piece in pieces]
        return sum(piece % (1 << step) << n * step for n, piece in enumerate(pieces)) \
            % (1 << width)


class Machine(Host):
    """A core, what is loaded into it, and what a program must give."""

    def __init__(self, n_pe, seed, **sizes):
        super().__init__(dataclasses.replace(TINY, n_pe=n_pe, act_depth=24, **sizes), seed)
        rng = np.random.default_rng(seed)
        network = random_network(rng, [7, 15, 3], density=0.4, v_width=TINY.v_width, frac=4)
        self.build = build = compile_network(network, self.config)
        values = rng.integers(1, 100, (1, 7))
        placed = scatter(build.input, values, n_pe)
        [[self.expected]] = GoldenModel(self.config, build.images).run(
            placed, build.input.base_word)
        self.expected = self.expected[result_order(self.config, len(self.expected))].tolist()
        self.words = [*image_words(self.config, build.images),
                      *input_words(self.config, build.input, values[0],
                                   base=build.input.base_word)]
        self.reset = Signal()

    def reset_inserted(self):
        return Unwatched(ResetInserter(self.reset)(self.core))

    async def load(self, ctx):
        await put(ctx, self.core.load, self.words)

    async def infer(self, ctx):
        await put(ctx, self.core.run, [{}])
        assert await get_vector(ctx, self.core.result) == self.expected
        while ctx.get(self.core.busy):
            await ctx.tick()

    async def pulse_reset(self, ctx):
        ctx.set(self.reset, 1)
        await ctx.tick()
        ctx.set(self.reset, 0)
        assert not ctx.get(self.core.busy) and not ctx.get(self.core.result.valid)
        assert ctx.get(self.core.fault.code) == Error.NONE


@pytest.mark.parametrize("n_pe", [1, 4])
def test_every_memory_reads_as_it_was_loaded(simulate, n_pe):
    """Random contents, random ranges; activations are in order of column between other reads."""
    config = dataclasses.replace(TINY, n_pe=n_pe, entries_per_word=16, spmat_depth=9, ptr_depth=3,
                                 act_depth=6, n_codebooks=1, program_depth=3)
    host = Host(config, seed=n_pe)
    core, layouts, rng = host.core, host.layouts, host.rng
    contents = {(memory, pe): [rng.getrandbits(Shape.cast(image.shape).width)
                               for _ in range(image.depth)]
                for memory, image in layouts.memories.items()
                for pe in range(1 if memory is Memory.PROGRAM else n_pe)}
    words = [{"memory": memory, "pe": pe, "address": address, "data": data}
             for (memory, pe), rows in contents.items() for address, data in enumerate(rows)]
    rng.shuffle(words)
    activations = [contents[Memory.ACT, pe][row] for row in range(config.act_depth)
                   for pe in range(n_pe)]

    async def bench(ctx):
        await put(ctx, core.load, words)
        for memory, pe in contents:
            if pe != n_pe - 1 and memory is not Memory.PROGRAM:
                continue
            depth = layouts.memories[memory].depth
            first = rng.randrange(config.act_depth)
            for address, count in [(0, depth), (rng.randrange(depth), 1)]:
                if memory is not Memory.ACT:
                    assert await host.read(ctx, memory, pe=pe, address=address, count=count,
                                              stall=0.3) \
                        == contents[memory, pe][address:address + count]
            assert await host.read(ctx, Memory.ACT, address=first, count=1, stall=0.3) \
                == activations[first * n_pe:(first + 1) * n_pe]
        assert await host.read(ctx, Memory.ACT) == activations
        await nothing(ctx, core.result)
        assert not ctx.get(core.busy)

    simulate(core, bench, background=[host.ask])


@pytest.mark.parametrize("readback", [True, False])
def test_program_runs_and_counts_as_if_nothing_had_been_read(simulate, readback):
    machine = Machine(2, seed=3, readback=readback)
    core = machine.core
    n_done = 0

    def state(ctx):
        return [ctx.get(value) for value in core.sums.values()] + [
            ctx.get(core.overflow), ctx.get(core.overflow_tile)]

    async def bench(ctx):
        await machine.load(ctx)
        await machine.infer(ctx)
        before = state(ctx)
        assert before[0] > 0
        for memory in Memory if readback else [Memory.ACT]:
            if memory is not Memory.INPUT:
                await machine.read(ctx, memory, pe=1, count=2)
                assert state(ctx) == before
                await machine.infer(ctx)
                assert state(ctx) == before

    async def observer(ctx):
        nonlocal n_done
        async for *_, done in ctx.tick().sample(core.done):
            n_done += done

    simulate(core, bench, background=[observer, machine.ask])
    assert n_done == (6 if readback else 2)


#: Descriptors that follow the program, displacement of the input, and the error.
WRONG = [
    ({"start": {"source": 23, "last_word": 1}, "end": {}}, 0, Error.BAD_DESCRIPTOR),
    ({"start": {"source": 20, "send": 1}, "end": {}, "offset_source": 1}, 4, Error.BAD_DESCRIPTOR),
    ({"start": {"last_word": 1}, "end": {"destination": 1}}, 0, Error.BAD_DESCRIPTOR),
    ({"start": {}, "end": {"destination": 22, "last_word": 3}}, 0, Error.BAD_DESCRIPTOR),
    ({"start": {}, "end": {"destination": 1, "bias": 22, "last_word": 3}}, 0,
     Error.BAD_DESCRIPTOR),
    ({"start": {}, "end": {}, "valid": 0}, 0, Error.NO_END),
    # It is the last one, as the next one is checked before the pointers have been read.
    ({"start": {"last_word": 19}, "end": {"destination": 20}, "ptr_base": TINY.n_pointers - 1,
      "final": 1}, 0, Error.BAD_POINTER),
]


@ONE_PE_IN_FULL
def test_failed_program_writes_nothing_and_the_next_one_succeeds(simulate, n_pe):
    """Each wrong descriptor in turn; only a reset gets the machine out of it."""
    machine = Machine(n_pe, seed=5)
    core, layout = machine.core, machine.layouts.descriptor
    first = len(machine.build.images["ccu.program"])
    assert machine.config.act_depth == 24

    async def bench(ctx):
        await machine.load(ctx)
        await put(ctx, core.load, (
            {"memory": Memory.PROGRAM, "address": first + n,
             "data": layout.const({"valid": 1, **fields}).as_value().value}
            for n, (fields, _, _) in enumerate(WRONG)))
        await machine.infer(ctx)
        before = await machine.read(ctx, Memory.ACT)
        for n, (_, offset, error) in enumerate(WRONG):
            await put(ctx, core.run, [{"descriptor": first + n, "offset": offset}])
            await ctx.tick().until(core.fault.code)
            assert (ctx.get(core.fault.code), ctx.get(core.fault.address)) == (error, first + n)
            await nothing(ctx, core.result, cycles=60)
            assert ctx.get(core.busy)
            await machine.pulse_reset(ctx)
            assert await machine.read(ctx, Memory.ACT) == before
            await machine.infer(ctx)

    simulate(machine.reset_inserted(), bench, background=[machine.ask])


def test_tiles_before_a_wrong_descriptor_are_not_harmed_by_a_program_that_runs_on(simulate):
    """The program has lost its end: the next word is no descriptor."""
    machine = Machine(2, seed=7)
    core = machine.core
    words = machine.build.images["ccu.program"]
    n_steps = len(words)
    last = machine.words[n_steps - 1]
    assert last["memory"] is Memory.PROGRAM and last["address"] == n_steps - 1
    final = machine.layouts.descriptor["final"].offset

    async def bench(ctx):
        await machine.load(ctx)
        await put(ctx, core.load, [{**last, "data": last["data"] & ~(1 << final)}])
        await put(ctx, core.run, [{}])
        assert await get_vector(ctx, core.result) == machine.expected
        await ctx.tick().until(core.fault.code)
        assert (ctx.get(core.fault.code), ctx.get(core.fault.address)) == (Error.NO_END, n_steps)
        await machine.pulse_reset(ctx)
        await put(ctx, core.load, [last])
        await machine.infer(ctx)

    simulate(machine.reset_inserted(), bench, background=[machine.ask])


@ONE_PE_IN_FULL
def test_reset_in_any_cycle_keeps_the_memories_and_a_working_machine(simulate, n_pe):
    """Traffic of a program, with a fast or a slow host, or of a read."""
    machine = Machine(n_pe, seed=11)
    core, rng = machine.core, machine.rng

    async def bench(ctx):
        await machine.load(ctx)
        await machine.infer(ctx)
        n_cycles = ctx.get(core.sums["cycles"])
        for _ in range(12):
            if rng.random() < 0.2:
                machine.requests.append({"memory": Memory.ACT, "count": 20})
            else:
                await put(ctx, core.run, [{}])
            ready = rng.random()
            for _ in range(rng.randint(3, n_cycles)):
                ctx.set(core.result.ready, rng.random() < ready)
                await ctx.tick()
            ctx.set(core.result.ready, 0)
            await machine.pulse_reset(ctx)
            if rng.random() < 0.5:    # not always: a reset may also follow another one
                await machine.infer(ctx)
        await machine.infer(ctx)
        for memory, pe in [(Memory.SPMAT, n_pe - 1), (Memory.PTR, 0), (Memory.CODEBOOK, n_pe - 1),
                           (Memory.PROGRAM, 0)]:
            loaded = {word["address"]: word["data"] for word in machine.words
                      if (word["memory"], word["pe"]) == (memory, pe)}
            assert await machine.read(ctx, memory, pe=pe, count=len(loaded)) == [
                loaded[address] for address in range(len(loaded))]

    simulate(machine.reset_inserted(), bench, background=[machine.ask])
