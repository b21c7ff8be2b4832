"""TileBroadcaster, with scripts in place of the starter and the scanners."""

import dataclasses
import random

import pytest

from eie_hdl.ccu.tile_broadcaster import TileBroadcaster
from eie_hdl.config import PRESETS
from eie_hdl.format import Kind, Layouts
from eie_hdl.registers import Error
from support.simulation import get, put

CONFIG = PRESETS["tiny"]
LOCAL = dataclasses.replace(CONFIG, loops=True, local=True)
LAYOUTS = Layouts.of(CONFIG)
PHASES = ("phase_control", "phase_compute", "phase_output", "stall_barrier")
FLAGS = ("barrier", "result_barrier", "frees_input")


def random_tile(rng):
    """Tile, and the activations that the scanners find in its source."""
    ptr_base = rng.randrange(CONFIG.n_pointers - 8)
    descriptor = {"ptr_base": ptr_base, "end": {"destination": rng.randrange(CONFIG.act_depth)},
                  **{name: rng.randrange(2) for name in FLAGS}}
    found = [{"column": rng.randrange(7), "value": rng.randrange(1, 99)}
             for _ in range(rng.choice([0, 1, 4]))]
    return {"descriptor": descriptor, "address": rng.randrange(CONFIG.program_depth),
            "program": rng.randrange(2)}, found


def seen(message):
    if message.kind is not Kind.ACTIVATION:
        return message.kind, message.body.end.destination
    return message.kind, message.body.activation.pointer, message.body.activation.value


def messages(tiles):
    """Expected messages."""
    for tile, found in tiles:
        descriptor = tile["descriptor"]
        for item in found:
            yield Kind.ACTIVATION, descriptor["ptr_base"] + item["column"], item["value"]
        yield Kind.END, descriptor["end"]["destination"]


def phases(ctx, dut):
    """Names of the phases of this cycle."""
    return [name for name in PHASES if ctx.get(getattr(dut.strobes, name))]


def test_tiles_are_broadcast_in_order(simulate, stalls):
    """In each cycle of a tile, one phase is counted; buffers are freed at ends."""
    rng = random.Random(3)
    tiles = [random_tile(rng) for _ in range(30)]
    dut = TileBroadcaster(CONFIG)
    freed = []

    async def starter(ctx):
        await put(ctx, dut.i, [tile for tile, _ in tiles], stall=stalls.input, rng=rng)

    async def scanners(ctx):
        for _, found in tiles:
            await put(ctx, dut.scan, [*found, {"end": 1}], stall=stalls.input, rng=rng)

    async def consumer(ctx):
        expected = list(messages(tiles))
        received = await get(ctx, dut.o, len(expected), stall=stalls.output, rng=rng)
        assert list(map(seen, received)) == expected
        assert not ctx.get(dut.busy)

    async def watch(ctx):
        async for *_, busy, strobes, frees, ends in ctx.tick().sample(
                dut.busy, dut.strobes, dut.frees_input,
                dut.o.valid & dut.o.ready & (dut.o.p.kind == Kind.END)):
            assert sum(getattr(strobes, name) for name in PHASES) == busy
            assert ends or not frees
            freed.extend([frees] * bool(frees))

    simulate(dut, starter, scanners, consumer, background=[watch])
    assert freed == [1 << tile["program"] for tile, _ in tiles
                     if tile["descriptor"]["frees_input"]]


def test_a_tile_follows_the_one_before_without_a_pause(simulate):
    """An end takes the place of the end of the scan."""
    dut = TileBroadcaster(CONFIG)
    items = [{"column": 1}, {"column": 2}, {"end": 1}] * 3

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.scan.valid, 1)
        for number, item in enumerate(items):
            ctx.set(dut.scan.payload, item)
            assert ctx.get(dut.o.valid) and ctx.get(dut.scan.ready)
            assert ctx.get(dut.i.ready) == (number % 3 == 2)
            assert phases(ctx, dut) == ["phase_control" if number % 3 == 2 else "phase_compute"]
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("result_barrier", [0, 1])
def test_an_end_waits_for_results_only_with_a_result_barrier(simulate, result_barrier):
    """Activations do not wait; the input buffer is not freed before the end."""
    dut = TileBroadcaster(CONFIG)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.sending, 1)
        await put(ctx, dut.i, [{"descriptor": {"result_barrier": result_barrier,
                                               "frees_input": 1}, "program": 1}])
        await put(ctx, dut.scan, [{"column": 1, "value": 2}])
        ctx.set(dut.scan.payload, {"end": 1})
        ctx.set(dut.scan.valid, 1)
        for _ in range(8 * result_barrier):
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.scan.ready)
            assert not ctx.get(dut.frees_input) and phases(ctx, dut) == ["phase_output"]
            await ctx.tick()
        ctx.set(dut.sending, not result_barrier)
        assert ctx.get(dut.o.valid) and ctx.get(dut.frees_input) == 2
        assert phases(ctx, dut) == ["phase_control"]
        await ctx.tick()
        assert not ctx.get(dut.busy)

    simulate(dut, bench)


