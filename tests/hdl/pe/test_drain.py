"""Drain, with an activation SRAM that another component reads whenever allowed."""

import random

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.format import Layouts, reads_factors
from eie_hdl.lib.sram import Sram
from eie_hdl.pe.drain import Drain
from support.simulation import get, put

CONFIGS = {
    "tiny": PRESETS["tiny"],
    "default": EIEConfig(act_depth=32),
    "loops": EIEConfig(n_pe=2, acc_depth=16, act_depth=40, loops=True),
    "maximum": EIEConfig(n_pe=2, acc_depth=16, act_depth=40, loops=True, maximum=True),
    "products": EIEConfig(n_pe=2, acc_depth=16, act_depth=40, loops=True, products=True),
    "products of one word": EIEConfig(n_pe=1, acc_depth=4, act_depth=5, v_width=2, n_codebooks=1,
                                      loops=True, maximum=True, products=True),
    "scales": EIEConfig(n_pe=2, acc_depth=16, act_depth=40, loops=True, scales=True),
    "scales of one word": EIEConfig(n_pe=1, acc_depth=4, act_depth=7, v_width=2, n_codebooks=1,
                                    loops=True, scales=True),
    "products and scales": EIEConfig(n_pe=2, acc_depth=64, act_depth=70, loops=True, maximum=True,
                                     products=True, scales=True),
    "one-word": EIEConfig(n_pe=1, acc_depth=4, act_depth=5, v_width=2, n_codebooks=1),
}


