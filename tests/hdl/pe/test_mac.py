"""Mac with its memories, against sums wrapped after each addition."""

import dataclasses
import random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.lib.skewed_sram import make_skewed_sram
from eie_hdl.lib.sram import Sram
from eie_hdl.numeric import limits, wrap
from eie_hdl.pe.mac import Mac
from eie_hdl.pe.row_words import RowWords
from support.simulation import Unwatched, get, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(),
    # One full product fits: two full ones overflow.
    "narrowest-sums": EIEConfig(act_width=8, codebook_width=6, acc_width=14, acc_depth=4,
                                n_codebooks=1, v_width=2),
    "widest": EIEConfig(act_width=24, codebook_width=24, acc_width=60, v_width=8),
    # Products that do not reach the upper parts of the sum.
    "short-products": EIEConfig(act_width=4, codebook_width=5, acc_width=60, acc_depth=4),
}

#: Machines with maxima, of which the first parts of sums with five stages have as many bits as an
#: activation, or more.
MAXIMUM_CONFIGS = {name: dataclasses.replace(config, loops=True, maximum=True) for name, config in {
    "tiny": CONFIGS["tiny"],
    "default": CONFIGS["default"],
    "widest activations": EIEConfig(act_width=24, codebook_width=24, acc_width=48, acc_depth=4),
    "narrowest activations": EIEConfig(act_width=4, codebook_width=5, acc_width=9, acc_depth=4),
}.items()}

#: Machines with products of activations, which may be narrower than weights, or not.
PRODUCT_CONFIGS = {name: dataclasses.replace(config, loops=True, products=True)
                   for name, config in {
    "tiny": dataclasses.replace(CONFIGS["tiny"], codebook_width=8),
    "default": CONFIGS["default"],
    "widest": CONFIGS["widest"],
    # One product of activations fits: two of them overflow.
    "narrowest sums": EIEConfig(act_width=6, codebook_width=6, acc_width=12, acc_depth=4,
                                n_codebooks=1, v_width=2),
    "narrow activations": EIEConfig(act_width=4, codebook_width=11, acc_width=15, acc_depth=4),
}.items()}

#: Machines whose rows can be scaled, with products and without.
SCALE_CONFIGS = {
    "default": EIEConfig(loops=True, scales=True),
    "narrowest": EIEConfig(act_width=9, codebook_width=12, acc_width=21, acc_depth=4,
                           n_codebooks=2, v_width=2, loops=True, maximum=True, scales=True),
    "with products": EIEConfig(act_width=9, codebook_width=12, acc_width=24, acc_depth=16,
                               loops=True, products=True, scales=True),
}

ALL_STAGES = pytest.mark.parametrize("stages", [4, 5])


def with_stages(config, stages):
    return dataclasses.replace(config, mac_stages=stages)


