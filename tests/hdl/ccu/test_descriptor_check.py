"""DescriptorCheck, against the rules in Python."""

import dataclasses
import random

import pytest

from eie_hdl.ccu.descriptor_check import DescriptorCheck
from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import LOCAL_MULTIPLES, Layouts, Table
from eie_hdl.registers import Error

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    "no power of two": dataclasses.replace(PRESETS["tiny"], act_depth=50, codebook_width=8,
                                           acc_width=18),
    "smallest": EIEConfig(n_pe=1, n_codebooks=1, acc_depth=4, act_depth=2, ptr_depth=2,
                          program_depth=2),
    # A whole tile would be larger than the memory.
    "shallow": dataclasses.replace(PRESETS["tiny"], act_depth=3, acc_depth=64),
}
#: A descriptor of the tiny machine with which nothing is wrong, and which ends at every edge.
GOOD = {"source": 8, "last_word": 7, "codebook": 2, "send": 0, "destination": 60,
        "bias": 60, "end_last_word": 3, "bias_shift": 5, "final": 0, "valid": 1}


def descriptor(layouts, fields):
    start = {name: fields[name] for name in ("source", "last_word", "codebook", "send")}
    end = {name: fields[name] for name in ("bias", "bias_shift")}
    return layouts.descriptor.const({
        "start": start, "end": {**end, "last_word": fields["end_last_word"]},
        "final": fields["final"], "valid": fields["valid"]})


def model(config, fields, source, is_last):
    """Expected error, with unbounded row numbers."""
    if not fields["valid"] or is_last and not fields["final"]:
        return Error.NO_END
    read = set(range(source, source + fields["last_word"] + 1))
    n_written = fields["end_last_word"] + 1
    written = set(range(fields["destination"], fields["destination"] + n_written))
    biases = set(range(fields["bias"], fields["bias"] + n_written))
    used = read if fields["send"] else read | written | biases
    bad = max(used) >= config.act_depth
    if not fields["send"]:
        bad |= bool(read & written) or fields["codebook"] >= config.n_codebooks
        bad |= 1 << fields["bias_shift"] >= 1 << config.codebook_width - 1    # a positive weight
    return Error.BAD_DESCRIPTOR if bad else Error.NONE


async def code(ctx, dut, layouts, fields, source, is_last):
    ctx.set(dut.descriptor, descriptor(layouts, fields))
    ctx.set(dut.source, source)
    ctx.set(dut.destination, fields["destination"])
    ctx.set(dut.last, is_last)
    await ctx.tick()
    return Error(ctx.get(dut.code))


@pytest.mark.parametrize("changes, source, is_last, error", [
    ({}, 8, 0, Error.NONE),
    ({"valid": 0}, 8, 0, Error.NO_END),
    ({}, 8, 1, Error.NO_END),
    ({"final": 1}, 8, 1, Error.NONE),
    ({"final": 1, "valid": 0}, 8, 1, Error.NO_END),
    # The last row is in the memory, or not; also where the offset of a buffer has moved it.
    ({"send": 1}, 56, 0, Error.NONE),
    ({"send": 1}, 57, 0, Error.BAD_DESCRIPTOR),
    ({"send": 1}, 2 * 64 - 1, 0, Error.BAD_DESCRIPTOR),
    ({"send": 1, "last_word": 63}, 0, 0, Error.NONE),
    ({"send": 1, "last_word": 63}, 1, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 61}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 63, "end_last_word": 0}, 8, 0, Error.NONE),
    ({"destination": 64, "end_last_word": 0}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 2 * 64 - 1, "end_last_word": 0}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"bias": 61}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 63, "bias": 63, "end_last_word": 0}, 8, 0, Error.NONE),
    # The destination may touch the source on both sides, no more.
    ({}, 52, 0, Error.NONE),
    ({}, 53, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 4}, 8, 0, Error.NONE),
    ({"destination": 5}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 15}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 16}, 8, 0, Error.NONE),
    ({"destination": 10, "end_last_word": 0}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"destination": 5, "last_word": 0}, 7, 0, Error.BAD_DESCRIPTOR),
    ({"bias": 8}, 8, 0, Error.NONE),
    ({"codebook": 3}, 8, 0, Error.BAD_DESCRIPTOR),
    ({"bias_shift": 6}, 8, 0, Error.BAD_DESCRIPTOR),
    # A vector that is sent needs no tile.
    ({"send": 1, "destination": 63, "bias": 63, "codebook": 3, "bias_shift": 7}, 8, 0,
     Error.NONE),
])
def test_every_rule_has_its_edge(simulate, changes, source, is_last, error):
    config = CONFIGS["tiny"]
    assert (config.act_depth, config.n_codebooks, config.max_bias_shift) == (64, 3, 5)
    dut = DescriptorCheck(config)

    async def bench(ctx):
        found = await code(ctx, dut, Layouts.of(config), {**GOOD, **changes}, source, is_last)
        assert found is error

    simulate(dut, bench)


