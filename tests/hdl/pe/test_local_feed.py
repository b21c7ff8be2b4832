"""LocalFeed, with scripts in place of scanner, CCU and activation queue."""

import random
from dataclasses import replace

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import N_SEGMENTS, Kind, Layouts
from eie_hdl.pe.local_feed import LocalFeed
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": replace(PRESETS["tiny"], loops=True, local=True),
    "default": EIEConfig(loops=True, local=True),
    "one PE": replace(PRESETS["tiny"], n_pe=1, loops=True, local=True),
}


class Descriptors:
    """Descriptors, of which some are local: tiles of segments, in which activations are found."""

    def __init__(self, config, rng, count):
        self.config, self.rng = config, rng
        self.tiles = []    # the number of its descriptor, is_local, closes, its segments
        for number in range(count):
            is_local, n_tiles = number % 3 != 1, rng.randint(1, 4)
            self.tiles += [(number, is_local, tile == n_tiles - 1,
                            [self._segment() for _ in range(rng.randint(1, 3))])
                           for tile in range(n_tiles)]

    def _segment(self):
        """An origin, and slots and values in its place."""
        return (self.rng.randrange(self.config.n_pointers),
                [(self.rng.randrange(4 * self.config.act_depth), self.rng.randrange(1, 99))
                 for _ in range(self.rng.choice([0, 1, 5]))])

    def columns(self, found):
        """Items of the scanner without their segment."""
        index = self.rng.randrange(self.config.n_pe)
        return [{"column": slot * self.config.n_pe + index, "value": value}
                for slot, value in found]

    def fed(self):
        """Expected activations and ends of the PE."""
        n_pointers = 1 << (self.config.n_pointers - 1).bit_length()
        is_first = True
        for number, is_local, closes, segments in self.tiles:
            if is_local:
                yield from ((Kind.ACTIVATION, (origin + slot) % n_pointers, value)
                            for origin, found in segments for slot, value in found)
                yield Kind.END, number, is_first, closes
            is_first = closes


