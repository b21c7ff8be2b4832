"""Pe: messages in, activations in its SRAM, against one loop over entries."""

import dataclasses
import random

import pytest

from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts, Memory
from eie_hdl.numeric import limits, relu, round_shift, saturate, wrap
from eie_hdl.pe.pe import Pe
from support.short import each_once
from support.simulation import STALLS, get, get_vector, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "no-drop": dataclasses.replace(PRESETS["tiny"], drop_empty_columns=False),
    "default": EIEConfig(spmat_depth=64, ptr_depth=64, act_depth=96),
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, acc_depth=4,
                           act_width=4, codebook_width=4, acc_width=8, n_codebooks=1,
                           queue_depth=2, act_depth=64),
    "widest": EIEConfig(n_pe=2, v_width=8, z_width=8, entries_per_word=16, act_width=24,
                        codebook_width=24, acc_width=60, acc_depth=16, n_codebooks=2,
                        spmat_depth=64, ptr_depth=64, act_depth=64),
    "deepest-mac": dataclasses.replace(PRESETS["tiny"], mac_stages=5),
}
N_COLUMNS = 6    # of a tile
N_TILES = 4
SOURCE, N_SOURCE = 0, 3    # rows of the activation SRAM


class Case:
    """Random contents of the memories, a program of tiles, and the expected results."""

    def __init__(self, config, seed):
        self.config, self.layouts, self.rng = config, Layouts.of(config), random.Random(seed)
        self.index = config.n_pe // 2
        self.codebook = self.numbers(config.codebook_width, config.n_codebooks << config.v_width)
        self.bias = SOURCE + N_SOURCE
        self.acts = [self.numbers(config.act_width, ACTS_PER_WORD)
                     for _ in range(N_SOURCE + config.tile_words)]
        self.acts[1] = [0, 0, 0, 0]
        self.entries, self.pointers, self.tiles = [], [], []
        for number in range(N_TILES):
            self.add_tile(number)

    def numbers(self, width, count):
        low, high = limits(width)
        return [self.rng.choice([low, high, 0, self.rng.randint(low, high)])
                for _ in range(count)]

    def add_tile(self, number):
        config, rng = self.config, self.rng
        base, columns = len(self.pointers), []
        last_word = rng.randrange(config.tile_words)
        for _ in range(N_COLUMNS):
            self.pointers.append(len(self.entries))
            columns.append(self.random_column(ACTS_PER_WORD * (last_word + 1)))
            self.entries += columns[-1]
        self.pointers.append(len(self.entries))
        fields = {"shift": rng.randint(0, config.max_shift), "relu": rng.randrange(2),
                  "bias_shift": rng.randint(0, config.max_bias_shift), "bias": self.bias,
                  "last_word": last_word,
                  "destination": len(self.acts) + number * config.tile_words}
        activations = [(rng.randrange(N_COLUMNS), value or 1)
                       for value in self.numbers(config.act_width, rng.choice([0, 4, 12]))]
        self.tiles.append((base, columns, rng.randrange(config.n_codebooks), fields, activations))

    def random_column(self, n_rows):
        """Entries (v, z); none leaves the rows that are written back."""
        row, entries = -1, []
        while row < n_rows - 1 and self.rng.random() < 0.8:
            z = self.rng.randint(0, min(self.config.max_run, n_rows - 2 - row))
            entries.append((self.rng.randrange(1 << self.config.v_width), z))
            row += z + 1
        return entries

    def loads(self):
        """Words of all memories, for this PE or for all; and garbage for another PE."""
        lanes = self.config.entries_per_word
        padded = self.entries + [(0, 0)] * (-len(self.entries) % lanes)
        words = [(Memory.SPMAT, row, self.layouts.spmat_word.const(
            [{"v": v, "z": z} for v, z in padded[row * lanes:][:lanes]]).as_value().value)
            for row in range(len(padded) // lanes)]
        words += [(Memory.PTR, row, pointer % (1 << self.layouts.ptr.width))
                  for row, pointer in enumerate(self.pointers)]
        words += [(Memory.ACT, row, self.layouts.act_word.const(word).as_value().value)
                  for row, word in enumerate(self.acts)]
        words += [(Memory.CODEBOOK, row, weight % (1 << self.config.codebook_width))
                  for row, weight in enumerate(self.codebook)]
        for memory, address, data in words:
            everyone = self.rng.randrange(2)
            pe = (self.index + everyone) % self.config.n_pe
            yield {"memory": memory, "address": address, "data": data, "pe": pe,
                   "everyone": everyone}
            if self.config.n_pe > 1:
                yield {"memory": memory, "address": address, "data": self.rng.getrandbits(16),
                       "pe": (self.index + 1) % self.config.n_pe}

    def messages(self):
        """Each tile: its start, its activations and its end."""
        for base, _, codebook, fields, activations in self.tiles:
            yield [{"kind": Kind.START, "body": {"start": {
                "codebook": codebook, "source": SOURCE, "last_word": N_SOURCE - 1}}},
                *({"kind": Kind.ACTIVATION, "body": {"activation": {
                    "pointer": base + column, "value": value}}} for column, value in activations),
                {"kind": Kind.END, "body": {"end": fields}}]

    def scanned(self):
        return [((SOURCE + word) * 4 * self.config.n_pe + lane * self.config.n_pe + self.index,
                 value) for word in range(N_SOURCE)
                for lane, value in enumerate(self.acts[SOURCE + word]) if value]

    def random_vector(self):
        """Start of a vector in rows that no tile writes, and its elements in this PE."""
        config, rng = self.config, self.rng
        source = rng.randrange(len(self.acts))
        n = rng.randint(1, (len(self.acts) - source) * ACTS_PER_WORD * config.n_pe)
        slot, last_pe = divmod(n - 1, config.n_pe)
        last_word, last_lane = divmod(slot, ACTS_PER_WORD)
        elements = sum(self.acts[source:], [])[:len(range(self.index, n, config.n_pe))]
        return {"kind": Kind.START, "body": {"start": {
            "codebook": rng.randrange(config.n_codebooks), "source": source, "send": 1,
            "last_word": last_word, "last_lane": last_lane, "last_pe": last_pe}}}, elements

    def results(self):
        """Written words by row; whether each tile overflows; events."""
        words, overflows = {}, []
        events = dict.fromkeys(("macs", "paddings", "spmat_reads"), 0)
        for base, columns, codebook, fields, activations in self.tiles:
            acc, overflow, held = [0] * self.config.acc_depth, False, None

            def add(row, product, acc=acc):
                exact = acc[row] + product
                acc[row] = wrap(exact, self.config.acc_width)
                return acc[row] != exact

            for column, value in activations:
                row = -1
                for n, (v, z) in enumerate(columns[column]):
                    row += z + 1
                    word = (self.pointers[base + column] + n) // self.config.entries_per_word
                    events["spmat_reads"] += word != held
                    held = word
                    events["macs" if v else "paddings"] += 1
                    if v:
                        weight = self.codebook[(codebook << self.config.v_width) + v]
                        overflow |= add(row, weight * value)
            for word in range(fields["last_word"] + 1):
                for lane, bias in enumerate(self.acts[self.bias + word]):
                    overflow |= add(4 * word + lane, bias << fields["bias_shift"])
                words[fields["destination"] + word] = [
                    self.finish(acc[4 * word + lane], fields) for lane in range(4)]
            overflows.append(int(overflow))
        return words, overflows, events

    def finish(self, acc, fields):
        value = round_shift(acc, fields["shift"])
        return saturate(relu(value) if fields["relu"] else value, self.config.act_width)


@pytest.mark.parametrize("config, stalls", each_once(CONFIGS, STALLS))
def test_tiles_are_computed_as_the_model_does(simulate, config, stalls):
    """Tiles follow one another without waiting for what is written, with vectors in between."""
    case = Case(config, seed=41)
    words, overflows, events = case.results()
    assert events["macs"] > 0
    dut = Pe(case.config)
    counted = dict.fromkeys(events, 0)
    n_scans = 0
    vectors, n_received, n_overlaps = [], 0, 0

    async def producer(ctx):
        nonlocal n_overlaps
        rng = random.Random(43)
        ctx.set(dut.index, case.index)
        await put(ctx, dut.link.load, list(case.loads()))
        for number, tile in enumerate(case.messages()):
            for message in tile:
                while ctx.get(dut.link.full) or (message["kind"] is Kind.START
                                                 and n_scans < number):
                    await ctx.tick()
                await put(ctx, dut.link.message, [message], stall=stalls.input, rng=rng)
                if n_received == len(vectors) and rng.random() < 0.8:
                    start, elements = case.random_vector()
                    vectors.append(elements)
                    n_overlaps += n_scans <= number
                    await put(ctx, dut.link.message, [start])

    async def vector_consumer(ctx):
        nonlocal n_received
        while True:
            found = await get_vector(ctx, dut.link.result, stall=stalls.output)
            assert found == vectors[n_received]
            n_received += 1

    async def scan_consumer(ctx):
        nonlocal n_scans
        for _ in range(N_TILES):
            received = await get(ctx, dut.link.scan, len(case.scanned()) + 1, stall=stalls.output)
            assert [(item.column, item.value) for item in received[:-1]] == case.scanned()
            assert [item.end for item in received] == [0] * len(case.scanned()) + [1]
            n_scans += 1

    async def consumer(ctx):
        assert await get(ctx, dut.link.written, N_TILES, stall=stalls.output) == overflows
        for row, word in words.items():
            assert case.layouts.act_word.from_bits(ctx.get(dut.act.data[row])) == word, row
        await nothing(ctx, dut.link.written)
        while n_received < len(vectors):
            await ctx.tick()
        await nothing(ctx, dut.link.scan)

    async def observer(ctx):
        async for *_, step in ctx.tick().sample(dut.link.events):
            for name in counted:
                counted[name] += step[name]

    simulate(dut, producer, scan_consumer, consumer, background=[observer, vector_consumer])
    assert counted == events
    assert n_overlaps >= 2    # vectors sent during scans


START = {"kind": Kind.START, "body": {"start": {}}}


def full_columns(n_columns, n_rows, config):
    """Words of columns that are full up to `n_rows`."""
    words = [word(Memory.PTR, column, column * n_rows) for column in range(n_columns + 1)]
    entries = Layouts.of(config).spmat_word.const([{"v": 1, "z": 0}] * config.entries_per_word)
    return words + [word(Memory.SPMAT, row, entries.as_value().value)
                    for row in range(-(-n_columns * n_rows // config.entries_per_word))]


def word(memory, address, data):
    """Word for all PEs."""
    return {"memory": memory, "address": address, "data": data, "everyone": 1}


def activation(column, value=1):
    return {"kind": Kind.ACTIVATION,
            "body": {"activation": {"pointer": column, "value": value}}}


@pytest.mark.parametrize("n_rows", [1, 3])
def test_an_entry_is_accumulated_in_every_cycle_from_the_first_to_the_last(simulate, n_rows):
    config = dataclasses.replace(PRESETS["tiny"], queue_depth=16)
    n_columns = 12
    dut = Pe(config)

    async def producer(ctx):
        await put(ctx, dut.link.load, full_columns(n_columns, n_rows, config))
        await put(ctx, dut.link.message, [START, *map(activation, range(n_columns))])

    async def consumer(ctx):
        await ctx.tick().until(dut.link.events.macs == 1)
        for _ in range(n_columns * n_rows - 1):
            *_, macs = await ctx.tick().sample(dut.link.events.macs)
            assert macs == 1
        for _ in range(10):
            *_, macs = await ctx.tick().sample(dut.link.events.macs)
            assert macs == 0

    simulate(dut, producer, consumer)


@pytest.mark.parametrize("drop", [True, False])
def test_empty_column_takes_a_cycle_only_if_it_is_not_dropped(simulate, drop):
    """Columns 0 and 4 have an entry each, and so many cycles between their accumulations."""
    config = dataclasses.replace(PRESETS["tiny"], drop_empty_columns=drop, queue_depth=16)
    pointers = [0, 4, 4, 4, 4, 5]
    dut = Pe(config)

    async def producer(ctx):
        await put(ctx, dut.link.load, full_columns(5, 2, config))
        await put(ctx, dut.link.load, [word(Memory.PTR, n, data)
                                       for n, data in enumerate(pointers)])
        await put(ctx, dut.link.message, [activation(n) for n in range(5)])

    async def consumer(ctx):
        await ctx.tick().until(dut.link.events.macs == 1)
        macs = []
        for _ in range(12):
            *_, step = await ctx.tick().sample(dut.link.events.macs)
            macs.append(step)
        gap = 0 if drop else 3
        assert macs == ([1] * 3 + [0] * gap + [1] + [0] * 8)[:12]

    simulate(dut, producer, consumer)


def test_queue_is_filling_when_queue_depth_columns_wait(simulate):
    """A column whose entries are being read no longer counts as waiting, and a start never does."""
    config = PRESETS["tiny"]
    dut = Pe(config)

    async def is_ever_filling(ctx, messages):
        seen = 0
        await put(ctx, dut.link.message, messages)
        for _ in range(10):
            seen |= ctx.get(dut.link.filling)
            await ctx.tick()
        return seen

    async def bench(ctx):
        await put(ctx, dut.link.load, full_columns(1, config.acc_depth, config))
        assert not await is_ever_filling(ctx, [START])
        columns = [activation(0)] * (1 + config.queue_depth)
        assert not await is_ever_filling(ctx, columns[1:])
        await ctx.tick().repeat(len(columns) * config.acc_depth)
        assert await is_ever_filling(ctx, columns)
        await ctx.tick().repeat(config.acc_depth)
        assert not ctx.get(dut.link.filling)

    simulate(dut, bench)


@pytest.mark.parametrize("first, meets", [(0, True), (1, False)])
def test_activations_loaded_during_write_back_arrive_in_their_place(simulate, first, meets):
    """Every other cycle, as the CCU sends them while a program runs.

    A row is written every fourth cycle: they meet with each of them, or with none.
    """
    config = PRESETS["tiny"]
    layouts = Layouts.of(config)
    destination, n_words = 8, config.tile_words
    rows = range(20, 60)
    dut = Pe(config)
    n_together = 0

    async def producer(ctx):
        await put(ctx, dut.link.load, full_columns(1, config.acc_depth, config))
        await put(ctx, dut.link.load, [word(Memory.CODEBOOK, 1, 1)])
        await put(ctx, dut.link.message, [START, activation(0, 5)])
        await ctx.tick().repeat(40)
        await put(ctx, dut.link.message, [{"kind": Kind.END, "body": {"end": {
            "destination": destination, "last_word": n_words - 1}}}])
        await ctx.tick().repeat(1 + first)
        for row in rows:
            await put(ctx, dut.link.load, [word(Memory.ACT, row, row)])
            await ctx.tick()
        await ctx.tick().repeat(20)
        for row in rows:
            assert ctx.get(dut.act.data[row]) == row
        for row in range(destination, destination + n_words):
            assert list(layouts.act_word.from_bits(ctx.get(dut.act.data[row]))) == [5] * 4

    async def consumer(ctx):
        await get(ctx, dut.link.scan, 1)
        assert await get(ctx, dut.link.written, 1) == [0]

    async def observer(ctx):
        nonlocal n_together
        was_loaded = False
        async for *_, valid, en, addr in ctx.tick().sample(
                dut.link.load.valid, dut.act.w.en, dut.act.w.addr):
            n_together += bool(was_loaded and en and addr < rows[0])
            was_loaded = valid

    simulate(dut, producer, consumer, background=[observer])
    assert n_together == n_words * meets


@pytest.mark.parametrize("delay, waits", [(8, False), (9, False), (10, True), (11, False)])
def test_start_in_the_cycle_after_a_word_finds_it_written(simulate, delay, waits):
    """Also if the word waits for a row of the write-back, the last one of a tile."""
    config = PRESETS["tiny"]
    destination, row = 8, 40
    dut = Pe(config)
    n_waits = 0

    async def producer(ctx):
        await put(ctx, dut.link.message, [START, {"kind": Kind.END, "body": {"end": {
            "destination": destination, "last_word": config.tile_words - 1}}}])
        await ctx.tick().until(dut.act.w.en)
        await ctx.tick().repeat(delay)
        await put(ctx, dut.link.load, [word(Memory.ACT, row, 5)])
        await put(ctx, dut.link.message, [
            {"kind": Kind.START, "body": {"start": {"source": row}}}])

    async def consumer(ctx):
        *_, found, end = await get(ctx, dut.link.scan, 3)
        assert (found.value, found.end, end.end) == (5, 0, 1)

    async def observer(ctx):
        nonlocal n_waits
        was_loaded = False
        async for *_, valid, en, addr in ctx.tick().sample(
                dut.link.load.valid, dut.act.w.en, dut.act.w.addr):
            n_waits += bool(was_loaded and en and addr != row)
            was_loaded = valid

    simulate(dut, producer, consumer, background=[observer])
    assert n_waits == waits