class MacAndMemories(wiring.Component):
    """Mac, its codebook memory and its accumulators, with given contents.

    With ``products`` or ``scales``, words of biases are those of `bias`; else they are made from
    operands.
    """

    def __init__(self, config, codebook, accumulators=()):
        self._mac = Mac(config)
        self._codebook = Sram(
            width=config.codebook_width, depth=config.n_codebooks << config.v_width, init=[
                weight & (1 << config.codebook_width) - 1 for weight in codebook])
        self._acc = make_skewed_sram(widths=config.acc_parts, depth=config.acc_depth, init=[
            acc & (1 << config.acc_width) - 1 for acc in accumulators])
        super().__init__({
            "i": In(stream.Signature(Layouts.of(config).operand, always_ready=True)),
            "o": Out(stream.Signature(Mac.sum_layout(config), always_ready=True)),
            "accumulated": Out(1),
            **({"bias": In(Layouts.of(config).act_word)}
               if config.products or config.scales else {}),
            **({"tile": In(1), "scale": Out(RowWords.scale_layout(config)),
                "quantiser": Out(Layouts.of(config).quantiser)} if config.scales else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.mac = mac = self._mac
        m.submodules.codebook = codebook = self._codebook
        m.submodules.acc = acc = self._acc
        connect(m, mac.codebook, codebook.r)
        connect(m, mac.acc_r, acc.r)
        connect(m, mac.acc_w, acc.w)
        connect(m, flipped(self.i), mac.i)
        connect(m, mac.o, flipped(self.o))
        m.d.comb += [
            self.accumulated.eq(mac.accumulated),
        ]
        if "tile" in self.signature.members:
            m.d.comb += [mac.tile.eq(self.tile), self.scale.eq(mac.scale),
                         self.quantiser.eq(mac.quantiser)]
        if "bias" in self.signature.members:
            m.d.comb += mac.bias.eq(self.bias)
            return m
        m.d.comb += [
            # A bias that is offered as the value; other lanes differ.
            mac.bias.eq(~self.i.p.value.replicate(4)),
            mac.bias[self.i.p.row[:2]].eq(self.i.p.value),
        ]
        return m


def random_number(rng, width):
    """Random number, mostly at the ends of the range, which test carries and signs."""
    low, high = limits(width)
    return rng.choice([low, low + 1, -1, 0, 1, high, rng.randint(low, high)])


def random_codebook(rng, config):
    return [random_number(rng, config.codebook_width)
            for _ in range(config.n_codebooks << config.v_width)]


def random_tile(rng, config, codebook, n_rows, count):
    """Entries for few rows, so that rows repeat soon, followed by the drain of all rows."""
    operands = [{"row": rng.randrange(n_rows), "code": rng.randrange(len(codebook)),
                 "value": random_number(rng, config.act_width)} for _ in range(count)]
    return operands + [drained(row, random_number(rng, config.act_width), n_rows,
                               bias_shift=rng.randint(0, config.max_bias_shift))
                       for row in range(n_rows)]


def drained(row, value, n_rows, **fields):
    return {"row": row, "value": value, "drain": 1, "last": row == n_rows - 1, **fields}


def clearing(rng, config):
    """Operands of the drain after reset, with arbitrary biases."""
    return [{"row": row, "value": random_number(rng, config.act_width), "drain": 1, "discard": 1}
            for row in range(config.acc_depth)]


def accumulate(config, codebook, operands):
    """Expected drained rows (sum, last, overflow); overflow is don't-care except for the last."""
    acc, overflow, sums = [0] * config.acc_depth, False, []
    for operand in operands:
        row, drain = operand["row"], operand.get("drain")
        weight = codebook[operand["code"]] if not drain else \
            operand.get("bias", 2**operand["bias_shift"])
        exact = acc[row] + weight * operand["value"]
        if operand.get("maximum"):
            exact = max(acc[row], operand["value"] + (1 << config.act_width - 1))
        acc[row] = wrap(exact, config.acc_width)
        overflow |= acc[row] != exact
        if drain:
            sums.append((acc[row], operand["last"], operand["last"] and overflow))
            acc[row] = 0
            overflow &= not operand["last"]
    return sums


def seen(sums):
    return [(got.acc, bool(got.last), bool(got.last and got.overflow)) for got in sums]


async def offer(ctx, dut, operands, *, stall=0.0, rng=None):
    """As `put`, but with random payloads while not valid."""
    for operand in operands:
        while rng and rng.random() < stall:
            ctx.set(dut.i.payload.as_value(), rng.getrandbits(len(dut.i.payload.as_value())))
            await ctx.tick()
        await put(ctx, dut.i, [operand])


def maxima(tile):
    """Take the maximum instead of the sum in a tile."""
    return [operand if operand.get("drain") else {**operand, "maximum": 1} for operand in tile]


async def until_drained(ctx, config):
    await ctx.tick().repeat(config.mac_stages)


@ALL_STAGES
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("n_rows", [1, 3, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_sums_and_overflows_follow_the_model(simulate, name, n_rows, stall, stages):
    """Rows repeat after one, two and three operands, with and without gaps."""
    config = with_stages(CONFIGS[name], stages)
    rng = random.Random(n_rows)
    codebook = random_codebook(rng, config)
    garbage = [random_number(rng, config.acc_width) for _ in range(config.acc_depth)]
    operands = [operand for count in [0, 1, 5, 20, 40]
                for operand in random_tile(rng, config, codebook, n_rows, count)]
    expected = accumulate(config, codebook, operands)
    dut = MacAndMemories(config, codebook, garbage)
    n_accumulated = 0

    async def producer(ctx):
        await put(ctx, dut.i, clearing(rng, config))
        await offer(ctx, dut, operands, stall=stall, rng=rng)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, len(expected))) == expected
        await until_drained(ctx, config)

    async def observer(ctx):
        nonlocal n_accumulated
        async for *_, accumulated in ctx.tick().sample(dut.accumulated):
            n_accumulated += accumulated

    simulate(dut, producer, consumer, background=[observer])
    assert n_accumulated == 66


@ALL_STAGES
@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("n_rows", [1, 3, 4])
@pytest.mark.parametrize("name", MAXIMUM_CONFIGS)
def test_maxima_and_sums_alternate_as_in_the_model(simulate, name, n_rows, stall, stages):
    config = with_stages(MAXIMUM_CONFIGS[name], stages)
    rng = random.Random(n_rows)
    codebook = random_codebook(rng, config)
    operands = [operand for number, count in enumerate([0, 5, 1, 5, 20, 20, 40, 40, 1])
                for operand in (maxima if number % 4 else list)(
                    random_tile(rng, config, codebook, n_rows, count))]
    expected = accumulate(config, codebook, operands)
    dut = MacAndMemories(config, codebook)

    async def producer(ctx):
        await put(ctx, dut.i, clearing(rng, config))
        await offer(ctx, dut, operands, stall=stall, rng=rng)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, len(expected))) == expected

    simulate(dut, producer, consumer)


def drained_products(rng, config, n_rows):
    """Drained rows, each a `bias` times its `value`."""
    return [{**drained(row, random_number(rng, config.act_width), n_rows, multiply=1,
                       bias_shift=rng.randint(0, config.max_bias_shift)),
             "bias": random_number(rng, config.act_width)} for row in range(n_rows)]


def bus_cycles(rng, config, operands):
    """Yield the operand and the word of biases of each cycle, as the drain and the SRAM offer them.

    Words that the MAC must not need are random.
    """
    def random_word():
        return [random_number(rng, config.act_width) for _ in range(4)]

    def word(name, first):
        rows = [operand for operand in operands[first:first + 4] if operand.get("drain")]
        return [row.get(name, 0) for row in rows] + random_word()[len(rows):]

    for number, operand in enumerate(operands):
        lane, multiplies = operand["row"] % 4, operand.get("multiply")
        follows = operands[number + 1].get("multiply") if number + 1 < len(operands) else 0
        if multiplies and operand["row"] == 0:
            yield None, word("bias", number)
        fields = {name: value for name, value in operand.items() if name != "bias"}
        if operand.get("drain") and multiplies:
            fields["value"] = 0
        if operand.get("drain") and lane == 0:
            yield fields, word("value", number)
        elif multiplies and lane == 3 and follows and not operand["last"]:
            yield fields, word("bias", number + 1)
        else:
            yield fields, random_word()


async def offer_products(ctx, dut, config, operands):
    """Offer operands with their words of biases."""
    for operand, word in bus_cycles(random.Random(1), config, operands):
        ctx.set(dut.bias, word)
        if operand is None:
            await ctx.tick()
        else:
            await put(ctx, dut.i, [operand])


@ALL_STAGES
@pytest.mark.parametrize("n_rows", [1, 3, 4])
@pytest.mark.parametrize("name", PRODUCT_CONFIGS)
@pytest.mark.parametrize("seed", range(2))
def test_products_of_activations_follow_the_model(simulate, name, n_rows, stages, seed):
    """Between tiles with biases, after any number of entries, none included."""
    config = with_stages(PRODUCT_CONFIGS[name], stages)
    n_rows = n_rows if config.acc_depth == 4 else 3 * n_rows
    rng = random.Random(seed)
    codebook = random_codebook(rng, config)
    operands = []
    for count in [0, 1, 0, 5, 20, 0, 0]:
        entries = random_tile(rng, config, codebook, n_rows, count)
        if rng.random() < 0.7:
            entries = entries[:count] + drained_products(rng, config, n_rows)
        operands += entries
    operands += drained_products(rng, config, n_rows)
    expected = accumulate(config, codebook, operands)
    dut = MacAndMemories(config, codebook)

    async def producer(ctx):
        await put(ctx, dut.i, clearing(rng, config))
        await offer_products(ctx, dut, config, operands)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, len(expected))) == expected

    simulate(dut, producer, consumer)


