"""SegmentScan, against a loop over the columns of a segment."""

import random
from dataclasses import replace

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import N_SEGMENTS, Layouts, any_unwritten
from eie_hdl.pe.segment_scan import SegmentScan
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": replace(PRESETS["tiny"], loops=True),
    "default": EIEConfig(act_depth=32, loops=True),
    "one PE, no power of two": replace(PRESETS["tiny"], n_pe=1, act_depth=21, loops=True),
    "local": replace(PRESETS["tiny"], loops=True, local=True),
    "maximum": replace(PRESETS["tiny"], loops=True, maximum=True),
    "local, maximum": replace(PRESETS["tiny"], loops=True, local=True, maximum=True),
    "least": EIEConfig(n_pe=256, act_width=4, act_depth=2, loops=True),
}
DEFAULT = CONFIGS["default"]


def start_of(config, first, last, *, ends, unwritten=None, **more):
    """Start of the segment of columns `first` to `last`, which is empty if `last` is lower."""
    slot, last_slot = first // config.n_pe, last // config.n_pe
    return {"source": slot // 4, "first_lane": slot % 4, "first_pe": first % config.n_pe,
            "last_word": last_slot // 4 - slot // 4, "last_lane": last_slot % 4,
            "last_pe": last % config.n_pe, "ends_tile": ends,
            "unwritten": any_unwritten(config) if unwritten is None else unwritten, **more}


class Slots:
    """Activation SRAM of one PE, with every second slot empty on average."""

    def __init__(self, config, index, seed=0, density=0.5):
        self.config, self.index = config, index
        rng = random.Random(seed)
        high = 1 << config.act_width - 1
        self.slots = [rng.randrange(-high, high) if rng.random() < density else 0
                      for _ in range(4 * config.act_depth)]

    @property
    def words(self):
        shape = Layouts.of(self.config).act_word
        return [shape.const(self.slots[n:n + 4]).as_bits() for n in range(0, len(self.slots), 4)]

    def found(self, number, first, last, ends, *, zeros=0):
        """Expected items of segment `number`, also of zeros if it has these."""
        columns = (slot * self.config.n_pe + self.index for slot in range(len(self.slots)))
        items = [(column, value, number % N_SEGMENTS)
                 for column, value in zip(columns, self.slots)
                 if (value or zeros) and first <= column <= last]
        return [*items, *["end"] * ends]


def plain(payload):
    return "end" if payload.end else (payload.column, payload.value, payload.segment)


def random_segments(config, rng, count):
    """Segments as (first, last, ends); the first is the whole SRAM, the second a single column."""
    n_columns = 4 * config.act_depth * config.n_pe
    yield 0, n_columns - 1, 1
    yield n_columns - 1, n_columns - 1, 1
    for _ in range(count - 3):
        first = rng.randrange(n_columns)
        length = rng.choice([0, 1, 2, config.n_pe, 5 * config.n_pe, n_columns])
        yield first, min(first + length, n_columns - 1), rng.random() < 0.5
    yield 3, 5, 1


@pytest.mark.parametrize("hold", [0, 0.5], ids=["alone", "held"])
@pytest.mark.parametrize("name", CONFIGS)
def test_activations_of_segments_are_found_in_order(simulate, rows, stalls, name, hold):
    config = CONFIGS[name]
    rng = random.Random(len(name))
    index = rng.randrange(config.n_pe)
    slots = Slots(config, index, seed=len(name))
    dut = SegmentScan(config)
    _, serve = rows(dut.r, slots.words, taken=dut.hold)
    segments = list(random_segments(config, rng, 20))
    # With local mode, all that is found is marked so or not, and ends have a segment, too.
    modes = [{"local": rng.randrange(2)} if config.local else {} for _ in segments]
    zeros = [{"zeros": rng.randrange(2)} if config.maximum else {} for _ in segments]
    expected = [(item, mode and {**mode, "segment": number % N_SEGMENTS})
                for number, (segment, mode) in enumerate(zip(segments, modes))
                for item in slots.found(number, *segment, **zeros[number])]
    n_taken = n_ended = 0

    async def bench(ctx):
        ctx.set(dut.index, index)
        for number, (first, last, ends) in enumerate(segments):
            while number - n_ended >= N_SEGMENTS or rng.random() < stalls.input:
                await ctx.tick()
            await put(ctx, dut.i, [start_of(config, first, last, ends=ends, **modes[number],
                                           **zeros[number])])

    async def consumer(ctx):
        nonlocal n_taken, n_ended
        for item, marks in expected:
            [payload] = await get(ctx, dut.o, 1, stall=stalls.output, rng=rng)
            assert plain(payload) == item
            assert {name: payload[name] for name in marks} == marks
            n_taken += 1
            if item == "end":    # its tile is written a little later
                ctx.set(dut.stored, 1)
                await ctx.tick()
                ctx.set(dut.stored, 0)
                n_ended = next(number + 1 for number in range(n_ended, len(segments))
                               if segments[number][2])
        await nothing(ctx, dut.o)

    async def holder(ctx):
        others = random.Random(5)
        while True:
            ctx.set(dut.hold, others.random() < hold)
            await ctx.tick()

    simulate(dut, bench, consumer, background=[serve, holder])
    assert n_taken == len(expected)


