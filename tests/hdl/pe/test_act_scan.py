"""ActScan, against a loop over the vector."""

import random
from dataclasses import replace

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, any_unwritten
from eie_hdl.pe.act_scan import ActScan
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(act_depth=32),
    "one PE, no power of two": replace(PRESETS["tiny"], n_pe=1, act_depth=21),
    "least": EIEConfig(n_pe=256, act_width=4, act_depth=2),
}
#: The same in all of them.
MAX_TILES = CONFIGS["default"].max_tiles
ANY_UNWRITTEN = any_unwritten(CONFIGS["default"])


class Vector:
    """Contents of a sparse activation SRAM."""

    def __init__(self, config, index, seed=0, density=0.4):
        self.config, self.index, self.rng = config, index, random.Random(seed)
        high = 1 << config.act_width - 1
        self.slots = [self.rng.randrange(-high, high) if self.rng.random() < density else 0
                      for _ in range(4 * config.act_depth)]
        self.slots[-1] = -high

    @property
    def words(self):
        shape = Layouts.of(self.config).act_word
        return [shape.const(self.slots[n:n + 4]).as_bits() for n in range(0, len(self.slots), 4)]

    def found(self, start):
        """Expected items of a scan; columns are numbered from its first slot."""
        first, count = 4 * start["source"], 4 * start["last_word"] + 4
        return [*((n * self.config.n_pe + self.index, value)
                  for n, value in enumerate(self.slots[first:first + count]) if value), "end"]

    def scans(self, count):
        """Random scans; the first covers the whole SRAM, the second its last word."""
        depth = self.config.act_depth
        yield {"source": 0, "last_word": depth - 1, "unwritten": ANY_UNWRITTEN}
        yield {"source": depth - 1, "last_word": 0, "unwritten": ANY_UNWRITTEN}
        for _ in range(count - 2):
            source = self.rng.randrange(depth)
            yield {"source": source, "last_word": self.rng.randrange(depth - source),
                   "unwritten": ANY_UNWRITTEN}


def plain(payload):
    if payload.end:
        return "end"
    return payload.column, payload.value


async def scan(ctx, dut, start, *, stall=0.0, rng=None):
    """Run a scan and return its items."""
    found = []
    await put(ctx, dut.i, [start])
    while not found or found[-1] != "end":
        found += map(plain, await get(ctx, dut.o, 1, stall=stall, rng=rng))
    return found


def sparse(words):
    """Vector of the default machine with the given words of four numbers."""
    vector = Vector(CONFIGS["default"], index=5)
    vector.slots[:4 * len(words)] = sum(words, [])
    return vector


def cycles(simulate, transfers, rows, vector, start, hold=()):
    """Run a scan; return the cycle of each item, counted from the start, and the reads."""
    dut = ActScan(vector.config)
    reads, serve = rows(dut.r, vector.words, taken=dut.hold)
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.index, vector.index)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [start])
        await ctx.tick().repeat(len(vector.found(start)) + 2 * start["last_word"] + 40)

    async def holder(ctx):
        for cycle in range(60):
            ctx.set(dut.hold, cycle in hold)
            await ctx.tick()

    simulate(dut, bench, background=[serve, note, holder])
    assert [plain(payload) for _, payload in log] == vector.found(start)
    return [cycle for cycle, _ in log], reads


@pytest.mark.parametrize("hold", [0, 0.5], ids=["alone", "held"])
@pytest.mark.parametrize("name", CONFIGS)
def test_nonzero_activations_are_found_in_order(simulate, rows, stalls, name, hold):
    config = CONFIGS[name]
    vector = Vector(config, index=config.n_pe - 1, seed=len(name))
    dut = ActScan(config)
    _, serve = rows(dut.r, vector.words, taken=dut.hold)
    rng = random.Random(3)

    async def bench(ctx):
        ctx.set(dut.index, vector.index)
        for start in vector.scans(8):
            while rng.random() < stalls.input:
                await ctx.tick()
            found = await scan(ctx, dut, start, stall=stalls.output, rng=rng)
            assert found == vector.found(start)
        await nothing(ctx, dut.o)

    async def holder(ctx):
        while True:
            ctx.set(dut.hold, vector.rng.random() < hold)
            await ctx.tick()

    simulate(dut, bench, background=[serve, holder])


def test_vector_of_zeros_gives_an_end_alone(simulate, rows):
    vector = Vector(CONFIGS["default"], index=5, density=0)
    start = {"source": 0, "last_word": 5}
    dut = ActScan(vector.config)
    _, serve = rows(dut.r, vector.words)

    async def bench(ctx):
        ctx.set(dut.index, 5)
        assert await scan(ctx, dut, start) == ["end"]

    simulate(dut, bench, background=[serve])