def drained_scales(rng, config, n_rows):
    """Drained rows, each with a `fraction` and a word with its shift."""
    return [{**drained(row, random_number(rng, config.act_width), n_rows, scale=1,
                       bias_shift=rng.randint(0, config.max_bias_shift)),
             "fraction": random_number(rng, config.act_width),
             "shift": random_number(rng, config.act_width) ^ rng.randrange(16)}
            for row in range(n_rows)]


def scale_cycles(rng, config, tiles):
    """Yield the operand, the word and the strobe of a tile of each cycle, for tiles of all kinds.

    The strobe has the codebook of a tile in which entry 0 is read. What must not matter is random.
    """
    def random_word():
        return [random_number(rng, config.act_width) for _ in range(4)]

    def word(rows, name, first):
        found = [row[name] for row in rows[first:first + 4]]
        return found + random_word()[len(found):]

    for entries, rows, codebook in tiles:
        for entry in entries:
            yield entry, random_word(), None
        yield None, random_word(), codebook
        has_pairs = rows[0].get("scale") or rows[0].get("multiply")
        second = next((name for name in ("fraction", "factor") if name in rows[0]), "value")
        if has_pairs:
            yield None, word(rows, "value", 0), None
        for number, row in enumerate(rows):
            lane = number % 4
            if lane == 0 or not has_pairs:
                offered = word(rows, second, number - lane)
            elif lane == 1 and row.get("scale"):
                offered = word(rows, "shift", number - 1)
            else:
                offered = word(rows, "value", number - lane + 4) if lane == 3 else random_word()
            fields = {name: value for name, value in row.items()
                      if name not in ("fraction", "shift", "factor")}
            yield {**fields, "value": 0}, offered, None
        # It may be the word of shifts of a last word with a single row.
        if rows[-1].get("scale") and len(rows) % 4 == 1:
            yield None, word(rows, "shift", len(rows) - 1), None


