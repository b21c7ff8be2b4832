"""Starter and `eie_hdl.ccu.start_order`: starts of two programs, with scripts in place of PEs."""

import pytest

from eie_hdl.ccu.starter import Starter
from eie_hdl.config import PRESETS
from eie_hdl.format import Layouts, Memory, any_unwritten
from eie_hdl.registers import Error
from support.simulation import Unwatched, put

CONFIG = PRESETS["tiny"]
LAYOUTS = Layouts.of(CONFIG)
ANY_UNWRITTEN = any_unwritten(CONFIG)
#: First descriptor of the program of each buffer.
FIRST = (0, 8)


def tile(**fields):
    return {"end": {"destination": 9}, "valid": 1, **fields}


def send(**fields):
    return {"start": {"send": 1}, "valid": 1, **fields}


class Script:
    """Background benches: program memory, and unwritten tiles, of which the oldest are written.

    Each start is logged: ``(program, unwritten)`` of a tile, ``"send"`` of a vector, for which
    `allowed` lists the tiles that may be unwritten. A start must find room in the PEs: at most one
    tile more may be unwritten than the one before waits for.
    """
    def __init__(self, dut, *programs):
        self.dut, self.starts, self.order, self.allowed = dut, [], [], []
        self.limit = ANY_UNWRITTEN    # of the last tile
        self.words = {FIRST[number] + n: LAYOUTS.descriptor.const(descriptor).as_value().value
                      for number, program in enumerate(programs)
                      for n, descriptor in enumerate(program)}
        self.benches = [self.serve, self.log]

    async def serve(self, ctx):
        while True:
            *_, en, addr = await ctx.tick().sample(self.dut.program.en, self.dut.program.addr)
            if en:
                ctx.set(self.dut.program.data, self.words.get(addr, 0))

    async def log(self, ctx):
        dut = self.dut
        ctx.set(dut.tile_started.ready, 1)
        n_tiles = 0
        async for *_, given, start, tile_starts, program, handed, tile in ctx.tick().sample(
                dut.o.valid & dut.o.ready, dut.o.payload, dut.tile_started.valid,
                dut.tile_started.payload, dut.tile.valid & dut.tile.ready, dut.tile.payload):
            assert tile_starts == (given and not start.send)
            if given:
                self.starts.append("send" if start.send else (program, start.unwritten))
                self.allowed.extend([start.unwritten] * start.send)
            if tile_starts:
                assert len(self.order) <= self.limit + 1
                self.limit = start.unwritten
                self.order.append(program)
                self.show(ctx)
            if handed:
                tiles = [start for start in self.starts if start != "send"]
                assert tile.program == tiles[n_tiles][0]
                n_tiles += 1

    def show(self, ctx):
        ctx.set(self.dut.unwritten, sum({1 << program for program in self.order}))
        ctx.set(self.dut.n_unwritten, len(self.order))
        ctx.set(self.dut.tile_started.ready, len(self.order) < CONFIG.max_tiles)

    async def write(self, ctx, count=1):
        """Write the oldest tiles."""
        del self.order[:count]
        self.show(ctx)
        await ctx.tick().repeat(12)


async def run(ctx, dut, *buffers):
    await put(ctx, dut.run, [{"descriptor": FIRST[buffer], "buffer": buffer}
                             for buffer in buffers])
    await ctx.tick().repeat(30)


def ready(ctx, dut):
    """Take starts, and broadcast each tile at once."""
    ctx.set(dut.o.ready, 1)
    ctx.set(dut.tile.ready, 1)


def script(simulate, *programs):
    """Make a starter with a script, and a function that simulates a bench."""
    dut = Starter(CONFIG)
    pes = Script(dut, *programs)

    def play(bench):
        simulate(Unwatched(dut), bench, background=pes.benches)

    return dut, pes, play


def test_alone_a_tile_is_started_before_its_source_is_written(simulate):
    """Its scan waits in the PEs; the next start waits until they have room."""
    dut, pes, play = script(simulate, [
        tile(), tile(barrier=1), tile(), tile(barrier=1), tile(barrier=1, final=1)])

    async def bench(ctx):
        ready(ctx, dut)
        await run(ctx, dut, 0)
        early = [(0, ANY_UNWRITTEN), (0, 0)]
        assert pes.starts == early
        await pes.write(ctx)
        assert pes.starts == [*early, (0, ANY_UNWRITTEN), (0, 0)]
        await pes.write(ctx)
        assert len(pes.starts) == 4    # one more is not enough for the barrier
        await pes.write(ctx)
        assert pes.starts[4:] == [(0, 0)] and ctx.get(dut.running)
        await pes.write(ctx, 2)
        assert not ctx.get(dut.running)

    play(bench)