def test_first_activation_comes_six_cycles_after_the_start(simulate, transfers, rows):
    vector = sparse([[0, 0, 7, 0]])
    when, reads = cycles(simulate, transfers, rows, vector,
                         {"source": 0, "last_word": 0})
    assert when == [6, 7]
    assert reads == [(2, 0)]


@pytest.mark.parametrize("words", [
    [[1, 2, 3, 4]] * 6,
    [[0, 0, 0, 9], [8, 0, 0, 0], [0, 7, 0, 0], [0, 0, 6, 0], [1, 0, 0, 1]],
    [[1, 0, 0, 0]] * 8,
], ids=["full", "one each", "lowest"])
def test_there_are_no_bubbles_between_nonzero_words(simulate, transfers, rows, words):
    vector = sparse(words)
    start = {"source": 0, "last_word": len(words) - 1}
    when, reads = cycles(simulate, transfers, rows, vector, start)
    assert when == list(range(6, 6 + len(vector.found(start))))
    assert [addr for _, addr in reads] == list(range(len(words)))    # each word once


def test_word_of_zeros_takes_one_cycle(simulate, transfers, rows):
    nothing_in, one = [0, 0, 0, 0], [0, 5, 0, 0]
    vector = sparse([nothing_in, one, nothing_in, nothing_in, nothing_in, one, one, nothing_in])
    when, _ = cycles(simulate, transfers, rows, vector, {"source": 0, "last_word": 7})
    # The end comes in the cycle of the last word if that is zero.
    assert when == [7, 11, 12, 13]