@ALL_STAGES
@pytest.mark.parametrize("name", SCALE_CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_scale_precedes_its_row_and_a_quantiser_its_tile(simulate, name, stages, seed):
    """It is 0 in tiles that do not scale. Weights of scaled rows are powers of two."""
    config = with_stages(SCALE_CONFIGS[name], stages)
    rng = random.Random(seed)
    codebook = random_codebook(rng, config)
    tiles = []
    for count in [0, 1, 0, 5, 20, 0, 0, 3, 0, 1]:
        n_rows = rng.randint(1, min(config.acc_depth, 9))
        rows = random_tile(rng, config, codebook, n_rows, count)
        entries, rows = rows[:count], rows[count:]
        kind = rng.choice(["plain", "scale", "scale", *["product"] * config.products])
        if kind == "scale":
            rows = drained_scales(rng, config, n_rows)
        elif kind == "product":
            rows = [{"factor": row.pop("bias"), **row}
                    for row in drained_products(rng, config, n_rows)]
        tiles.append((entries, rows, rng.randrange(config.n_codebooks)))
    operands = [{**operand, "bias": operand["factor"]} if "factor" in operand else operand
                for entries, rows, _ in tiles for operand in entries + rows]
    sums = accumulate(config, codebook, operands)
    scales = [(row.get("fraction", 0) % (1 << config.act_width), row.get("shift", 0) % 16)
              for _, rows, _ in tiles for row in rows]
    entries_0 = [codebook[number << config.v_width] for *_, number in tiles]
    width = Layouts.of(config).quantiser.size
    dut, found_sums, found_scales, found_entries = MacAndMemories(config, codebook), [], [], []

    async def producer(ctx):
        await put(ctx, dut.i, clearing(rng, config))
        for operand, word, tile in scale_cycles(rng, config, tiles):
            ctx.set(dut.bias, word)
            ctx.set(dut.tile, tile is not None)
            if operand is None:
                ctx.set(dut.i.payload, {"code": (tile or 0) << config.v_width})
                await ctx.tick()
            else:
                await put(ctx, dut.i, [operand])
        ctx.set(dut.tile, 0)
        await ctx.tick().repeat(config.mac_stages + 2)

    async def record(ctx):
        before, had_tile = None, False
        async for *_, valid, payload, scale, tile, quantiser in ctx.tick().sample(
                dut.o.valid, dut.o.payload, dut.scale, dut.tile, dut.quantiser.as_value()):
            if valid:
                found_sums.append(payload)
                found_scales.append((before.fraction, before.shift))
            if had_tile:
                found_entries.append(quantiser)
            before, had_tile = scale, tile

    simulate(dut, producer, background=[record])
    assert seen(found_sums) == sums
    assert found_scales == scales
    assert found_entries == [entry % (1 << width) for entry in entries_0]


@ALL_STAGES
@pytest.mark.parametrize("name", PRODUCT_CONFIGS)
def test_the_square_of_the_lowest_activation_is_a_positive_product(simulate, name, stages):
    config = with_stages(PRODUCT_CONFIGS[name], stages)
    low, square = limits(config.act_width)[0], 1 << 2 * config.act_width - 2
    rows = [{**drained(row, low, 2, multiply=1), "bias": low, "bias_shift": 0} for row in (0, 1)]
    operands = [*rows, *rows]
    expected = [(square, False, False), (square, True, False)] * 2
    dut = MacAndMemories(config, [])

    async def producer(ctx):
        await offer_products(ctx, dut, config, operands)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, 4)) == expected

    simulate(dut, producer, consumer)


