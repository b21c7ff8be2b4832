"""WriteBack, against the functions of eie_hdl.numeric."""

import dataclasses
import random

import numpy as np
import pytest

from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import Layouts, Table
from eie_hdl.numeric import limits, relu, round_shift, saturate
from eie_hdl.pe.write_back import WriteBack
from eie_sim.golden.tables import apply_table
from support.row_scales import scale_row
from support.simulation import get, nothing, put

SMALL = EIEConfig(act_width=4, codebook_width=4, acc_width=8, act_depth=64, acc_depth=4)
CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "widest": EIEConfig(act_width=24, codebook_width=24, acc_width=60, n_pe=1),
    "widest-shift": EIEConfig(act_width=4, codebook_width=4, acc_width=60),
    "narrowest-shift": EIEConfig(act_width=24, codebook_width=4, acc_width=28, act_depth=2),
}


#: Machines with tables: every word of 8 bits, the widest, and that of five stages of the MAC.
TABLE_CONFIGS = {
    "tiny": dataclasses.replace(CONFIGS["tiny"], loops=True, tables=True),
    "default": EIEConfig(loops=True, tables=True),
    "widest": dataclasses.replace(CONFIGS["widest"], loops=True, tables=True),
    "narrowest": EIEConfig(act_width=6, codebook_width=4, acc_width=12, act_depth=64, acc_depth=4,
                           loops=True, tables=True),
    "five stages": EIEConfig(act_depth=64, mac_stages=5, loops=True, tables=True),
}


#: Machines whose rows can be scaled, with tables and without.
SCALE_CONFIGS = {
    "narrowest": EIEConfig(n_pe=1, act_width=9, codebook_width=12, acc_width=30, act_depth=64,
                           loops=True, scales=True),
    "default": EIEConfig(act_depth=64, loops=True, tables=True, scales=True),
    "widest": dataclasses.replace(CONFIGS["widest"], loops=True, tables=True, scales=True),
    "five stages": EIEConfig(act_depth=64, mac_stages=5, loops=True, tables=True, scales=True),
}


#: Machines with loops.
LOOP_CONFIGS = {"loops": dataclasses.replace(CONFIGS["tiny"], loops=True),
                **{f"tables, {name}": config for name, config in TABLE_CONFIGS.items()}}


def finish(acc, fields, width):
    value = round_shift(acc, fields["shift"])
    word = saturate(relu(value) if fields["relu"] else value, width)
    return int(apply_table(fields.get("table", 0), np.array(word), width))


def finish_scaled(row, fields, quantiser, config):
    """Return the word of a row (accumulator, fraction, shift), with that of the tile's codebook."""
    rounds = quantiser if fields["scale"] else {"rounding": 0, "zero": 0}
    word = scale_row(config, *row, shift=fields["shift"], relu=fields["relu"], **rounds)
    return int(apply_table(fields.get("table", 0), np.array(word), config.act_width))


def random_acc(rng, config, shift):
    """Random accumulator: any, a half, an end of its range, or on either side of saturation."""
    low, high = limits(config.acc_width)
    edge = rng.choice(limits(config.act_width)) << shift
    half = 1 << shift >> 1
    acc = rng.choice([rng.randint(low, high), rng.randint(-half * 9, half * 9), low, high,
                      rng.randint(-4, 4), (rng.randint(-9, 9) << shift) + half,
                      edge + rng.choice([-1, 0, 1]) * half + rng.randint(-2, 2)])
    return min(max(acc, low), high)


def random_tiles(rng, config, count=24):
    """Random tiles (fields, accumulators, overflow) with every shift."""
    tiles = []
    for number in range(count):
        shift = number % (config.max_shift + 1) if number % 3 else rng.randint(0, config.max_shift)
        n_words = rng.choice([1, 2, 5]) if config.act_depth > 5 else 1
        fields = {"destination": rng.randint(0, config.act_depth - n_words), "shift": shift,
                  "relu": rng.randrange(2)}
        accs = [random_acc(rng, config, shift) for _ in range(n_words * ACTS_PER_WORD)]
        tiles.append((fields, accs, rng.randrange(2)))
    return tiles


def rows(accs, overflow=0):
    return [{"acc": acc, "last": n == len(accs) - 1, "overflow": overflow and n == len(accs) - 1}
            for n, acc in enumerate(accs)]