def test_of_two_programs_a_tile_of_the_other_one_is_started_in_between(simulate):
    """The tile that depends on one that is not written is started after it."""
    layers = [tile(barrier=1), tile(barrier=1), tile(barrier=1, final=1)]
    dut, pes, play = script(simulate, layers, layers)

    async def bench(ctx):
        ready(ctx, dut)
        ctx.set(dut.o.ready, 0)
        await run(ctx, dut, 1, 0)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(30)
        assert pes.starts == [(1, 0), (0, 1), (1, 1)]
        await pes.write(ctx)
        assert pes.starts[3:] == [(0, 1)]
        await pes.write(ctx)
        assert pes.starts[4:] == [(1, 1)]
        await pes.write(ctx)
        assert pes.starts[5:] == [(0, 1)]

    play(bench)


@pytest.mark.parametrize("n_between", range(1, 6))
def test_unwritten_is_the_number_of_tiles_started_after_the_last_one_of_the_program(simulate,
                                                                                   n_between):
    """Of the other program, up to two."""
    older = [tile(), tile(barrier=1), *[tile()] * (n_between - 1), send(barrier=1, final=1)]
    dut, pes, play = script(simulate, [tile(), tile(barrier=1), tile(final=1)], older)

    async def bench(ctx):
        ready(ctx, dut)
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.broadcasting, 0b10)    # the vector waits
        await run(ctx, dut, 1, 0)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(60)
        while pes.order:
            await pes.write(ctx)
        between = [(1, ANY_UNWRITTEN)] * (n_between - 1)
        assert pes.starts == [(1, ANY_UNWRITTEN), (0, ANY_UNWRITTEN), (1, 1), *between,
                              (0, min(n_between, ANY_UNWRITTEN)), (0, ANY_UNWRITTEN)]

    play(bench)


def test_at_most_so_many_tiles_are_started_as_may_be_unwritten(simulate):
    dut, pes, play = script(simulate, [tile() for _ in range(8)])

    async def bench(ctx):
        ready(ctx, dut)
        await ctx.tick()
        ctx.set(dut.tile_started.ready, 0)
        await run(ctx, dut, 0)
        assert not pes.starts and not ctx.get(dut.o.valid)
        ctx.set(dut.tile_started.ready, 1)
        await ctx.tick().repeat(3)
        assert pes.starts == [(0, ANY_UNWRITTEN)]

    play(bench)


def test_one_tile_is_started_while_another_one_is_broadcast(simulate):
    dut, pes, play = script(simulate, [tile(), tile(), tile(final=1)])

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.broadcasting, 0b01)
        await run(ctx, dut, 0)
        for number in range(1, 4):
            assert len(pes.starts) == number
            assert ctx.get(dut.tile.valid) and ctx.get(dut.tile.p.address) == number - 1
            ctx.set(dut.tile.ready, 1)
            await ctx.tick()
            ctx.set(dut.tile.ready, 0)
            await ctx.tick().repeat(10)

    play(bench)


@pytest.mark.parametrize("wait", ["tiles", "vector", "older program"])
def test_a_vector_is_sent_in_its_turn(simulate, wait):
    """When its program's tiles were broadcast, the one before is sent, and older programs ended."""
    barrier = int(wait != "older program")
    dut, pes, play = script(simulate, [tile(), send(barrier=barrier, final=1)],
                            [send(), tile(final=1)])
    older, younger = (1, 0) if wait == "older program" else (0, 1)
    n_sent = 1 + (wait == "older program")

    async def bench(ctx):
        ready(ctx, dut)
        ctx.set(dut.broadcasting, wait == "tiles")
        ctx.set(dut.sending, wait == "vector")
        await run(ctx, dut, *[older, younger][:n_sent])
        if wait == "older program":
            assert pes.starts == ["send", (1, ANY_UNWRITTEN), (0, ANY_UNWRITTEN)]
            await pes.write(ctx, 2)
        else:
            assert pes.starts == [(0, ANY_UNWRITTEN)]
            assert ctx.get(dut.for_result) == (wait == "vector")
            ctx.set(dut.broadcasting, 0)
            ctx.set(dut.sending, 0)
            await ctx.tick().repeat(12)
        assert pes.starts.count("send") == n_sent

    play(bench)