@ALL_STAGES
@pytest.mark.parametrize("value, overflows", [(-32, True), (-31, False)])
def test_a_product_overflows_a_sum(simulate, stages, value, overflows):
    """A sum of 1024 and a product of 1024, or 992, in 12 bits."""
    config = with_stages(PRODUCT_CONFIGS["narrowest sums"], stages)
    operands = [{"row": 0, "code": 1, "value": -32},
                {**drained(0, value, 1, multiply=1), "bias": -32, "bias_shift": 0},
                {**drained(0, 0, 1, multiply=1), "bias": 0, "bias_shift": 0}]
    total = wrap(1024 - 32 * value, 12)
    dut = MacAndMemories(config, [0, -32])

    async def producer(ctx):
        await offer_products(ctx, dut, config, operands)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, 2)) == [(total, True, overflows), (0, True, False)]

    simulate(dut, producer, consumer)


@ALL_STAGES
@pytest.mark.parametrize("name", MAXIMUM_CONFIGS)
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5])
def test_the_greatest_value_of_a_row_is_found(simulate, name, distance, stages):
    """In any order, with other rows in between; without a value, it is the lowest, by the bias."""
    config = with_stages(MAXIMUM_CONFIGS[name], stages)
    low, high = limits(config.act_width)
    tiles = [[low, high, low], [high, low], [low, low], [-1, 0, -1], [0, -1, 1], [-3, -2, -2],
             [-3, -2, -4], [high, high - 1], [high - 1, high], [low, low + 1, low], [5, 5], [0], []]
    operands = []
    for tile in tiles:
        for value in tile:
            operands.append({"row": 1, "code": 1, "value": value})
            operands += [{"row": 2 + other % 2, "code": 1, "value": high}
                         for other in range(1, distance)]
        operands += [drained(row, low, 4, bias_shift=0) for row in range(4)]
    dut = MacAndMemories(config, [0, limits(config.codebook_width)[0]])

    async def producer(ctx):
        await put(ctx, dut.i, maxima(operands))

    async def consumer(ctx):
        received = await get(ctx, dut.o, 4 * len(tiles))
        assert [got.acc for got in received[1::4]] == [max(tile, default=low) for tile in tiles]
        assert {got.acc for got in received[0::4]} == {low}
        assert not any(got.overflow for got in received)

    simulate(dut, producer, consumer)