@pytest.mark.parametrize("barrier", [0, 1])
def test_only_the_first_item_of_a_tile_is_waited_for_at_its_barrier(simulate, barrier):
    dut = TileBroadcaster(CONFIG)

    async def wait(ctx, phase, *, stall_scan):
        for _ in range(5):
            assert phases(ctx, dut) == [phase]
            assert ctx.get(dut.strobes.stall_scan) == stall_scan
            await ctx.tick()

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await put(ctx, dut.i, [{"descriptor": {"barrier": barrier}}])
        await wait(ctx, "stall_barrier" if barrier else "phase_compute", stall_scan=not barrier)
        await put(ctx, dut.scan, [{"column": 1, "value": 2}])
        await wait(ctx, "phase_compute", stall_scan=1)
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.queues_full, 1)
        ctx.set(dut.scan.valid, 1)
        await wait(ctx, "phase_compute", stall_scan=0)
        assert ctx.get(dut.strobes.stall_full)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.scan.payload, {"end": 1})
        await wait(ctx, "phase_control", stall_scan=0)
        assert not ctx.get(dut.strobes.stall_full)

    simulate(dut, bench)


def test_bad_pointers_are_errors_of_the_program_of_their_tile(simulate):
    """In the cycle after they are broadcast, with a value of zero; in it, nothing is offered.

    The pointer after them must exist, too.
    """
    dut = TileBroadcaster(CONFIG)
    last = CONFIG.n_pointers - 2

    async def bench(ctx):
        await put(ctx, dut.i, [{"descriptor": {"ptr_base": last - 1}, "address": 6, "program": 1}])
        ctx.set(dut.scan.valid, 1)
        for column, is_bad in [(0, False), (1, False), (2, True), (0, False), (2, True)]:
            ctx.set(dut.scan.payload, {"column": column, "value": 1})
            for ready in (0, 1):
                ctx.set(dut.o.ready, ready)
                assert ctx.get(dut.o.valid) and ctx.get(dut.errors[1].code) == Error.NONE
                assert ctx.get(dut.o.p.body.activation.value) == (not is_bad)
                await ctx.tick()
            if is_bad:
                ctx.set(dut.scan.payload, {"end": 1})
                error = ctx.get(dut.errors[1])
                assert (error.code, error.address) == (Error.BAD_POINTER, 6)
                assert not ctx.get(dut.o.valid) and not ctx.get(dut.scan.ready)
                await ctx.tick()
            assert ctx.get(dut.errors[0].code) == Error.NONE

    simulate(dut, bench)


def test_items_are_not_taken_without_a_tile(simulate):
    dut = TileBroadcaster(CONFIG)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for item in ({"column": 1}, {"end": 1}):
            ctx.set(dut.scan.payload, item)
            ctx.set(dut.scan.valid, 1)
            await ctx.tick().repeat(3)
            assert not ctx.get(dut.scan.ready) and not ctx.get(dut.o.valid)
            assert not phases(ctx, dut) and not ctx.get(dut.busy)

    simulate(dut, bench)


