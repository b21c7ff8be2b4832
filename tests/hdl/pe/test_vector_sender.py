"""VectorSender, against the elements of a vector that are in each PE."""

import random
from dataclasses import replace

import pytest

from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.pe.vector_sender import VectorSender
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(act_depth=32),
    "one PE, no power of two": replace(PRESETS["tiny"], n_pe=1, act_depth=21),
    "least": EIEConfig(n_pe=256, act_width=4, act_depth=2),
}
#: The same in all of them.
MAX_TILES = CONFIGS["default"].max_tiles


class Contents:
    """Random rows of the activation SRAM of a PE."""

    def __init__(self, config, seed=0):
        self.config, self.rng = config, random.Random(seed)
        high = 1 << config.act_width - 1
        self.rows = [[self.rng.randrange(-high, high) for _ in range(ACTS_PER_WORD)]
                     for _ in range(config.act_depth)]
        self.bits = [Layouts.of(config).act_word.const(row).as_bits() for row in self.rows]

    @property
    def group(self):
        """Elements of a row of all PEs."""
        return ACTS_PER_WORD * self.config.n_pe

    def elements(self, pe, source, n):
        """Elements in a PE of a vector of `n` elements, by word."""
        values = sum(self.rows[source:], [])[:len(range(pe, n, self.config.n_pe))]
        return [values[first:first + ACTS_PER_WORD]
                for first in range(0, len(values), ACTS_PER_WORD)]

    def start(self, source, n):
        """Start of a vector of `n` elements."""
        slot, last_pe = divmod(n - 1, self.config.n_pe)
        last_word, last_lane = divmod(slot, ACTS_PER_WORD)
        return {"source": source, "last_word": last_word, "last_lane": last_lane,
                "last_pe": last_pe, "send": 1}

    def random_vectors(self, count):
        """Sources and lengths; the first vector covers the whole SRAM, the second one element."""
        depth = self.config.act_depth
        yield 0, depth * self.group
        yield depth - 1, 1
        for _ in range(count - 2):
            source = self.rng.randrange(depth)
            yield source, self.rng.randint(1, (depth - source) * self.group)


def serve(dut, words, reads):
    """Background bench of the SRAM: a word is there for one cycle, garbage at all other times."""
    async def bench(ctx):
        rng, cycle = random.Random(151), 0
        async for *_, en, addr, hold in ctx.tick().sample(dut.r.en, dut.r.addr, dut.hold):
            assert not (en and hold), "The SRAM is read while it is held"
            if en:
                reads.append((cycle, addr))
            ctx.set(dut.r.data, words[addr] if en else rng.getrandbits(len(dut.r.data)))
            cycle += 1

    return bench


async def receive(ctx, dut, *, stall=0.0, rng=None):
    """Accept words up to an end, and return their elements."""
    words = []
    while True:
        [item] = await get(ctx, dut.o, 1, stall=stall, rng=rng)
        if item.end:
            return words
        words.append(list(item.word)[:item.last_lane + 1])


def timed(simulate, transfers, contents, *, pe, source, n, hold=(), stalls=()):
    """Send a vector; return the cycles of the words and of the end, and of the reads."""
    dut = VectorSender(contents.config)
    reads = []
    log, note = transfers(dut.o)

    async def bench(ctx):
        ctx.set(dut.index, pe)
        ctx.set(dut.i.payload, contents.start(source, n))
        for cycle in range(60):
            ctx.set(dut.i.valid, cycle == 0)
            ctx.set(dut.hold, cycle in hold)
            ctx.set(dut.o.ready, cycle not in stalls)
            await ctx.tick()

    simulate(dut, bench, background=[serve(dut, contents.bits, reads), note])
    words = contents.elements(pe, source, n)
    assert [list(item.word)[:item.last_lane + 1] for _, item in log[:-1]] == words
    assert [item.end for _, item in log] == [0] * len(words) + [1]
    assert [addr for _, addr in reads] == list(range(source, source + len(words)))
    return [cycle for cycle, _ in log], [cycle for cycle, _ in reads]


@pytest.mark.parametrize("hold", [0, 0.5], ids=["alone", "held"])
@pytest.mark.parametrize("name", CONFIGS)
def test_words_of_random_vectors_are_sent_once_in_order(simulate, stalls, name, hold):
    """Of the first and the last PE, and others; just the rows of the vector are read."""
    contents = Contents(CONFIGS[name], seed=len(name))
    dut = VectorSender(contents.config)
    rng, reads = random.Random(3), []
    pes = {0, 1, contents.config.n_pe // 2, contents.config.n_pe - 1} & set(
        range(contents.config.n_pe))

    async def bench(ctx):
        for pe in sorted(pes):
            ctx.set(dut.index, pe)
            for source, n in contents.random_vectors(6):
                expected = contents.elements(pe, source, n)
                reads.clear()
                while rng.random() < stalls.input:
                    await ctx.tick()
                await put(ctx, dut.i, [contents.start(source, n)])
                assert await receive(ctx, dut, stall=stalls.output, rng=rng) == expected
                assert [addr for _, addr in reads] == list(
                    range(source, source + len(expected)))
        await nothing(ctx, dut.o)

    async def holder(ctx):
        holds = random.Random(5)
        while True:
            ctx.set(dut.hold, holds.random() < hold)
            await ctx.tick()

    simulate(dut, bench, background=[serve(dut, contents.bits, reads), holder])