def test_word_is_read_again_only_after_a_read_by_another_component(simulate, transfers, rows):
    vector = sparse([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    start = {"source": 0, "last_word": 2}
    # Two words are taken immediately, the third is held by the SRAM until the first is sent.
    for hold, expected in [([], [(2, 0), (3, 1), (4, 2)]),
                           ([5], [(2, 0), (3, 1), (4, 2), (6, 2)]),
                           ([6, 7], [(2, 0), (3, 1), (4, 2), (8, 2)]),
                           ([3, 4], [(2, 0), (5, 1), (6, 2)])]:
        when, reads = cycles(simulate, transfers, rows, vector, start, hold=hold)
        assert reads == expected
        assert when == list(range(6, 19))    # read again in time


@pytest.mark.parametrize("phase", range(3))
def test_reads_of_the_vector_sender_neither_lose_nor_delay_an_activation(simulate, transfers, rows,
                                                                        phase):
    """The sender reads every third cycle; a word of four activations is sent in four."""
    vector = sparse([[n, n + 1, n + 2, n + 3] for n in range(1, 33, 4)])
    when, reads = cycles(simulate, transfers, rows, vector, {"source": 0, "last_word": 7},
                         hold=range(phase, 60, 3))
    late = phase == 2    # for the first word
    assert when == list(range(6 + late, 6 + late + 33))
    assert {cycle % 3 for cycle, _ in reads}.isdisjoint({phase})


@pytest.mark.parametrize("phase", range(3))
def test_reads_of_the_vector_sender_lose_no_word_of_sparse_vectors(simulate, transfers, rows,
                                                                   phase):
    vector = sparse([[0, 0, n, 0] if n % 4 else [0, 0, 0, 0] for n in range(20)])
    when, reads = cycles(simulate, transfers, rows, vector, {"source": 0, "last_word": 19},
                         hold=range(phase, 60, 3))
    assert len(when) == 16
    assert [row for _, row in reads if row == 19][-1] == 19
    # Words are taken in two of three cycles.
    assert when[-1] <= 6 + 20 * 3 // 2 + 2


def test_next_source_waits_for_the_end_of_a_scan_and_follows_without_delay(simulate, rows,
                                                                           transfers):
    """Each source arrives as soon as the one before is being scanned."""
    vector = sparse([[1, 0, 0, 2], [3, 0, 0, 4]])
    dut = ActScan(vector.config)
    _, serve = rows(dut.r, vector.words)
    log, note = transfers(dut.o)
    starts = [{"source": n % 2, "last_word": 0, "unwritten": ANY_UNWRITTEN} for n in range(4)]

    async def bench(ctx):
        ctx.set(dut.index, vector.index)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, starts[:1])
        await ctx.tick().repeat(2)
        for start in starts[1:]:
            await put(ctx, dut.i, [start])
            await ctx.tick().until(dut.o.valid & dut.o.payload.end)
            await ctx.tick()
        await ctx.tick().repeat(12)

    simulate(dut, bench, background=[serve, note])
    assert [plain(payload) for _, payload in log] == sum(map(vector.found, starts), [])
    assert [cycle for cycle, _ in log] == [7 * n + k for n in range(4) for k in (6, 7, 8)]


@pytest.mark.parametrize("allowed", range(ANY_UNWRITTEN + 1))
def test_source_is_read_once_few_enough_tiles_are_unwritten(simulate, rows, allowed):
    """The address is offered in the cycle after the write that the scan waits for."""
    vector = sparse([[1, 2, 3, 4]])
    dut = ActScan(vector.config)
    reads, serve = rows(dut.r, vector.words)
    scanned = MAX_TILES - 1

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for _ in range(scanned):
            await put(ctx, dut.i, [{"unwritten": ANY_UNWRITTEN}])
            await ctx.tick().until(dut.o.valid & dut.o.p.end)
            await ctx.tick()
        await put(ctx, dut.i, [{"source": 7, "unwritten": allowed}])
        n_stored = 0 if allowed == ANY_UNWRITTEN else scanned - allowed
        for _ in range(n_stored):
            await ctx.tick().repeat(10)
            assert reads[-1][1] == 0
            ctx.set(dut.stored, 1)
            await ctx.tick()
            ctx.set(dut.stored, 0)
        if allowed == ANY_UNWRITTEN:
            await ctx.tick()
        assert ctx.get(dut.r.en) and ctx.get(dut.r.addr) == 7

    simulate(dut, bench, background=[serve])


class Pe:
    """Sources that arrived, begun and ended, and tiles that are stored, in order.

    Successive sources are in different rows, so that the first read shows that one has begun.
    """
    def __init__(self, rng):
        self.rng, self.arrived, self.begun, self.ended, self.stored = rng, [], 0, 0, 0

    def next_start(self):
        """Return the next source, once the one before has begun."""
        if (self.begun < len(self.arrived) or self.begun - self.stored == MAX_TILES
                or self.rng.random() < 0.7):
            return None
        return {"source": len(self.arrived) % 2 * 8 + self.rng.randrange(4),
                "last_word": self.rng.randrange(4),
                "unwritten": self.rng.choice([0, 1, *[ANY_UNWRITTEN] * 2])}

    def is_allowed(self):
        """True if no tile prevents the next source from beginning."""
        if self.begun == len(self.arrived):
            return False
        return self.begun - self.stored <= self.arrived[self.begun]["unwritten"]


@pytest.mark.parametrize("seed", range(4))
def test_sources_begin_as_soon_as_enough_tiles_are_stored(simulate, rows, seed):
    """Never before; and in the cycle after this, and after the end of the scan before."""
    vector, rng = Vector(CONFIGS["tiny"], index=0, seed=seed), random.Random(seed)
    dut, pe = ActScan(vector.config), Pe(random.Random(seed))
    _, serve = rows(dut.r, vector.words)
    found, waited = [], [0] * ANY_UNWRITTEN

    async def bench(ctx):
        was_allowed = was_due = False    # in the cycle before the first read
        for cycle in range(3000):
            start = pe.next_start() if cycle < 2500 else None
            stores = pe.stored < pe.ended and rng.random() < (0.3, 0.01)[cycle // 200 % 2]
            pe.stored += stores
            ctx.set(dut.i.valid, start is not None)
            ctx.set(dut.i.payload, start or {})
            ctx.set(dut.stored, stores)
            ctx.set(dut.o.ready, rng.random() < 0.7)
            is_allowed, has_ended = pe.is_allowed(), pe.ended == pe.begun
            if has_ended and pe.begun < len(pe.arrived) and not is_allowed:
                waited[pe.arrived[pe.begun]["unwritten"]] += 1
            *_, en, addr, given, item = await ctx.tick().sample(
                dut.r.en, dut.r.addr, dut.o.valid & dut.o.ready, dut.o.payload)
            begins = (pe.begun < len(pe.arrived) and en
                      and addr == pe.arrived[pe.begun]["source"])
            assert was_allowed or not begins
            assert begins or not was_due
            was_allowed = is_allowed and not begins
            was_due = was_allowed and has_ended
            found.extend([plain(item)] * given)
            pe.begun += begins
            pe.ended += bool(given and item.end)
            if start:
                pe.arrived.append(start)

    simulate(dut, bench, background=[serve])
    assert pe.ended == len(pe.arrived) > 60
    assert found == sum(map(vector.found, pe.arrived), [])
    assert min(waited) > 5