class DrainAndSram(wiring.Component):
    """Drain and the SRAM of biases, of which other rows are read unless `hold` is asserted."""

    def __init__(self, config, biases):
        self._layouts = layouts = Layouts.of(config)
        self._config = config
        self._drain = Drain(config)
        width = layouts.act_word.size
        self._sram = Sram(width=width, depth=config.act_depth, init=[
            sum((bias & (1 << config.act_width) - 1) << n * config.act_width
                for n, bias in enumerate(word)) for word in biases])
        super().__init__({
            "i":    In(stream.Signature(layouts.operation)),
            "tile": Out(stream.Signature(layouts.end)),
            "o":    Out(stream.Signature(layouts.operand, always_ready=True)),
            "weight": Out(layouts.value),
            "shift": Out(layouts.value),
            "hold": Out(1),
            "read": Out(1),
            "row":  Out(len(self._drain.bias.addr)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.drain = drain = self._drain
        m.submodules.sram = sram = self._sram
        connect(m, flipped(self.i), drain.i)
        connect(m, drain.tile, flipped(self.tile))
        m.d.comb += [self.o.payload.eq(drain.o.payload), self.o.valid.eq(drain.o.valid)]
        lane, word = drain.o.p.row[:2], self._layouts.act_word(sram.r.data)
        with m.If(drain.o.p.drain):    # as in the MAC
            m.d.comb += self.o.p.value.eq(word[lane])
        if self._config.products or self._config.scales:
            self._select_factor(m, drain, lane, word)
        other = Signal.like(sram.r.addr)
        m.d.sync += other.eq(Mux(other == sram.depth - 1, 0, other + 1))
        m.d.comb += [
            self.hold.eq(drain.hold),
            self.read.eq(drain.hold & drain.bias.en),
            self.row.eq(drain.bias.addr),
            drain.bias.data.eq(sram.r.data),
            sram.r.addr.eq(Mux(drain.hold, drain.bias.addr, other)),
            sram.r.en.eq(Mux(drain.hold, drain.bias.en, 1)),
        ]
        return m

    def _select_factor(self, m, drain, lane, word):
        """Keep the factors of a word from its first row, and the biases from the cycle before.

        The shift of a row is that of the word that is read in its first row, two cycles later.
        """
        factors, biases = (Signal(self._layouts.act_word) for _ in range(2))
        with m.If(lane == 0):
            m.d.sync += factors.eq(word)
        with m.If(~drain.o.valid | (lane == 3)):
            m.d.sync += biases.eq(word)
        with m.If(drain.o.p.drain & reads_factors(self._config, drain.o.p)):
            m.d.comb += [self.o.p.value.eq(Mux(lane == 0, word[0], factors[lane])),
                         self.weight.eq(biases[lane])]
        shifts, was_first = Signal(self._layouts.act_word), Signal()
        lanes = [Signal(2, name=f"lane_{n}") for n in range(2)]
        m.d.sync += [was_first.eq(lane == 0), lanes[0].eq(lane), lanes[1].eq(lanes[0])]
        with m.If(was_first):
            m.d.sync += shifts.eq(word)
        m.d.comb += self.shift.eq(shifts[lanes[1]])


def random_biases(rng, config):
    limit = 1 << config.act_width - 1
    return [[rng.randrange(-limit, limit) for _ in range(ACTS_PER_WORD)]
            for _ in range(config.act_depth)]


def entry(rng, config):
    return {"is_end": 0, "body": {"activation": {"value": rng.randrange(-8, 8)}},
            "row": rng.randrange(config.acc_depth),
            "code": rng.randrange(config.n_codebooks << config.v_width),
            **({"maximum": rng.randrange(2)} if config.maximum else {})}


def end(rng, config):
    n_words = rng.choice([1, rng.randint(1, config.tile_words), config.tile_words])
    last_lane = {"last_lane": rng.randrange(ACTS_PER_WORD)} if config.loops else {}
    return {"is_end": 1, "body": {"end": {
        "destination": rng.randrange(config.act_depth), "last_word": n_words - 1,
        "bias": rng.randint(0, config.act_depth - n_words), "relu": rng.randrange(2),
        "shift": rng.randint(0, config.max_shift),
        "bias_shift": rng.randint(0, config.max_bias_shift), **last_lane,
        **random_factor(rng, config, n_words)}}}


def random_factor(rng, config, n_words):
    """Fields of an end that multiplies, or scales, or neither."""
    names = [name for name, exists in (("multiply", config.products), ("scale", config.scales))
             if exists]
    chosen = rng.choice([*names, None])
    n_factors = n_words * (1 + (chosen == "scale"))
    return {"factor": rng.randint(0, config.act_depth - n_factors),
            **{name: int(name == chosen) for name in names}} if names else {}


def random_operations(rng, config, tiles=6):
    operations = []
    for _ in range(tiles):
        operations += [entry(rng, config) for _ in range(rng.choice([0, 1, 2, 9]))]
        operations.append(end(rng, config))
    return operations + [entry(rng, config)]


def cleared(config):
    return [("clear", row) for row in range(config.acc_depth)]


def operands(operations, biases):
    """Yield the expected operands of the MAC."""
    for operation in operations:
        if not operation["is_end"]:
            value = operation["body"]["activation"]["value"]
            yield ("entry", operation["row"], operation["code"], value,
                   operation.get("maximum", 0))
        else:
            fields = operation["body"]["end"]
            n_rows = 4 * fields["last_word"] + fields.get("last_lane", 3) + 1
            for row in range(n_rows):
                word, lane = divmod(row, ACTS_PER_WORD)
                bias = biases[fields["bias"] + word][lane]
                if fields.get("multiply"):
                    factor = biases[fields["factor"] + word][lane]
                    yield "product", row, bias, factor, row == n_rows - 1
                elif fields.get("scale"):
                    fraction, shift = (biases[fields["factor"] + 2 * word + n][lane]
                                       for n in range(2))
                    yield ("scaled", row, bias, fraction, row == n_rows - 1,
                           fields["bias_shift"], shift)
                else:
                    yield "row", row, bias, fields["bias_shift"], row == n_rows - 1


def reads(fields):
    """Rows that are read for a tile, in order."""
    words = range(fields["last_word"] + 1)
    if fields.get("scale"):
        factor = fields["factor"]
        return [row for word in words for row in (
            fields["bias"] + word, factor + 2 * word, factor + 2 * word + 1)]
    names = ("bias", "factor") if fields.get("multiply") else ("bias",)
    return [fields[name] + word for word in words for name in names]


def seen(operand, weight=0):
    maximum = operand.maximum if "maximum" in operand.shape().members else 0
    if not operand.drain:
        assert not operand.last and not operand.discard
        return "entry", operand.row, operand.code, operand.value, maximum
    assert not maximum    # of the next entry
    if operand.discard:
        assert not operand.last
        return "clear", operand.row
    members = operand.shape().members
    if "multiply" in members and operand.multiply:
        return "product", operand.row, weight, operand.value, bool(operand.last)
    if "scale" in members and operand.scale:
        return ("scaled", operand.row, weight, operand.value, bool(operand.last),
                operand.bias_shift)
    return "row", operand.row, operand.value, operand.bias_shift, bool(operand.last)


@pytest.mark.parametrize("name", CONFIGS)
def test_operands_and_tiles_follow_the_model(simulate, stalls, name):
    config = CONFIGS[name]
    rng = random.Random(11)
    biases = random_biases(rng, config)
    operations = random_operations(rng, config)
    expected = cleared(config) + list(operands(operations, biases))
    tiles = [operation["body"]["end"] for operation in operations
             if operation["is_end"]]
    dut = DrainAndSram(config, biases)

    async def producer(ctx):
        await put(ctx, dut.i, operations, stall=stalls.input, rng=rng)

    async def tile_consumer(ctx):
        received = await get(ctx, dut.tile, len(tiles), stall=stalls.output)
        assert received == [Layouts.of(config).end.const(tile) for tile in tiles]

    async def consumer(ctx):
        received, cycles = [], []
        while len(received) < len(expected) or len(cycles) < received[-1][0] + 3:
            *_, operand, valid, weight, shift = await ctx.tick().sample(
                dut.o.payload, dut.o.valid, dut.weight, dut.shift)
            if valid:
                received.append((len(cycles), seen(operand, weight)))
            cycles.append(shift)    # of the row two cycles before
        assert [(*row, cycles[cycle + 2]) if row[0] == "scaled" else row
                for cycle, row in received] == expected

    rows = []

    async def log_rows(ctx):
        async for *_, read, row in ctx.tick().sample(dut.read, dut.row):
            if read:
                rows.append(row)

    simulate(dut, producer, tile_consumer, consumer, background=[log_rows])
    # Each bias is read once: another read could collide with a write.
    assert rows == sum(map(reads, tiles), [])


def test_accumulators_are_cleared_after_reset_before_anything_else(simulate):
    """One row per cycle from the first cycle, regardless of the input."""
    config = PRESETS["tiny"]
    rng = random.Random(2)
    first = entry(rng, config)
    dut = DrainAndSram(config, random_biases(rng, config))

    async def bench(ctx):
        ctx.set(dut.i.payload, first)
        ctx.set(dut.i.valid, 1)
        for row in range(config.acc_depth):
            assert ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)
            assert not ctx.get(dut.tile.valid)
            assert seen(ctx.get(dut.o.payload)) == ("clear", row)
            await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.i.ready)
        assert [seen(ctx.get(dut.o.payload))] == list(operands([first], []))

    simulate(dut, bench)


def test_accumulators_are_cleared_only_after_reset(simulate):
    config = PRESETS["tiny"]
    dut = DrainAndSram(config, [])

    async def bench(ctx):
        await ctx.tick().repeat(config.acc_depth)
        for _ in range(50):
            *_, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    simulate(dut, bench)


def test_rows_wait_until_their_tile_is_accepted_then_come_one_per_cycle(simulate):
    """No row is output in the accepting cycle; entries of the next tile follow the last row."""
    config = PRESETS["tiny"]
    rng = random.Random(3)
    biases = random_biases(rng, config)
    tile, after = end(rng, config), entry(rng, config)
    tile["body"]["end"]["last_word"] = config.tile_words - 1
    tile["body"]["end"]["bias"] = 5
    rows = list(operands([tile], biases))
    dut = DrainAndSram(config, biases)

    async def bench(ctx):
        await ctx.tick().repeat(config.acc_depth)
        assert not ctx.get(dut.hold)
        ctx.set(dut.i.payload, tile)
        ctx.set(dut.i.valid, 1)
        for ready in (0, 0, 0, 1):
            ctx.set(dut.tile.ready, ready)
            assert ctx.get(dut.hold) and ctx.get(dut.tile.valid)
            assert not ctx.get(dut.o.valid) and ctx.get(dut.i.ready) == ready
            await ctx.tick()
        ctx.set(dut.i.payload, after)
        for row in rows:
            assert ctx.get(dut.o.valid) and ctx.get(dut.hold) and not ctx.get(dut.tile.valid)
            assert seen(ctx.get(dut.o.payload)) == row
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.i.ready) and not ctx.get(dut.hold)
        assert seen(ctx.get(dut.o.payload)) == next(operands([after], biases))

    simulate(dut, bench)