@pytest.mark.parametrize("n_pe", [1, 2, 4, 16])
def test_every_pe_sends_its_words_of_vectors_of_every_length(simulate, n_pe):
    contents = Contents(replace(PRESETS["tiny"], n_pe=n_pe, act_depth=4), seed=n_pe)
    dut = VectorSender(contents.config)
    reads = []

    async def bench(ctx):
        for pe in range(n_pe):
            ctx.set(dut.index, pe)
            for n in range(1, 2 * contents.group + 2):
                expected = contents.elements(pe, 1, n)
                reads.clear()
                await put(ctx, dut.i, [contents.start(1, n)])
                assert await receive(ctx, dut) == expected, (pe, n)
                assert [addr for _, addr in reads] == list(range(1, 1 + len(expected)))

    simulate(dut, bench, background=[serve(dut, contents.bits, reads)], deadline=40_000)


def test_words_come_every_third_cycle_from_the_third_on_then_the_end(simulate, transfers):
    contents = Contents(CONFIGS["default"])
    # The last element is in lane 1 of the fourth row of PE 2.
    n = (3 * ACTS_PER_WORD + 1) * 16 + 3
    for pe in (0, 2, 3, 15):
        assert timed(simulate, transfers, contents, pe=pe, source=5, n=n) == (
            [3, 6, 9, 12, 14], [1, 4, 7, 10])


def test_row_without_a_word_takes_no_time(simulate, transfers):
    contents = Contents(CONFIGS["default"])
    # The last element is in lane 0 of the third, or of the first, row of PE 2.
    for n_rows, pe, expected in [(3, 2, ([3, 6, 9, 11], [1, 4, 7])),
                                 (3, 3, ([3, 6, 8], [1, 4])),
                                 (1, 2, ([3, 5], [1])), (1, 3, ([2], []))]:
        n = (n_rows - 1) * contents.group + 3
        assert timed(simulate, transfers, contents, pe=pe, source=7, n=n) == expected


def test_held_sram_and_a_stalled_word_delay_the_words_that_follow(simulate, transfers):
    contents = Contents(CONFIGS["default"])
    n = 3 * contents.group
    for hold, stalls, expected in [
            ([1, 2], [], ([5, 8, 11, 13], [3, 6, 9])),
            ([2, 3], [], ([3, 6, 9, 11], [1, 4, 7])),       # no word is read then
            ([10], [], ([3, 6, 9, 11], [1, 4, 7])),         # the end needs no word
            ([], [3, 4], ([5, 8, 11, 13], [1, 6, 9])),
            ([], [11], ([3, 6, 9, 12], [1, 4, 7]))]:
        assert timed(simulate, transfers, contents, pe=1, source=0, n=n, hold=hold,
                     stalls=stalls) == expected


@pytest.mark.parametrize("unwritten", range(MAX_TILES + 1))
@pytest.mark.parametrize("allowed", range(MAX_TILES))
def test_a_vector_waits_for_as_many_tiles_as_it_must(simulate, allowed, unwritten):
    """The first word is read in the cycle after the last of them; later tiles do not matter."""
    contents = Contents(CONFIGS["default"])
    dut = VectorSender(contents.config)
    reads = []
    n_before = max(0, unwritten - allowed)

    async def bench(ctx):
        ctx.set(dut.unwritten, unwritten)
        await put(ctx, dut.i, [{**contents.start(7, 1), "unwritten": allowed}])
        for _ in range(n_before):
            await ctx.tick().repeat(5)
            assert not ctx.get(dut.r.en)
            ctx.set(dut.unwritten, MAX_TILES)
            ctx.set(dut.stored, 1)
            await ctx.tick()
            ctx.set(dut.stored, 0)
        assert ctx.get(dut.r.en)
        ctx.set(dut.stored, 1)
        assert await receive(ctx, dut) == contents.elements(0, 7, 1)
        # Tiles that are written while no vector waits do not count for the next one.
        ctx.set(dut.stored, 0)
        ctx.set(dut.unwritten, 1)
        await put(ctx, dut.i, [contents.start(3, 1)])
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.r.en)

    simulate(dut, bench, background=[serve(dut, contents.bits, reads)])


def test_next_vector_may_start_when_the_end_is_accepted(simulate, transfers):
    contents = Contents(CONFIGS["tiny"])
    dut = VectorSender(contents.config)
    log, note = transfers(dut.o)
    vectors = [(0, 16), (3, 1), (2, 20), (9, 1), (1, 32)]

    async def bench(ctx):
        ctx.set(dut.index, 1)
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [contents.start(*vectors[0])])
        for vector in vectors[1:]:
            while not (ctx.get(dut.o.valid) and ctx.get(dut.o.p.end)):
                await ctx.tick()
            await put(ctx, dut.i, [contents.start(*vector)])
        await ctx.tick().repeat(12)

    simulate(dut, bench, background=[serve(dut, contents.bits, []), note])
    expected = [contents.elements(1, *vector) for vector in vectors]
    assert [len(words) for words in expected] == [1, 0, 2, 0, 2]
    found = [[]]
    for _, item in log:
        if item.end:
            found.append([])
        else:
            found[-1].append(list(item.word)[:item.last_lane + 1])
    assert found == [*expected, []]
    # Vectors without a word take two cycles, others two more than three a word.
    assert [cycle for cycle, item in log if item.end] == [5, 7, 15, 17, 25]