@pytest.mark.parametrize("n_later", range(CONFIG.max_tiles))
@pytest.mark.parametrize("barrier", [0, 1])
def test_a_vector_waits_in_the_pes_for_its_tiles_but_not_for_later_ones(simulate, n_later, barrier):
    later = [*[tile()] * (n_later - 1), tile(final=1)]
    dut, pes, play = script(simulate, [tile(), send(barrier=barrier, final=1)], later)

    async def bench(ctx):
        ready(ctx, dut)
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.broadcasting, 0b01)
        await run(ctx, dut, *[0, 1][:1 + (n_later > 0)])
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(60)
        assert len(pes.order) == 1 + n_later if barrier else len(pes.order) >= 1
        ctx.set(dut.broadcasting, 0)
        await ctx.tick().repeat(12)
        assert pes.allowed == [min(n_later, ANY_UNWRITTEN) if barrier else ANY_UNWRITTEN]

    play(bench)


def test_a_program_that_is_alone_waits_until_it_is_the_oldest(simulate):
    dut, pes, play = script(simulate, [tile(final=1)], [tile(alone=1, final=1)])

    async def bench(ctx):
        ready(ctx, dut)
        await run(ctx, dut, 0, 1)
        assert pes.starts == [(0, ANY_UNWRITTEN)] and ctx.get(dut.running) == 3
        await pes.write(ctx)
        assert pes.starts == [(0, ANY_UNWRITTEN), (1, ANY_UNWRITTEN)]
        assert ctx.get(dut.running) == 2

    play(bench)


def test_a_tile_is_started_early_if_the_younger_program_must_wait_too(simulate):
    """Until the older one has ended, as `alone` is set."""
    dut, pes, play = script(simulate, [tile(), tile(barrier=1), tile(barrier=1, final=1)],
                            [tile(alone=1), tile(barrier=1, final=1)])

    async def bench(ctx):
        ready(ctx, dut)
        await run(ctx, dut, 0, 1)
        older = [(0, ANY_UNWRITTEN), (0, 0)]
        assert pes.starts == older
        await pes.write(ctx)
        older.append((0, 0))
        assert pes.starts == older
        await pes.write(ctx, 2)
        assert pes.starts == [*older, (1, ANY_UNWRITTEN), (1, 0)]

    play(bench)


def test_a_younger_program_with_an_error_lets_the_older_one_end(simulate):
    dut, pes, play = script(simulate, [tile(), tile(barrier=1), send(barrier=1, final=1)],
                            [tile(), tile(start={"codebook": 3}), tile(final=1)])

    async def bench(ctx):
        ready(ctx, dut)
        await run(ctx, dut, 0, 1)
        while len(pes.order) > 0:
            assert ctx.get(dut.fault.code) == Error.NONE
            await pes.write(ctx)
        assert pes.starts.count("send") == 1 and ctx.get(dut.running) == 2
        assert (ctx.get(dut.fault.code), ctx.get(dut.fault.address)) == (
            Error.BAD_DESCRIPTOR, FIRST[1] + 1)
        n_starts = len(pes.starts)
        ctx.set(dut.run.valid, 1)
        for _ in range(20):
            assert not ctx.get(dut.run.ready) and len(pes.starts) == n_starts == 4
            await ctx.tick()

    play(bench)


def test_memory_is_read_while_no_program_is_in_flight(simulate):
    """And no vector is sent. Nothing else starts until its vector has been sent."""
    dut, pes, play = script(simulate, [tile(final=1)])

    async def bench(ctx):
        ready(ctx, dut)
        await run(ctx, dut, 0)
        ctx.set(dut.read.payload, {"memory": Memory.ACT, "address": 5, "count": 3})
        ctx.set(dut.read.valid, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.reading) and pes.starts == [(0, ANY_UNWRITTEN)]
        ctx.set(dut.sending, 1)
        await pes.write(ctx)
        assert not ctx.get(dut.running) and not ctx.get(dut.reading)
        ctx.set(dut.sending, 0)
        await ctx.tick().until(dut.read.ready)
        ctx.set(dut.read.valid, 0)
        await ctx.tick().until(dut.o.valid & dut.o.ready)
        ctx.set(dut.sending, 1)
        ctx.set(dut.run.valid, 1)
        await ctx.tick().repeat(10)
        assert ctx.get(dut.reading) and not ctx.get(dut.run.ready)
        assert pes.starts[1:] == ["send"]
        ctx.set(dut.run.valid, 0)
        ctx.set(dut.sending, 0)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.reading) and not ctx.get(dut.for_result)

    play(bench)
