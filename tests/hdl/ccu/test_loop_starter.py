"""LoopStarter, with scripts in place of the sequencer, the table and the broadcaster."""

import random
from dataclasses import replace

import pytest

from eie_hdl.ccu.loop_starter import LoopStarter
from eie_hdl.config import PRESETS
from support.segment_loops import random_fields, walk
from support.simulation import Unwatched

CONFIG = replace(PRESETS["tiny"], loops=True)


class Log:
    """What happens in each cycle, with random readiness of all that take part."""

    def __init__(self, dut, rng, ready=0.5):
        self.dut, self.rng, self.ready = dut, rng, ready
        self.segments, self.tiles, self.handed, self.done = [], [], [], []
        self.cycle = 0

    async def watch(self, ctx):
        dut = self.dut
        ready = (dut.o.ready, dut.segment.ready, dut.tile_started.ready, dut.tile.ready)
        while True:
            for each in ready:
                ctx.set(each, self.rng.random() < self.ready)
            *_, starts, segment, put, origin, opened, closes, handed, done = await (
                ctx.tick().sample(
                    dut.o.valid & dut.o.ready, dut.o.payload,
                    dut.segment.valid & dut.segment.ready, dut.segment.payload,
                    dut.tile_started.valid & dut.tile_started.ready, dut.closes,
                    dut.tile.valid & dut.tile.ready, dut.done))
            assert put == starts and opened == (starts and segment.opens)
            if starts:
                assert (origin.origin, origin.ends_tile) == (segment.origin, segment.ends_tile)
                self.segments.append((segment.ends_tile, segment.closes, segment.origin))
            if opened:
                self.tiles.append(closes)
            self.handed.extend([self.cycle] * handed)
            self.done.extend([self.cycle] * done)
            self.cycle += 1


async def give_way(ctx, dut, log, fields):
    """Let the descriptor wait, and change meanwhile: nothing is started or handed over."""
    ctx.set(dut.go, 0)
    await ctx.tick()    # now all that happened before is in the log
    before = len(log.segments), len(log.tiles), len(log.handed)
    for other in [*(random_fields(CONFIG, log.rng) for _ in range(4)), fields, fields]:
        ctx.set(dut.descriptor, other)
        await ctx.tick()
        assert ctx.get(dut.began) and not ctx.get(dut.tile.valid)
    ctx.set(dut.interrupts, 0)
    ctx.set(dut.go, 1)
    assert before == (len(log.segments), len(log.tiles), len(log.handed))


@pytest.mark.parametrize("ready", [0.3, 1])
@pytest.mark.parametrize("interrupted", [0, 0.3])
def test_every_segment_is_started_once_and_the_descriptor_handed_over_once(simulate, ready,
                                                                           interrupted):
    """It begins after `go`, may give way, and is done when both have happened."""
    rng = random.Random(11)
    dut = LoopStarter(CONFIG)
    log = Log(dut, rng, ready)

    async def bench(ctx):
        n_interrupted = 0
        for number in range(12):
            fields = random_fields(CONFIG, rng)
            expected = [(last, closes, origin) for *_, origin, last, closes in walk(CONFIG, fields)]
            ctx.set(dut.descriptor, fields)
            ctx.set(dut.source, fields["start"]["source"])
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            await ctx.tick().repeat(rng.randint(1, 8))
            assert not log.segments and not ctx.get(dut.began)
            ctx.set(dut.go, 1)
            while len(log.done) == number:
                ctx.set(dut.interrupts, rng.random() < interrupted)
                if ctx.get(dut.gives_way):
                    n_interrupted += 1
                    await give_way(ctx, dut, log, fields)
                await ctx.tick()
            ctx.set(dut.interrupts, 0)
            ctx.set(dut.go, 0)
            await ctx.tick()
            mask = (1 << len(dut.o.p.origin)) - 1
            assert [(last, closes) for last, closes, _ in log.segments] == [
                (last, closes) for last, closes, _ in expected]
            assert all(origin == other & mask for (*_, origin), (*_, other) in zip(
                log.segments, expected) if other is not None)
            n_tiles = sum(last for last, _, _ in expected)
            assert log.tiles == [0] * (n_tiles - 1) + [1]
            assert len(log.handed) == number + 1 and log.handed[-1] <= log.done[-1]
            log.segments, log.tiles = [], []
        assert (n_interrupted > 5) == (interrupted > 0)

    simulate(Unwatched(dut), bench, background=[log.watch])


def test_tiles_are_started_ahead_of_the_hand_over(simulate):
    """All segments, while the tile before is still being broadcast."""
    dut = LoopStarter(CONFIG)
    fields = random_fields(CONFIG, random.Random(2))
    expected = list(walk(CONFIG, fields))
    n_started = 0

    async def bench(ctx):
        nonlocal n_started
        ctx.set(dut.descriptor, fields)
        ctx.set(dut.source, fields["start"]["source"])
        for port in (dut.go, dut.o.ready, dut.segment.ready, dut.tile_started.ready, dut.begin):
            ctx.set(port, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for _ in range(len(expected) + 40):
            assert not ctx.get(dut.done)
            n_started += ctx.get(dut.o.valid)
            await ctx.tick()
        assert n_started == len(expected) and ctx.get(dut.began) and ctx.get(dut.tile.valid)
        ctx.set(dut.tile.ready, 1)
        assert ctx.get(dut.done)
        await ctx.tick()
        assert not ctx.get(dut.began) and not ctx.get(dut.tile.valid)

    simulate(Unwatched(dut), bench)