@pytest.mark.parametrize("n_pe", [1, 4])
@pytest.mark.parametrize("zeros", [0, 1])
def test_segment_with_every_lane_masked_gives_an_end_alone(simulate, rows, n_pe, zeros):
    config = replace(DEFAULT, n_pe=n_pe, maximum=True)
    slots = Slots(config, 0, density=0.5)
    dut = SegmentScan(config)
    _, serve = rows(dut.r, slots.words)
    empty = {"source": 3, "last_word": 0, "first_lane": 1, "first_pe": 0, "last_lane": 0,
             "last_pe": n_pe - 1, "ends_tile": 1, "zeros": zeros}

    async def bench(ctx):
        await put(ctx, dut.i, [empty])
        assert plain(*await get(ctx, dut.o, 1)) == "end"
        await nothing(ctx, dut.o)

    simulate(dut, bench, background=[serve])


def timed(simulate, transfers, rows, slots, segments):
    """Run segments back to back; return the cycle of each item, counted from the first start."""
    dut = SegmentScan(slots.config)
    reads, serve = rows(dut.r, slots.words)
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.index, slots.index)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [start_of(slots.config, first, last, ends=ends)
                               for first, last, ends in segments])
        await ctx.tick().repeat(120)

    simulate(dut, bench, background=[serve, note])
    assert [plain(payload) for _, payload in log] == [
        item for number, segment in enumerate(segments) for item in slots.found(number, *segment)]
    return [cycle for cycle, _ in log], reads


def test_first_activation_comes_six_cycles_after_the_start(simulate, transfers, rows):
    slots = Slots(DEFAULT, 5, density=1)
    when, reads = timed(simulate, transfers, rows, slots, [(5, 5, 1)])
    assert when == [6, 7]
    assert reads == [(2, 0)]


def test_there_are_no_bubbles_between_segments_and_tiles(simulate, transfers, rows):
    slots = Slots(DEFAULT, 5, density=1)
    segments = [(first, first + 95, number % 3 == 2) for number, first in enumerate(
        range(0, 12 * 96, 96))]
    when, reads = timed(simulate, transfers, rows, slots, segments)
    assert when == list(range(6, 6 + len(when)))
    assert len(reads) == sum(last // 64 - first // 64 + 1 for first, last, _ in segments)


@pytest.mark.parametrize("allowed", range(DEFAULT.max_tiles))
def test_segment_waits_until_few_enough_tiles_before_its_own_are_unwritten(simulate, rows, allowed):
    slots = Slots(DEFAULT, 5, density=1)
    dut = SegmentScan(DEFAULT)
    reads, serve = rows(dut.r, slots.words)
    most = DEFAULT.max_tiles - 1

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        tiles = [start_of(DEFAULT, 0, 15, ends=part) for _ in range(most) for part in range(2)]
        await put(ctx, dut.i, [*tiles, start_of(DEFAULT, 7 * 64, 7 * 64 + 15, ends=1,
                                                unwritten=allowed)])
        await ctx.tick().repeat(60)
        for _ in range(most - allowed):
            assert 7 not in [row for _, row in reads]
            ctx.set(dut.stored, 1)
            await ctx.tick()
            ctx.set(dut.stored, 0)
            await ctx.tick().repeat(10)
        assert [row for _, row in reads].count(7) == 1

    simulate(dut, bench, background=[serve])


def test_unwritten_tiles_are_those_that_have_arrived(simulate, rows):
    """A vector of results waits for them, in the cycle of its start."""
    slots = Slots(DEFAULT, 5)
    dut = SegmentScan(DEFAULT)
    _, serve = rows(dut.r, slots.words)

    async def bench(ctx):
        for part in range(6):
            await put(ctx, dut.i, [start_of(DEFAULT, 0, 15, ends=part % 2)])
            assert ctx.get(dut.unwritten) == (part + 1) // 2
        ctx.set(dut.stored, 1)
        await ctx.delay(1e-9)
        assert ctx.get(dut.unwritten) == 2

    simulate(dut, bench, background=[serve])