@ALL_STAGES
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("gap", [False, True])
def test_repeated_row_gets_its_latest_sum(simulate, distance, gap, stages):
    """Operands in between are for other rows, or invalid. Each changes the sign of the sum."""
    config = with_stages(PRESETS["tiny"], stages)
    codebook = [0, 1, 2, 3, 4, 5, 6, 7]
    dut = MacAndMemories(config, codebook)

    async def producer(ctx):
        for n in range(8):
            await put(ctx, dut.i, [{"row": 5, "code": 3, "value": (n + 1) * (-1)**n}])
            for other in range(1, distance):
                if gap:
                    await ctx.tick()
                else:
                    await put(ctx, dut.i, [{"row": 5 + other, "code": 1, "value": 100}])
        await put(ctx, dut.i, [drained(5, 7, 6, bias_shift=2), drained(5, 0, 6)])

    async def consumer(ctx):
        total = 3 * sum(n * (-1)**(n + 1) for n in range(1, 9)) + (7 << 2)
        assert seen(await get(ctx, dut.o, 2)) == [(total, True, False), (0, True, False)]

    simulate(dut, producer, consumer)


@ALL_STAGES
@pytest.mark.parametrize("values", [[1, -1] * 8, [-1, 1] * 8, [-1, 2, -3] * 5, [127, -128, 0] * 4])
def test_carries_reach_all_parts_of_sums_back_to_back(simulate, values, stages):
    """Most operands change all bits of the sum."""
    config = with_stages(EIEConfig(act_width=8, codebook_width=8, acc_width=40, acc_depth=4),
                         stages)
    operands = [{"row": row, "code": 1, "value": value} for row in (0, 0, 1, 2)
                for value in values] + [drained(row, 0, 4, bias_shift=0) for row in range(4)]
    expected = accumulate(config, [0, 1], operands)
    dut = MacAndMemories(config, [0, 1])

    async def producer(ctx):
        await put(ctx, dut.i, operands)

    async def consumer(ctx):
        assert seen(await get(ctx, dut.o, 4)) == expected

    simulate(dut, producer, consumer)


@ALL_STAGES
def test_latency_is_one_cycle_for_each_stage(simulate, stages):
    config = with_stages(PRESETS["tiny"], stages)
    dut = MacAndMemories(config, [0, 9])

    async def bench(ctx):
        await put(ctx, dut.i, [{"row": 2, "code": 1, "value": -3}])
        await put(ctx, dut.i, [drained(2, 0, 3)])
        for cycle in range(2, stages + 1):    # `put` returns in the cycle after
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
            assert ctx.get(dut.o.valid) == (cycle == stages)
        assert ctx.get(dut.o.p.acc) == -27

    simulate(dut, bench)


def test_only_entries_read_the_codebook(simulate):
    """The host may load it while the accumulators are cleared after a reset."""
    dut = Mac(CONFIGS["tiny"])

    async def bench(ctx):
        for valid, fields, reads in [(0, {}, 0), (1, {}, 1), (1, {"drain": 1}, 0),
                                     (1, {"drain": 1, "discard": 1}, 0)]:
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, fields)
            await ctx.delay(1e-9)
            assert ctx.get(dut.codebook.en) == reads

    simulate(dut, bench)