@pytest.mark.parametrize("name, flag, value", [
    ("products", "multiply", 0), ("products", "multiply", 1), ("scales", "scale", 0),
    ("scales", "scale", 1)])
def test_a_tile_that_multiplies_or_scales_takes_one_cycle_more(simulate, name, flag, value):
    """In the cycle before its first row, the SRAM is held, and no entry passes."""
    config = CONFIGS[name]
    rng = random.Random(5)
    biases = random_biases(rng, config)
    tile, after = end(rng, config), entry(rng, config)
    tile["body"]["end"] |= {"last_word": 3, "last_lane": 2, "bias": 7, "factor": 31,
                            flag: value}
    rows = list(operands([tile], biases))
    dut = DrainAndSram(config, biases)

    async def bench(ctx):
        await ctx.tick().repeat(config.acc_depth)
        ctx.set(dut.i.payload, tile)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.tile.ready, 1)
        await ctx.tick()
        ctx.set(dut.i.payload, after)
        for _ in range(value):
            assert ctx.get(dut.hold) and not ctx.get(dut.o.valid) and not ctx.get(dut.i.ready)
            await ctx.tick()
        for row in rows:
            assert ctx.get(dut.o.valid) and ctx.get(dut.hold) and not ctx.get(dut.i.ready)
            assert seen(ctx.get(dut.o.payload), ctx.get(dut.weight)) == row[:6]
            await ctx.tick()
        assert ctx.get(dut.o.valid) and ctx.get(dut.i.ready) and not ctx.get(dut.hold)

    simulate(dut, bench)


def test_entries_pass_combinationally_and_do_not_use_the_sram(simulate):
    config = PRESETS["tiny"]
    rng = random.Random(4)
    dut = DrainAndSram(config, [])

    async def bench(ctx):
        await ctx.tick().repeat(config.acc_depth)
        for _ in range(20):
            offered, valid = entry(rng, config), rng.randrange(2)
            ctx.set(dut.i.payload, offered)
            ctx.set(dut.i.valid, valid)
            assert ctx.get(dut.o.valid) == valid
            assert ctx.get(dut.i.ready) and not ctx.get(dut.hold)
            assert seen(ctx.get(dut.o.payload)) == next(operands([offered], []))
            await ctx.tick()

    simulate(dut, bench)