def writes(fields, accs, config):
    """Return the expected writes (row, word) of a tile."""
    values = [finish(acc, fields, config.act_width) for acc in accs]
    return [(fields["destination"] + n // ACTS_PER_WORD, values[n:n + ACTS_PER_WORD])
            for n in range(0, len(values), ACTS_PER_WORD)]


def recorder(dut, config, written):
    """Background bench that logs writes."""
    async def record(ctx):
        async for *_, enable, row, data in ctx.tick().sample(dut.w.en, dut.w.addr, dut.w.data):
            if enable:
                word = Layouts.of(config).act_word.from_bits(data)
                written.append((row, [word[n] for n in range(ACTS_PER_WORD)]))
    return record


async def feed(ctx, dut, tiles, *, stall=0.0, rng=None):
    """Act as the drain: offer a tile, and its rows once it is accepted."""
    for fields, accs, overflow in tiles:
        await put(ctx, dut.tile, [fields], stall=stall, rng=rng)
        await put(ctx, dut.i, rows(accs, overflow), stall=stall, rng=rng)


def test_all_accumulators_shifts_and_signs_of_a_small_width(simulate):
    low, high = limits(SMALL.acc_width)
    accs = list(range(low, high + 1))
    tiles = [({"shift": shift, "relu": with_relu}, accs, 0)
             for shift in range(SMALL.max_shift + 1) for with_relu in (0, 1)]
    assert SMALL.max_shift == 7    # shifts out every bit but the sign
    expected = [write for fields, accs, _ in tiles
                for write in writes({"destination": 0, **fields}, accs, SMALL)]
    dut, written = WriteBack(SMALL), []

    async def producer(ctx):
        await feed(ctx, dut, tiles)

    async def consumer(ctx):
        await get(ctx, dut.written, len(tiles))

    simulate(dut, producer, consumer, background=[recorder(dut, SMALL, written)])
    assert written == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_words_and_tokens_follow_the_model(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(5)
    tiles = random_tiles(rng, config)
    expected = [write for fields, accs, _ in tiles for write in writes(fields, accs, config)]
    dut, written = WriteBack(config), []

    async def producer(ctx):
        await feed(ctx, dut, tiles, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        for number, (_, _, overflow) in enumerate(tiles):
            assert await get(ctx, dut.written, 1, stall=stalls.output) == [overflow], number
        await nothing(ctx, dut.written)

    simulate(dut, producer, consumer, background=[recorder(dut, config, written)])
    assert written == expected


def random_loop(rng, config):
    """Tiles of one descriptor, of which each has the same number of rows."""
    n_tiles, n_rows = rng.choice([1, 2, 5]), rng.randint(1, 9)
    n_words = -(-n_tiles * n_rows // ACTS_PER_WORD)
    fields = {"destination": rng.randint(0, config.act_depth - n_words),
              "shift": rng.randint(0, config.max_shift), "relu": rng.randrange(2),
              **({"table": rng.choice([*Table]).value} if config.tables else {})}
    return [({**fields, "begins_loop": number == 0, "ends_loop": number == n_tiles - 1},
             [random_acc(rng, config, fields["shift"]) for _ in range(n_rows)], rng.randrange(2))
            for number in range(n_tiles)]


@pytest.mark.parametrize("name", LOOP_CONFIGS)
def test_rows_of_the_tiles_of_a_loop_follow_one_another(simulate, stalls, name):
    """The last word is filled up with zeros. Words are never written in successive cycles."""
    config = LOOP_CONFIGS[name]
    rng = random.Random(9)
    loops = [random_loop(rng, config) for _ in range(24)]
    tiles = sum(loops, [])
    expected = []
    for loop in loops:
        accs = sum((accs for _, accs, _ in loop), [])
        expected += writes(loop[0][0], accs, config)
        expected[-1][1].extend([0] * (-len(accs) % ACTS_PER_WORD))
    dut, written, stored, cycles = WriteBack(config), [], [], []

    async def producer(ctx):
        await feed(ctx, dut, tiles, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        for number, (_, _, overflow) in enumerate(tiles):
            assert await get(ctx, dut.written, 1, stall=stalls.output) == [overflow], number
            assert len(stored) == number + 1
        await nothing(ctx, dut.written)

    async def watch(ctx):
        cycle = 0
        async for *_, enable, stores, token in ctx.tick().sample(
                dut.w.en, dut.stored, dut.written.valid):
            cycle += 1
            if enable:
                cycles.append(cycle)
            if stores:
                assert not token
                stored.append(len(cycles))

    simulate(dut, producer, consumer, background=[recorder(dut, config, written), watch])
    assert written == expected
    assert min(after - before for before, after in zip(cycles, cycles[1:])) > 1
    ends = [number for number, (fields, _, _) in enumerate(tiles) if fields["ends_loop"]]
    assert [stored[number] for number in ends] == [
        sum(-(-sum(len(accs) for _, accs, _ in loop) // ACTS_PER_WORD)
            for loop in loops[:number + 1]) for number in range(len(loops))]


def random_scaled_loop(rng, config):
    """Fields, quantiser and rows of the tiles of one descriptor, of which half scale."""
    width = config.act_width
    quantiser = {"rounding": rng.choice([0, width // 2, rng.randrange(1, 9)]),
                 "zero": rng.choice([-128, 127, rng.randint(-128, 127)])}
    scale = rng.randrange(2)

    def row(acc):
        if not scale:
            return acc, 0, 0
        return (acc, rng.choice([0, (1 << width) - 1, rng.randrange(1 << width)]),
                rng.choice([0, 15, rng.randrange(16)]))

    return [(fields | {"scale": scale}, quantiser, [row(acc) for acc in accs])
            for fields, accs, _ in random_loop(rng, config)]


async def feed_scaled(ctx, dut, tiles, rng):
    """Act as the drain and the MAC: a scale is a cycle before its row."""
    for fields, quantiser, tile_rows in tiles:
        await put(ctx, dut.tile, [fields])
        ctx.set(dut.quantiser, quantiser)
        for number in range(-1, len(tile_rows)):
            if number >= 0:
                ctx.set(dut.quantiser.as_value(), rng.getrandbits(12))
                ctx.set(dut.i.payload, {"acc": tile_rows[number][0],
                                        "last": number == len(tile_rows) - 1, "overflow": 0})
            ctx.set(dut.i.valid, number >= 0)
            ctx.set(dut.scale.as_value(), rng.getrandbits(14))
            if number + 1 < len(tile_rows):
                _, fraction, shift = tile_rows[number + 1]
                ctx.set(dut.scale, {"fraction": fraction, "shift": shift})
            await ctx.tick()
        ctx.set(dut.i.valid, 0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", SCALE_CONFIGS)
def test_rows_are_scaled_and_the_last_word_filled_up_with_zeros(simulate, stalls, name, seed):
    """Zeros are those of words, not of quantised results with a zero point."""
    config = SCALE_CONFIGS[name]
    rng = random.Random(seed)
    loops = [random_scaled_loop(rng, config) for _ in range(24)]
    expected = []
    for loop in loops:
        values = [finish_scaled(row, fields, quantiser, config)
                  for fields, quantiser, tile_rows in loop for row in tile_rows]
        values += [0] * (-len(values) % ACTS_PER_WORD)
        expected += [(loop[0][0]["destination"] + n // ACTS_PER_WORD, values[n:n + ACTS_PER_WORD])
                     for n in range(0, len(values), ACTS_PER_WORD)]
    tiles = sum(loops, [])
    dut, written = WriteBack(config), []

    async def producer(ctx):
        await feed_scaled(ctx, dut, tiles, rng)

    async def consumer(ctx):
        await get(ctx, dut.written, len(tiles), stall=stalls.output)
        await nothing(ctx, dut.written)

    simulate(dut, producer, consumer, background=[recorder(dut, config, written)])
    assert written == expected


@pytest.mark.parametrize("name", SCALE_CONFIGS)
def test_scales_delay_words_of_all_tiles_alike(simulate, name):
    config = SCALE_CONFIGS[name]
    dut = WriteBack(config)

    async def bench(ctx):
        for scale in (1, 0):
            await put(ctx, dut.tile, [{"scale": scale, "begins_loop": 1, "ends_loop": 1}])
            await put(ctx, dut.i, rows([0] * 4))
            for _ in range(3 + config.scale_stages + config.table_stages):
                assert not ctx.get(dut.w.en)
                await ctx.tick()
            assert ctx.get(dut.w.en) and ctx.get(dut.stored)
            await get(ctx, dut.written, 1)

    simulate(dut, bench)


def test_halves_are_rounded_up_and_excess_is_saturated(simulate):
    """Illustrative cases: 8-bit numbers, shifted by 2 and saturated to 4 bits."""
    cases = {6: 2, 5: 1, -6: -1, -7: -2, 2: 1, -2: 0, 29: 7, 30: 7, 127: 7, -34: -8, -35: -8,
             -128: -8}
    dut, written = WriteBack(SMALL), []

    async def producer(ctx):
        await feed(ctx, dut, [({"shift": 2}, list(cases), 0)])

    async def consumer(ctx):
        await get(ctx, dut.written, 1)

    simulate(dut, producer, consumer, background=[recorder(dut, SMALL, written)])
    assert [value for _, word in written for value in word] == list(cases.values())


def test_word_is_written_four_cycles_after_its_last_row(simulate):
    """With a row in every cycle, a word is written in every fourth."""
    dut = WriteBack(SMALL)

    async def bench(ctx):
        await put(ctx, dut.tile, [{"destination": 10}])
        enabled = []
        for row in [*rows([1] * 8), None, None, None, None, None]:
            ctx.set(dut.i.valid, row is not None)
            if row is not None:
                ctx.set(dut.i.payload, row)
            enabled.append(ctx.get(dut.w.en) and ctx.get(dut.w.addr))
            await ctx.tick()
        assert [(cycle, row) for cycle, row in enumerate(enabled) if row] == [
            (3 + 4, 10), (7 + 4, 11)]

    simulate(dut, bench)


@pytest.mark.parametrize("name", TABLE_CONFIGS)
def test_a_table_delays_words_of_all_tiles_alike(simulate, name):
    """Also those of tiles to which no function applies."""
    config = TABLE_CONFIGS[name]
    dut = WriteBack(config)

    async def bench(ctx):
        for table in (*Table, Table.NONE):
            await put(ctx, dut.tile, [{"table": table.value, "begins_loop": 1, "ends_loop": 1}])
            await put(ctx, dut.i, rows([0] * 4))
            for _ in range(3 + config.table_stages):
                assert not ctx.get(dut.w.en)
                await ctx.tick()
            assert ctx.get(dut.w.en) and ctx.get(dut.stored)
            await get(ctx, dut.written, 1)

    simulate(dut, bench)


@pytest.mark.parametrize("table, with_relu", [
    (table, with_relu) for table in Table for with_relu in (0, 1)])
def test_every_sum_has_the_result_of_its_function(simulate, table, with_relu):
    """Of 6 bits, with all fractions that are rounded, and sums beyond the range of results."""
    config = TABLE_CONFIGS["narrowest"]
    low, high = limits(8)
    fields = {"destination": 0, "shift": 2, "relu": with_relu, "table": table.value,
              "begins_loop": 1, "ends_loop": 1}
    accs = list(range(2 * low, 2 * high + 2))
    dut, written = WriteBack(dataclasses.replace(config, act_depth=256)), []

    async def producer(ctx):
        await feed(ctx, dut, [(fields, accs, 0)])

    async def consumer(ctx):
        await get(ctx, dut.written, 1)

    simulate(dut, producer, consumer, background=[recorder(dut, config, written)])
    assert written == writes(fields, accs, config)


def test_tile_is_stored_in_the_cycle_of_the_write_of_its_last_word(simulate, stalls):
    """Once per tile, before its token is offered."""
    config = CONFIGS["tiny"]
    rng = random.Random(7)
    tiles = random_tiles(rng, config)
    n_words = [len(accs) // ACTS_PER_WORD for _, accs, _ in tiles]
    dut, n_written, stored = WriteBack(config), 0, []

    async def producer(ctx):
        await feed(ctx, dut, tiles, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        for number in range(1, len(tiles) + 1):
            await get(ctx, dut.written, 1, stall=stalls.output)
            assert len(stored) == number

    async def watch(ctx):
        nonlocal n_written
        async for *_, enable, stores, token in ctx.tick().sample(
                dut.w.en, dut.stored, dut.written.valid):
            n_written += enable
            if stores:
                assert enable and not token
                stored.append(n_written)

    simulate(dut, producer, consumer, background=[watch])
    assert stored == [sum(n_words[:number + 1]) for number in range(len(tiles))]


def test_tile_is_accepted_when_the_previous_token_has_been(simulate):
    dut = WriteBack(SMALL)

    async def bench(ctx):
        assert ctx.get(dut.tile.ready) and not ctx.get(dut.written.valid)
        await put(ctx, dut.tile, [{}])
        ctx.set(dut.tile.valid, 1)
        ctx.set(dut.tile.p.destination, 3)
        await put(ctx, dut.i, rows([1, 2, 3, 4]))
        while not ctx.get(dut.w.en):
            assert not ctx.get(dut.tile.ready) and not ctx.get(dut.written.valid)
            await ctx.tick()
        assert not ctx.get(dut.written.valid)
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.written.valid) and not ctx.get(dut.tile.ready)
        ctx.set(dut.written.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.tile.ready) and not ctx.get(dut.written.valid)

    simulate(dut, bench)


def test_token_follows_the_last_write_and_not_an_earlier_one(simulate):
    dut, written = WriteBack(SMALL), []

    async def producer(ctx):
        await feed(ctx, dut, [({}, [1] * 12, 1), ({}, [2] * 4, 0)])

    async def consumer(ctx):
        assert await get(ctx, dut.written, 1) == [1]
        assert len(written) == 3
        assert await get(ctx, dut.written, 1) == [0]
        assert len(written) == 4

    simulate(dut, producer, consumer, background=[recorder(dut, SMALL, written)])