@pytest.mark.parametrize("result_barrier", [0, 1])
def test_a_loop_has_an_end_for_each_tile_and_is_one_descriptor(simulate, stalls, result_barrier):
    """Pointers come from the scan. The input buffer is freed at the last end."""
    config = dataclasses.replace(CONFIG, loops=True)
    dut = TileBroadcaster(config)
    rng = random.Random(5)
    loops = []    # the number of tiles, and the descriptor
    for number in range(12):
        n_tiles, last_row = rng.choice([1, 2, 5]), rng.randrange(9)
        loops.append((n_tiles, {
            "end": {"destination": number, "last_word": last_row // 4, "last_lane": last_row % 4},
            "frees_input": 1, "result_barrier": result_barrier}))
    scans = [[{"pointer": rng.randrange(256), "value": rng.randrange(1, 99)}
              for _ in range(rng.choice([0, 1, 3]))] for n_tiles, _ in loops
             for _ in range(n_tiles)]
    closes = [tile == n_tiles - 1 for n_tiles, _ in loops for tile in range(n_tiles)]
    expected, places = [], iter(scans)
    for number, (n_tiles, _) in enumerate(loops):
        for tile in range(n_tiles):
            expected += [(Kind.ACTIVATION, item["pointer"], item["value"])
                         for item in next(places)]
            expected.append((Kind.END, number, tile == 0, tile == n_tiles - 1))
    freed = []

    async def starter(ctx):
        await put(ctx, dut.i, [{"descriptor": descriptor, "program": number % 2}
                               for number, (_, descriptor) in enumerate(loops)],
                  stall=stalls.input, rng=rng)

    async def scanners(ctx):
        for found, is_last in zip(scans, closes):
            await put(ctx, dut.scan, [*found, {"end": 1, "closes": is_last}], stall=stalls.input,
                      rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output, rng=rng)
        assert [(*seen(message), message.body.end.begins_loop, message.body.end.ends_loop)
                if message.kind is Kind.END else seen(message)
                for message in received] == expected
        assert not ctx.get(dut.busy)

    async def watch(ctx):
        async for *_, frees, closes in ctx.tick().sample(
                dut.frees_input, dut.o.valid & dut.o.ready & (dut.o.p.kind == Kind.END)
                & dut.o.p.body.end.ends_loop):
            assert bool(frees) == closes
            freed.extend([frees] * bool(frees))

    simulate(dut, starter, scanners, consumer, background=[watch])
    assert freed == [1 << number % 2 for number in range(len(loops))]


@pytest.mark.parametrize("result_barrier", [0, 1])
def test_of_local_tiles_only_their_ends_are_found_after_a_message_for_all(simulate, stalls,
                                                                         result_barrier):
    """Other loops come between. Their activations are the only broadcasts that are counted."""
    dut = TileBroadcaster(LOCAL)
    rng = random.Random(6)
    descriptors, items, expected, log = [], [], [], []
    n_activations = n_broadcasts = 0
    for number in range(16):
        local, n_tiles = int(number % 4 != 2), rng.choice([1, 2, 5])
        descriptors.append({"descriptor": {
            "end": {"destination": number}, "loop": {"local": local}, "frees_input": number % 3 > 0,
            "barrier": rng.randrange(2), "result_barrier": result_barrier}, "program": number % 2})
        expected += [(Kind.LOCAL_END, number)] * local
        for tile in range(n_tiles):
            closes = tile == n_tiles - 1
            if not local:
                found = [{"pointer": rng.randrange(256), "value": rng.randrange(1, 99)}
                         for _ in range(rng.choice([0, 3]))]
                items += found
                n_activations += len(found)
                expected += [*((Kind.ACTIVATION, item["pointer"], item["value"])
                               for item in found), (Kind.END, number)]
            items.append({"end": 1, "closes": closes})
            expected.append(("taken", closes << number % 2 if number % 3 else 0))

    async def starter(ctx):
        await put(ctx, dut.i, descriptors, stall=stalls.input, rng=rng)

    async def scanners(ctx):
        await put(ctx, dut.scan, items, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        await get(ctx, dut.o, sum(kind != "taken" for kind, *_ in expected), stall=stalls.output,
                  rng=rng)
        while ctx.get(dut.busy):
            await ctx.tick()

    async def sender(ctx):
        others = random.Random(7)
        while True:
            if ctx.get(dut.sending) or not ctx.get(dut.o.valid):    # a message offered stays
                ctx.set(dut.sending, others.random() < stalls.output)
            await ctx.tick()

    async def watch(ctx):
        nonlocal n_broadcasts
        async for *_, busy, strobes, frees, sent, message, ends in ctx.tick().sample(
                dut.busy, dut.strobes, dut.frees_input, dut.o.valid & dut.o.ready, dut.o.payload,
                dut.scan.valid & dut.scan.ready & dut.scan.p.end):
            assert sum(getattr(strobes, name) for name in PHASES) == busy
            assert ends or not frees
            n_broadcasts += strobes.broadcasts
            log.extend([seen(message)] * sent + [("taken", frees)] * ends)

    simulate(dut, starter, scanners, consumer, background=[sender, watch])
    assert log == expected
    assert n_broadcasts == n_activations


@pytest.mark.parametrize("result_barrier", [0, 1])
def test_only_the_message_for_local_tiles_waits_for_results(simulate, result_barrier):
    """It marks the first tile of a loop. Ends that are found are taken without another one."""
    dut = TileBroadcaster(LOCAL)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.sending, 1)
        await put(ctx, dut.i, [{"descriptor": {"result_barrier": result_barrier, "barrier": 1,
                                               "frees_input": 1, "loop": {"local": 1}}}])
        for valid in [0, 1] * 4 * result_barrier:
            ctx.set(dut.scan.payload, {"end": 1})
            ctx.set(dut.scan.valid, valid)
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.scan.ready)
            assert phases(ctx, dut) == ["phase_output"]
            await ctx.tick()
        ctx.set(dut.scan.valid, 0)
        ctx.set(dut.sending, not result_barrier)
        assert ctx.get(dut.o.valid) and ctx.get(dut.o.p.kind) is Kind.LOCAL_END
        assert phases(ctx, dut) == ["phase_control"]
        await ctx.tick()
        ctx.set(dut.sending, 1)
        for closes in (0, 1):
            ctx.set(dut.scan.valid, 0)
            # The PEs compute, or wait for earlier tiles, of which nothing is known.
            for _ in range(3):
                assert phases(ctx, dut) == ["phase_compute"] and not ctx.get(dut.o.valid)
                assert not ctx.get(dut.strobes.stall_scan)
                await ctx.tick()
            ctx.set(dut.scan.payload, {"end": 1, "closes": closes})
            ctx.set(dut.scan.valid, 1)
            assert ctx.get(dut.scan.ready) and not ctx.get(dut.o.valid)
            assert phases(ctx, dut) == ["phase_control"]
            assert ctx.get(dut.frees_input) == closes and ctx.get(dut.i.ready) == closes
            await ctx.tick()
        assert not ctx.get(dut.busy)

    simulate(dut, bench)