#: A loop of 3 pixels of 6 rows, with 3 segments of 5 columns, which ends at every edge.
LOOP = {"width": 1, "length": 5, "columns": 16, "last_slot": 17, "ptr_base": 239, "last_row": 5}


@pytest.mark.parametrize("changes, error", [
    ({}, Error.NONE),
    ({"width": 0}, Error.BAD_DESCRIPTOR),
    ({"length": 0}, Error.BAD_DESCRIPTOR),
    ({"length": 16}, Error.NONE),
    ({"length": 17}, Error.BAD_DESCRIPTOR),
    ({"length": 1}, Error.NONE),
    ({"length": 1, "columns": 17, "ptr_base": 0}, Error.BAD_DESCRIPTOR),
    ({"ptr_base": 240}, Error.BAD_DESCRIPTOR),    # pointer 256 does not exist
    ({"ptr_base": 255, "columns": 255}, Error.BAD_DESCRIPTOR),
    ({"last_slot": 5}, Error.NONE),
    ({"last_slot": 4}, Error.BAD_DESCRIPTOR),
    ({"last_slot": 19}, Error.NONE),    # the last row of the memory
    ({"last_slot": 20}, Error.BAD_DESCRIPTOR),
    ({"send": 1, "width": 0, "length": 0, "last_slot": 20, "ptr_base": 255}, Error.NONE),
])
def test_every_rule_of_loops_has_its_edge(simulate, changes, error):
    config = dataclasses.replace(CONFIGS["tiny"], loops=True)
    assert (config.n_pointers, config.act_depth) == (256, 64)
    dut = DescriptorCheck(config)
    fields = {"send": 0, **LOOP, **changes}

    async def bench(ctx):
        ctx.set(dut.descriptor, {
            "start": {"send": fields["send"]}, "ptr_base": fields["ptr_base"], "valid": 1,
            "end": {"last_word": fields["last_row"] // 4, "last_lane": fields["last_row"] % 4},
            "loop": {name: fields[name] for name in ("width", "length", "columns", "last_slot")}})
        ctx.set(dut.destination, 59)
        await ctx.tick()
        assert Error(ctx.get(dut.code)) is error

    simulate(dut, bench)


@pytest.mark.parametrize("send, changes, error", [
    (0, {"factor": 62, "multiply": 1}, Error.NONE),    # the last two rows of the memory
    (0, {"factor": 63, "multiply": 1}, Error.BAD_DESCRIPTOR),
    (0, {"factor": 63}, Error.NONE),
    (0, {"factor": 63, "multiply": 1, "last_word": 0, "last_lane": 3}, Error.NONE),
    # In place, and a square.
    (0, {"bias": 59, "factor": 59, "multiply": 1}, Error.NONE),
    (0, {"bias": 63, "multiply": 1}, Error.BAD_DESCRIPTOR),
    (0, {"bias_shift": 7, "multiply": 1}, Error.BAD_DESCRIPTOR),
    *((0, {"table": table.value}, Error.NONE) for table in Table),
    (0, {"table": len(Table)}, Error.BAD_DESCRIPTOR),
    (1, {"table": len(Table), "factor": 63, "multiply": 1}, Error.NONE),
])
def test_factors_and_tables_have_their_edges(simulate, send, changes, error):
    config = dataclasses.replace(CONFIGS["tiny"], codebook_width=8, loops=True, products=True,
                                 tables=True)
    assert (config.act_depth, config.max_bias_shift) == (64, 6)
    dut = DescriptorCheck(config)

    async def bench(ctx):
        # A bad descriptor before it leaves nothing behind.
        for bad in (True, False):
            ctx.set(dut.descriptor, {
                "start": {"send": send}, "valid": 1,
                "end": {"last_word": 1, "last_lane": 1, **changes,
                        **({"factor": 63, "multiply": 1, "table": 3} if bad else {})},
                "loop": {name: LOOP[name] for name in ("width", "length", "columns", "last_slot")}})
            ctx.set(dut.destination, 59)
            await ctx.tick()
            if bad:
                assert Error(ctx.get(dut.code)) is (Error.NONE if send else Error.BAD_DESCRIPTOR)
        assert Error(ctx.get(dut.code)) is error

    simulate(dut, bench)


@pytest.mark.parametrize("products", [False, True])
@pytest.mark.parametrize("send, changes, error", [
    (0, {"factor": 60, "scale": 1}, Error.NONE),    # the last four rows of the memory
    (0, {"factor": 61, "scale": 1}, Error.BAD_DESCRIPTOR),
    (0, {"factor": 63, "scale": 1}, Error.BAD_DESCRIPTOR),
    (0, {"factor": 63}, Error.NONE),
    (0, {"factor": 62, "scale": 1, "last_word": 0, "last_lane": 0}, Error.NONE),
    (0, {"factor": 63, "scale": 1, "last_word": 0, "last_lane": 0}, Error.BAD_DESCRIPTOR),
    (0, {"bias": 63, "scale": 1}, Error.BAD_DESCRIPTOR),
    (0, {"factor": 62, "multiply": 1}, Error.NONE),
    (0, {"factor": 0, "multiply": 1, "scale": 1}, Error.BAD_DESCRIPTOR),
    (1, {"factor": 63, "multiply": 1, "scale": 1}, Error.NONE),
])
def test_a_tile_that_scales_reads_twice_as_many_rows(simulate, products, send, changes, error):
    if "multiply" in changes and not products:
        pytest.skip("no products")
    config = dataclasses.replace(CONFIGS["tiny"], act_width=9, codebook_width=12, acc_width=24,
                                 loops=True, products=products, scales=True)
    assert config.act_depth == 64
    dut = DescriptorCheck(config)

    async def bench(ctx):
        ctx.set(dut.descriptor, {
            "start": {"send": send}, "valid": 1, "end": {"last_word": 1, "last_lane": 1, **changes},
            "loop": {name: LOOP[name] for name in ("width", "length", "columns", "last_slot")}})
        ctx.set(dut.destination, 59)
        await ctx.tick()
        assert Error(ctx.get(dut.code)) is error

    simulate(dut, bench)


#: A local loop of 3 segments of 12 columns, with 9 pointers before the last.
LOCAL = {"x": -8, "x_step": 4, "y": -16, "y_step": 32, "segment_step": 16, "width": 16,
         "length": 12, "columns": 36, "last_slot": 17, "local": 1}


@pytest.mark.parametrize("ptr_base, changes, error", [
    (246, {}, Error.NONE),
    (247, {}, Error.BAD_DESCRIPTOR),    # pointer 256 does not exist
    (246, {"local": 0}, Error.BAD_DESCRIPTOR),
    *((0, {name: LOCAL[name] + more}, Error.BAD_DESCRIPTOR)
      for name in LOCAL_MULTIPLES for more in (1, -2)),
    *((0, {name: LOCAL[name] + 4}, Error.NONE) for name in LOCAL_MULTIPLES),
    (0, {"local": 0, **{name: LOCAL[name] + 1 for name in LOCAL_MULTIPLES}}, Error.NONE),
])
def test_numbers_of_a_local_loop_are_multiples_of_the_pes(simulate, ptr_base, changes, error):
    config = dataclasses.replace(CONFIGS["tiny"], loops=True, local=True)
    assert (config.n_pe, config.n_pointers) == (4, 256)
    dut = DescriptorCheck(config)

    async def bench(ctx):
        ctx.set(dut.descriptor, {"ptr_base": ptr_base, "valid": 1,
                                 "end": {"last_word": 1, "last_lane": 1},
                                 "loop": {**LOCAL, **changes}})
        ctx.set(dut.destination, 59)
        await ctx.tick()
        assert Error(ctx.get(dut.code)) is error

    simulate(dut, bench)


@pytest.mark.parametrize("name", CONFIGS)
def test_any_descriptor_is_judged_as_by_the_model(simulate, name):
    """Half of them have rows that are likely to exist."""
    config = CONFIGS[name]
    layouts = Layouts.of(config)
    rng = random.Random(101)
    dut = DescriptorCheck(config)

    def random_fields():
        widths = {"last_word": layouts.start.members["last_word"].width,
                  "codebook": layouts.start.members["codebook"].width, "send": 1,
                  "destination": layouts.end.members["destination"].width + 1,
                  "bias": layouts.end.members["bias"].width,
                  "bias_shift": layouts.end.members["bias_shift"],
                  "end_last_word": layouts.end.members["last_word"]}
        fields = {field: rng.getrandbits(width) for field, width in widths.items()}
        if rng.random() < 0.5:
            room = max(1, config.act_depth - config.acc_depth // ACTS_PER_WORD + 1)
            fields |= {"last_word": rng.randrange(config.act_depth // 2),
                       "end_last_word": rng.randrange(min(config.tile_words, config.act_depth)),
                       "destination": rng.randrange(room), "bias": rng.randrange(room),
                       "codebook": rng.randrange(config.n_codebooks),
                       "bias_shift": rng.randint(0, config.max_bias_shift)}
        return {**fields, "source": rng.getrandbits(widths["bias"]),
                "final": rng.randrange(2), "valid": rng.random() < 0.9}

    async def bench(ctx):
        seen = dict.fromkeys((Error.NONE, Error.NO_END, Error.BAD_DESCRIPTOR), 0)
        for _ in range(500):
            fields, is_last = random_fields(), rng.random() < 0.1
            source = rng.randrange(2 * config.act_depth >> rng.randrange(3))
            expected = model(config, fields, source, is_last)
            assert await code(ctx, dut, layouts, fields, source, is_last) is expected, fields
            seen[expected] += 1
        assert min(seen.values()) > 10

    simulate(dut, bench)