def seen(message):
    end, activation = message.body.end, message.body.activation
    if message.kind is Kind.END:
        return message.kind, end.destination, end.begins_loop, end.ends_loop
    return message.kind, activation.pointer, activation.value


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CONFIGS)
def test_activations_of_local_tiles_are_fed_and_others_go_to_the_tree(simulate, stalls, name, seed):
    config, rng = CONFIGS[name], random.Random(seed)
    descriptors = Descriptors(config, rng, 12)
    dut = LocalFeed(config)
    scans, in_use = [], 0    # items of each tile; segments whose tile the tree has not ended
    tree, n_ended = [], 0
    expected = list(descriptors.fed())

    async def starter(ctx):
        nonlocal in_use
        number = 0
        for _, is_local, closes, segments in descriptors.tiles:
            items = []
            for origin, found in segments:
                while in_use == N_SEGMENTS:
                    await ctx.tick()
                in_use += 1
                ctx.set(dut.segment.payload, {"origin": origin, "closes": closes,
                                              "local": is_local})
                ctx.set(dut.segment.valid, 1)
                await ctx.tick()
                ctx.set(dut.segment.valid, 0)
                items += [{**item, "segment": number, "local": is_local}
                          for item in descriptors.columns(found)]
                number = (number + 1) % N_SEGMENTS
            scans.append([*items, {"end": 1, "local": is_local,
                                   "segment": (number - 1) % N_SEGMENTS}])

    async def scanner(ctx):
        for place in range(len(descriptors.tiles)):
            while place >= len(scans):
                await ctx.tick()
            await put(ctx, dut.found, scans[place], stall=stalls.input, rng=rng)

    async def ccu(ctx):
        """Broadcast the ends of local tiles, and starts at any time."""
        for place, (number, is_local, *_) in enumerate(descriptors.tiles):
            while n_ended < place or rng.random() < stalls.input:
                await broadcast(ctx, {"kind": Kind.START} if rng.random() < 0.2 else None)
            is_first = place == 0 or descriptors.tiles[place - 1][2]
            if is_local and is_first:
                await broadcast(ctx, {"kind": Kind.LOCAL_END,
                                      "body": {"end": {"destination": number}}})

    async def broadcast(ctx, message):
        if message:
            ctx.set(dut.message.payload, message)
            ctx.set(dut.message.valid, 1)
        *_, passed, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
        if message:
            assert passed == (message["kind"] != Kind.LOCAL_END)
            assert not passed or payload.kind is Kind.START
        ctx.set(dut.message.valid, 0)

    async def consumer(ctx):
        nonlocal in_use, n_ended
        for _, is_local, _, segments in descriptors.tiles:
            rest = [(slot, value) for _, found in segments for slot, value in found
                    if not is_local]
            for slot, value in rest:
                [item] = await get(ctx, dut.tree, 1, stall=stalls.output, rng=rng)
                assert (item.column // config.n_pe, item.value, item.end) == (slot, value, 0)
            [item] = await get(ctx, dut.tree, 1, stall=stalls.output, rng=rng)
            assert item.end
            in_use -= len(segments)
            n_ended += 1
        await nothing(ctx, dut.tree)
        assert tree == expected

    async def pipeline(ctx):
        """Take what is fed, unless the queue is filling."""
        others = random.Random(seed)
        while True:
            filling = others.random() < stalls.output
            ctx.set(dut.filling, filling)
            *_, valid, message, is_broadcast = await ctx.tick().sample(
                dut.o.valid, dut.o.payload, dut.message.valid)
            if valid and not is_broadcast:
                assert not filling
                tree.append(seen(message))

    simulate(dut, starter, scanner, ccu, consumer, background=[pipeline])


def test_the_tree_gets_an_end_after_the_pe(simulate):
    """So no activation that is broadcast later overtakes those of a local tile."""
    config = CONFIGS["tiny"]
    dut = LocalFeed(config)

    async def bench(ctx):
        ctx.set(dut.tree.ready, 1)
        ctx.set(dut.filling, 1)
        await put(ctx, dut.segment, [{"origin": 3, "closes": 1, "local": 1}])
        await put(ctx, dut.found, [{"column": 4 * config.n_pe, "value": 5, "local": 1}])
        ctx.set(dut.found.payload, {"end": 1, "local": 1})
        ctx.set(dut.found.valid, 1)
        ctx.set(dut.message.payload, {"kind": Kind.LOCAL_END})
        for valid in (1, 0):
            ctx.set(dut.message.valid, valid)
            await ctx.tick().repeat(valid + 4 * (1 - valid))
        assert not ctx.get(dut.o.valid) and not ctx.get(dut.tree.valid)
        ctx.set(dut.filling, 0)
        fed = []
        while not ctx.get(dut.tree.valid):
            if ctx.get(dut.o.valid):
                fed.append(ctx.get(dut.o.p.kind))
            await ctx.tick()
        assert fed == [Kind.ACTIVATION, Kind.END] and ctx.get(dut.found.ready)

    simulate(dut, bench)


def test_throughput_is_one_activation_per_cycle(simulate):
    """Three cycles pass from an end to the first activation after it."""
    config = CONFIGS["tiny"]
    dut = LocalFeed(config)
    n_found = 7
    item = {"column": config.n_pe, "value": 1, "local": 1}
    kinds = []

    async def scanner(ctx):
        await put(ctx, dut.segment, [{"local": 1}, {"local": 1, "closes": 1}])
        ctx.set(dut.message.payload, {"kind": Kind.LOCAL_END})
        ctx.set(dut.message.valid, 1)
        await ctx.tick()
        ctx.set(dut.message.valid, 0)
        for segment in (0, 1):
            await put(ctx, dut.found, [{**item, "segment": segment}] * n_found)
            await put(ctx, dut.found, [{"end": 1, "local": 1, "segment": segment}])

    async def watch(ctx):
        ctx.set(dut.tree.ready, 1)
        async for *_, valid, kind in ctx.tick().sample(dut.o.valid, dut.o.p.kind):
            kinds.append(kind if valid else None)

    simulate(dut, scanner, background=[watch])
    first = kinds.index(Kind.ACTIVATION)
    tile = [*[Kind.ACTIVATION] * n_found, Kind.END]
    assert kinds[first:first + 2 * len(tile) + 3] == [*tile, *[None] * 3, *tile]


def test_a_layout_without_local_mode_is_that_of_the_tree():
    layouts = Layouts.of(replace(CONFIGS["tiny"], local=False))
    assert layouts.leaf_scan == layouts.scan
