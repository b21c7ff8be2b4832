"""SegmentTable, against a list of the segments that are being scanned."""

import random
from collections import deque

import pytest

from eie_hdl.ccu.segment_table import SegmentTable
from eie_hdl.config import EIEConfig
from eie_hdl.format import N_SEGMENTS
from support.simulation import get, nothing, put

CONFIG = EIEConfig(loops=True)


def random_tiles(rng, count):
    """Tiles as lists of segments, each an origin and the columns and values found in it."""
    return [[(rng.randrange(2048), [(rng.randrange(1 << 15), rng.randrange(1, 100))
                                    for _ in range(rng.randrange(4))])
             for _ in range(rng.randint(1, 5))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_activations_get_the_pointers_of_their_segments(simulate, stalls, seed):
    rng = random.Random(seed)
    tiles = random_tiles(rng, 25)
    dut = SegmentTable(CONFIG)
    started = deque()    # tiles that can be scanned, with the numbers of their segments
    expected = [(*((origin + column) % 2048, value), 0)
                for tile in tiles for origin, found in tile for column, value in found]

    closing = set(rng.sample(range(len(tiles)), 8))    # tiles that are the last of a descriptor
    n_found = 0

    async def starter(ctx):
        number = 0
        for n_started, tile in enumerate(tiles):
            while n_started - n_found == CONFIG.max_tiles:
                await ctx.tick()
            for part, (origin, _) in enumerate(tile):
                await put(ctx, dut.start, [{"origin": origin, "ends_tile": part == len(tile) - 1,
                                            "closes": n_started in closing}],
                          stall=stalls.input, rng=rng)
            started.append([(number + part) % N_SEGMENTS for part in range(len(tile))])
            number += len(tile)

    async def scanner(ctx):
        for tile in tiles:
            while not started:
                await ctx.tick()
            numbers = started.popleft()
            for number, (_, found) in zip(numbers, tile):
                await put(ctx, dut.i, [{"column": column, "value": value, "segment": number}
                                       for column, value in found], stall=stalls.input, rng=rng)
            await put(ctx, dut.i, [{"end": 1}])

    async def consumer(ctx):
        nonlocal n_found
        left = iter(expected)
        while n_found < len(tiles):
            (item,) = await get(ctx, dut.o, 1, stall=stalls.output, rng=rng)
            assert item.closes == (item.end and n_found in closing)
            assert item.end or (item.pointer, item.value, item.end) == next(left)
            n_found += item.end
        assert not list(left)
        await nothing(ctx, dut.o)

    simulate(dut, starter, scanner, consumer)


def test_there_is_room_for_as_many_segments_as_a_pe_has_and_an_end_frees_those_of_its_tile(
        simulate):
    dut = SegmentTable(CONFIG)
    tile_of = [3, 5, 6, 2]    # segments of each tile: 16

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for count in tile_of:
            await put(ctx, dut.start, [{"ends_tile": part == count - 1} for part in range(count)])
        assert sum(tile_of) == N_SEGMENTS
        for count in tile_of:
            assert not ctx.get(dut.start.ready)
            await put(ctx, dut.i, [{"end": 1}])
            await ctx.tick().repeat(2)    # one in the register, one until they are free
            for part in range(count):
                assert ctx.get(dut.start.ready)
                await put(ctx, dut.start, [{"ends_tile": part == count - 1}])

    simulate(dut, bench)
