"""RowScale, against exact integers."""

import random

import pytest

from eie_hdl.config import EIEConfig
from eie_hdl.pe.row_scale import GUARD_BITS, RowScale
from support.row_scales import scale_row

#: Shift at which an accumulator is in units of the last guard bit.
SHIFT = 2

WIDTHS = pytest.mark.parametrize("width", [9, 16, 24])
STAGES = pytest.mark.parametrize("stages", [4, 5])


def configure(width, stages=4):
    return EIEConfig(n_pe=1, act_width=width, codebook_width=13, acc_width=60, loops=True,
                     scales=True, mac_stages=stages)


def operand(acc, fraction, width, *, last=0):
    """Payload of an accumulator in units of the last guard bit."""
    kept = width + GUARD_BITS
    return {"low": acc % (1 << kept), "sign": acc < 0, "outside": acc >> kept != -(acc < 0),
            "fraction": fraction, "last": last}


def random_row(rng, width):
    """Accumulator and fraction: any, around zero, of half a step, or at an end of a range."""
    limit = 1 << width + 1
    acc = rng.choice([rng.randint(-limit, limit - 1), rng.randint(-4 * limit, 4 * limit),
                      rng.randint(-4, 4), -limit, -limit - 1, limit - 1, limit,
                      rng.choice([-1, 1]) << rng.randrange(width + 4)])
    return acc, rng.choice([0, (1 << width) - 1, 1 << width - 1, rng.randrange(1 << width)])


async def begin(ctx, dut, fields, noise=0):
    """Begin a tile; the quantiser is there for one cycle."""
    ctx.set(dut.scales, fields["scale"])
    ctx.set(dut.relu, fields["relu"])
    ctx.set(dut.quantiser, {name: fields[name] for name in ("rounding", "zero")})
    ctx.set(dut.begins, 1)
    await ctx.tick()
    ctx.set(dut.begins, 0)
    ctx.set(dut.quantiser.as_value(), noise)
    await ctx.tick()


def expect(config, row, fields):
    rounds = {name: fields[name] if fields["scale"] else 0 for name in ("rounding", "zero")}
    return scale_row(config, *row, 0, shift=SHIFT, relu=fields["relu"], **rounds)


def run(simulate, config, tiles, *, stall=0.0, rng=None):
    """Check the results of tiles, each its fields and rows, which follow as soon as they may."""
    dut, width, results = RowScale(config), config.act_width, []

    async def producer(ctx):
        for fields, rows in tiles:
            await begin(ctx, dut, fields, rng.getrandbits(12) if rng else 0)
            for number, row in enumerate(rows):
                while rng and rng.random() < stall:
                    ctx.set(dut.i.valid, 0)
                    ctx.set(dut.i.payload.as_value(), rng.getrandbits(2 * width + 5))
                    await ctx.tick()
                ctx.set(dut.i.payload, operand(*row, width, last=number == len(rows) - 1))
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(config.scale_stages + 1)

    async def record(ctx):
        async for *_, valid, value, last in ctx.tick().sample(
                dut.o.valid, dut.o.p.value, dut.o.p.last):
            if valid:
                results.append((value, last))

    simulate(dut, producer, background=[record])
    assert results == [(expect(config, row, fields), number == len(rows) - 1)
                       for fields, rows in tiles for number, row in enumerate(rows)]


@STAGES
@WIDTHS
@pytest.mark.parametrize("seed", range(2))
def test_random_rows_have_the_results_of_exact_integers(simulate, stalls, width, stages, seed):
    """Tiles that scale are next to others, for which entry 0 is ignored."""
    rng = random.Random(seed)
    tiles = []
    for _ in range(60):
        fields = {"scale": rng.randrange(4) > 0, "relu": rng.randrange(2),
                  "rounding": rng.choice([0, width // 2, rng.randrange(16)]),
                  "zero": rng.choice([-128, 127, 0, rng.randint(-128, 127)])}
        tiles.append((fields, [
            row if fields["scale"] else (row[0], 0)
            for row in (random_row(rng, width) for _ in range(rng.randint(1, 8)))]))
    run(simulate, configure(width, stages), tiles, stall=stalls.input, rng=rng)


@WIDTHS
@pytest.mark.parametrize("zero", [-128, -1, 0, 1, 127])
@pytest.mark.parametrize("relu", [0, 1])
def test_every_rounding_saturates_at_both_ends(simulate, width, zero, relu):
    """Also one that leaves no bit but the sign, and one that has more bits than a result."""
    limit = 1 << width + 1
    rows = [(acc, fraction) for fraction in (0, (1 << width) - 1)
            for acc in (-4 * limit, -limit - 1, -limit, 1 - limit, -1, 0, 1, limit - 1, limit,
                        4 * limit, limit // 2 - 2, -limit // 2 - 2)]
    run(simulate, configure(width), [
        ({"scale": 1, "relu": relu, "rounding": rounding, "zero": zero}, rows)
        for rounding in range(1 << (width - 1).bit_length())])


@pytest.mark.parametrize("rounding", range(16))
def test_halves_are_rounded_up_at_every_position(simulate, rounding):
    """And what is just below them, or above, is not, or is."""
    config = configure(16)
    step = 1 << rounding + GUARD_BITS
    rows = [(number * step + step // 2 + more, 0) for number in (-3, -1, 0, 1, 2)
            for more in (-1, 0, 1)]
    run(simulate, config, [({"scale": 1, "relu": 0, "rounding": rounding, "zero": 0}, rows)])


@STAGES
def test_latency_is_that_of_the_configuration(simulate, stages):
    config = configure(16, stages)
    dut = RowScale(config)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(config.scale_stages + 1):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.o.valid)
        await ctx.tick()
        assert not ctx.get(dut.o.valid)

    simulate(dut, bench)
