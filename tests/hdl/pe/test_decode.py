"""EntryDecode, against a loop that counts rows."""

import random

import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Kind, Layouts
from eie_hdl.pe.decode import EntryDecode
from support.simulation import get, nothing, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "loops": EIEConfig(loops=True),
    "maximum": EIEConfig(loops=True, maximum=True),
    "scales": EIEConfig(loops=True, scales=True),
    "narrowest": EIEConfig(n_pe=1, v_width=2, z_width=2, acc_depth=4, entries_per_word=1,
                           n_codebooks=1),
    "widest": EIEConfig(v_width=8, z_width=8, acc_depth=1024, n_codebooks=256),
}


def entry(v, z, *, first=False, value=1):
    return {"kind": Kind.ACTIVATION, "body": {"activation": {"value": value}},
            "entry": {"v": v, "z": z}, "first": first}


def start(rng, config):
    mode = {"maximum": rng.randrange(2)} if config.maximum else {}
    return {"kind": Kind.START, "body": {"start": {
        "codebook": rng.randrange(config.n_codebooks), **mode}}}


def end(**fields):
    return {"kind": Kind.END, "body": {"end": fields}}


def random_column(rng, config):
    """Random entries of a column, all within the rows of a tile."""
    value, row, entries = rng.randrange(-2**(config.act_width - 1), -1), -1, []
    while (room := config.acc_depth - 2 - row) >= 0 and rng.random() < 0.9:
        z = min(rng.randrange(config.max_run + 1), room)
        v = 0 if rng.random() < 0.2 else rng.randrange(1, 1 << config.v_width)
        entries.append(entry(v, z, first=not entries, value=value))
        row += z + 1
    return entries


def random_work(rng, config, *, tiles=12, columns=5):
    """Tiles, of which some are started before the end of the one before."""
    work, is_early = [], False
    for tile in range(tiles):
        if not is_early:
            work.append(start(rng, config))
        body = [message for _ in range(columns) for message in random_column(rng, config)]
        is_early = tile + 1 < tiles and rng.random() < 0.5
        if is_early:
            body.insert(rng.randrange(len(body) + 1), start(rng, config))
        work += body
        if config.loops:    # more tiles of the same descriptor, or none
            work += [message for _ in range(tile % 3) for message in (
                end(destination=tile, ends_loop=0), *random_column(rng, config))]
            work.append(end(destination=tile, relu=tile % 2, ends_loop=1))
        else:
            work.append(end(destination=tile, relu=tile % 2))
    return work


def decode(work, config):
    """Expected output: (row, code, value, maximum) of an entry, (destination, relu, code) of an
    end.

    With ``scales``, the code of an end is that of entry 0 of the codebook of its tile.
    """
    operations, starts, row = [], [], None
    for message in work:
        body = message["body"]
        if message["kind"] is Kind.START:
            starts.append(body["start"])
        elif message["kind"] is Kind.END:
            code = starts[0]["codebook"] * 2**config.v_width if config.scales else None
            operations.append((body["end"]["destination"], body["end"].get("relu", 0), code))
            starts = starts[body["end"].get("ends_loop", 1):]
        else:
            v, z = message["entry"]["v"], message["entry"]["z"]
            row = (-1 if message["first"] else row) + z + 1
            if v != 0:
                operations.append((row, starts[0]["codebook"] * 2**config.v_width + v,
                                   body["activation"]["value"], starts[0].get("maximum")))
    return operations


def seen(operation, config):
    if operation.is_end:
        end = operation.body.end
        return end.destination, end.relu, operation.code if config.scales else None
    maximum = operation.maximum if "maximum" in operation.shape().members else None
    return operation.row, operation.code, operation.body.activation.value, maximum


def count_entries(work):
    return sum(message["kind"] is Kind.ACTIVATION for message in work)


def count_paddings(work):
    return sum(message["kind"] is Kind.ACTIVATION and message["entry"]["v"] == 0
               for message in work)


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_and_codes_follow_the_model(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(7)
    work = random_work(rng, config)
    expected = decode(work, config)
    walked, paddings = 0, 0
    dut = EntryDecode(config)

    async def producer(ctx):
        await put(ctx, dut.i, work, stall=stalls.input, rng=rng)

    async def consumer(ctx):
        received = await get(ctx, dut.o, len(expected), stall=stalls.output)
        assert [seen(operation, config) for operation in received] == expected
        await nothing(ctx, dut.o)

    async def observer(ctx):
        nonlocal walked, paddings
        async for *_, entry, padding in ctx.tick().sample(dut.walked, dut.padding):
            walked += entry
            paddings += padding

    simulate(dut, producer, consumer, background=[observer])
    assert walked == count_entries(work)
    assert paddings == count_paddings(work) > 0


def test_layout_of_an_end_is_kept(simulate):
    config = EIEConfig()
    dut = EntryDecode(config)
    fields = {"destination": 300, "bias": 77, "last_word": 15, "shift": 9, "bias_shift": 5,
              "relu": 1}

    async def producer(ctx):
        await put(ctx, dut.i, [end(**fields)])

    async def consumer(ctx):
        [operation] = await get(ctx, dut.o, 1)
        assert operation.body.end == Layouts.of(config).end.const(fields)

    simulate(dut, producer, consumer)


def test_a_maximal_run_is_skipped_by_padding_and_by_an_entry(simulate):
    """Padding advances 2 ** z_width rows, an entry one row more than its run."""
    config = PRESETS["tiny"]
    run = config.max_run
    dut = EntryDecode(config)

    async def producer(ctx):
        await put(ctx, dut.i, [entry(0, run, first=True), entry(1, run), entry(2, 0),
                               entry(3, run, first=True)])

    async def consumer(ctx):
        rows = [operation.row for operation in await get(ctx, dut.o, 3)]
        assert rows == [2 * run + 1, 2 * run + 2, run]

    simulate(dut, producer, consumer)


def test_throughput_and_latency_are_one_cycle(simulate):
    """Padding and starts take one cycle each."""
    config = PRESETS["tiny"]
    work = random_work(random.Random(1), config, tiles=3, columns=4)
    expected = iter(decode(work, config))
    dut = EntryDecode(config)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for message in work:
            ctx.set(dut.i.payload, message)
            assert ctx.get(dut.i.ready)
            is_padding = bool(count_paddings([message]))
            assert ctx.get(dut.padding) == is_padding
            assert ctx.get(dut.walked) == count_entries([message])
            await ctx.tick()
            goes_on = message["kind"] is not Kind.START and not is_padding
            assert ctx.get(dut.o.valid) == goes_on
            if goes_on:
                assert seen(ctx.get(dut.o.payload), config) == next(expected)
        assert next(expected, None) is None

    simulate(dut, bench)


@pytest.mark.parametrize("is_held", [False, True])
def test_no_entry_is_accepted_or_counted_while_the_output_is_stalled(simulate, is_held):
    """Whether an entry is held or not."""
    dut = EntryDecode(PRESETS["tiny"])

    async def bench(ctx):
        ctx.set(dut.o.ready, is_held)
        if is_held:
            await put(ctx, dut.i, [entry(1, 0, first=True)])
        ctx.set(dut.o.ready, 0)
        ctx.set(dut.i.payload, entry(0, 3))
        ctx.set(dut.i.valid, 1)
        counted = [dut.i.ready, dut.walked, dut.padding]
        for _ in range(3):
            assert [ctx.get(signal) for signal in counted] == [0, 0, 0]
            await ctx.tick()
        ctx.set(dut.o.ready, 1)
        assert [ctx.get(signal) for signal in counted] == [1, 1, 1]

    simulate(dut, bench)