@ALL_STAGES
def test_nothing_is_output_after_a_reset(simulate, stages):
    """Whatever the stage in which a reset of one cycle finds a row."""
    config = with_stages(PRESETS["tiny"], stages)
    reset, dut = Signal(), MacAndMemories(config, [0, 1])

    async def bench(ctx):
        for n in range(stages):
            await put(ctx, dut.i, [drained(0, 1, 1, bias_shift=0)])
            for _ in range(n):
                await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            for _ in range(stages):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()

    simulate(Unwatched(ResetInserter(reset)(dut)), bench)


@ALL_STAGES
def test_a_row_drains_in_every_cycle(simulate, stages):
    config = with_stages(PRESETS["tiny"], stages)
    dut = MacAndMemories(config, [0, 1])
    operands = [drained(row, row + 1, 16, bias_shift=row % 6) for row in range(16)]
    expected = accumulate(config, [], operands)

    async def producer(ctx):
        await put(ctx, dut.i, operands)

    async def consumer(ctx):
        await ctx.tick().until(dut.o.valid)
        received = []
        # `until` returns in the cycle after the first one.
        for _ in expected[1:]:
            assert ctx.get(dut.o.valid)
            received.append(ctx.get(dut.o.payload))
            await ctx.tick()
        assert not ctx.get(dut.o.valid)
        assert seen(received) == expected[1:]

    simulate(dut, producer, consumer)


@ALL_STAGES
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("cause", ["entry", "bias"])
@pytest.mark.parametrize("gap", [False, True])
def test_overflow_is_reported_once_with_the_last_row_of_its_tile(simulate, sign, cause, gap,
                                                                 stages):
    """The sum wraps. The tiles before and after use the full range without an overflow.

    Operands in the gaps would overflow if they were valid.
    """
    config = EIEConfig(act_width=8, codebook_width=8, acc_width=16, acc_depth=4,
                       mac_stages=stages)
    low, high = limits(16)
    extreme = high if sign > 0 else low
    steps = [(127, 127)] * 2 + [(127, 4), (1, 1)] if sign > 0 else [(127, -128)] * 2 + [(-64, 4)]
    codebook = [0, 127, -128, 1, 4]
    filling = [{"row": 1, "code": codebook.index(w), "value": v} for v, w in steps]
    assert sum(v * w for v, w in steps) == extreme
    one_more = {"row": 1, "code": 3, "value": sign}

    def drains(bias=0):
        return [drained(row, bias * (row == 1), 4) for row in range(4)]

    with_overflow = filling + [one_more] + drains() if cause == "entry" else filling + drains(sign)
    operands = filling + drains() + with_overflow + filling + drains()
    operands = [{"bias_shift": 0, **operand} for operand in operands]
    dut = MacAndMemories(config, codebook)

    async def producer(ctx):
        for operand in operands:
            await put(ctx, dut.i, [operand])
            if gap:
                ctx.set(dut.i.payload, {"row": 1, "code": 1, "value": sign * 127})
                await ctx.tick()

    async def consumer(ctx):
        received = await get(ctx, dut.o, 12)
        wrapped = low if sign > 0 else high
        assert [got.acc for got in received[1::4]] == [extreme, wrapped, extreme]
        assert [got.overflow for got in received[3::4]] == [0, 1, 0]

    simulate(dut, producer, consumer)


@ALL_STAGES
def test_clearing_arbitrary_initial_contents_is_no_overflow(simulate, stages):
    config = EIEConfig(act_width=8, codebook_width=8, acc_width=16, acc_depth=4,
                       mac_stages=stages)
    dut = MacAndMemories(config, [0, 1], [limits(16)[1]] * 4)

    async def producer(ctx):
        await put(ctx, dut.i, [{"row": row, "value": 100, "drain": 1, "discard": 1}
                               for row in range(4)])
        await put(ctx, dut.i, [drained(row, row, 4) for row in range(4)])

    async def consumer(ctx):
        received = await get(ctx, dut.o, 4)
        assert seen(received) == [(0, False, False), (1, False, False), (2, False, False),
                                  (3, True, False)]

    simulate(dut, producer, consumer)
