"""FunctionTable, against the operations of graphs, for every word of many widths."""

import dataclasses
import random

import numpy as np
import pytest

from eie_compiler.graph.operations import Sigmoid, Tanh
from eie_hdl.config import EIEConfig
from eie_hdl.format import Table
from eie_hdl.numeric import limits
from eie_hdl.pe.function_table import FunctionTable

#: Widths of which every word is tested: narrow ones, and that of the default.
NARROW = (6, 7, 8, 9, 10, 11, 16)

#: Widths of which every word is tested with option --full.
WIDE = (12, 13, 14, 15)

#: Widths of which positions have fewer bits than words, and the last ones that have not.
WIDEST = (17, 18, 19, 21, 24)


def configure(width, stages=4, *, scales=False):
    return EIEConfig(act_width=width, codebook_width=13 if scales else 4, acc_width=60, loops=True,
                     tables=True, mac_stages=stages, scales=scales)


def expect(table, words, width):
    if table is Table.NONE:
        return words
    operation = Tanh() if table is Table.TANH else Sigmoid()
    return operation.words(words, fracs=[width - 5], frac=width - 2)


def operands(table, words, width):
    """What the write-back makes of words: negative ones less one, and in range of the function."""
    low, high = limits(width)
    if table is Table.NONE:
        return words
    least, greatest = limits(width - 1) if table is Table.TANH else (low, high)
    lowered = words - (words < 0)
    return np.select([lowered < least, lowered > greatest], [low, high], lowered)


def apply(simulate, config, table, words, *, stall=0.0, seed=0):
    """Results of the component for words in successive cycles, or with pauses."""
    dut, rng, results = FunctionTable(config), random.Random(seed), []
    # With scales, words come as they are.
    taken = words if config.scales else operands(table, words, config.act_width)

    async def producer(ctx):
        ctx.set(dut.table, table)
        for number, (word, operand) in enumerate(zip(words.tolist(), taken.tolist())):
            while rng.random() < stall:
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.i.payload.as_value(), rng.getrandbits(dut.i.payload.shape().size))
                await ctx.tick()
            negative = {} if config.scales else {"negative": word < 0}
            ctx.set(dut.i.payload, {"value": operand, **negative, "last": number % 3 == 0})
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(config.table_stages)

    async def record(ctx):
        number = 0
        async for *_, valid, value, last in ctx.tick().sample(
                dut.o.valid, dut.o.p.value, dut.o.p.last):
            if valid:
                assert last == (number % 3 == 0)
                results.append(value)
                number += 1

    simulate(dut, producer, background=[record])
    return results


@pytest.mark.parametrize("width", [*NARROW, *(pytest.param(width, marks=pytest.mark.full)
                                              for width in WIDE)])
@pytest.mark.parametrize("table", [Table.SIGMOID, Table.TANH])
def test_every_word_has_the_result_of_the_operation(simulate, table, width):
    low, high = limits(width)
    for words in np.split(np.arange(low, high + 1), max(1, 1 << width >> 12)):
        found = apply(simulate, configure(width), table, words)
        assert found == expect(table, words, width).tolist()


@pytest.mark.parametrize("width", [9, 11, *(pytest.param(width, marks=pytest.mark.full)
                                             for width in (10, 12, 13, 14, 15, 16))])
@pytest.mark.parametrize("table", [Table.SIGMOID, Table.TANH])
def test_every_word_that_comes_as_it_is_has_the_result_of_the_operation(simulate, table, width):
    low, high = limits(width)
    for words in np.split(np.arange(low, high + 1), max(1, 1 << width >> 12)):
        found = apply(simulate, configure(width, scales=True), table, words)
        assert found == expect(table, words, width).tolist()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full)
                                       for seed in range(1, 9))])
@pytest.mark.parametrize("width", [*WIDE, *WIDEST])
@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("table", [Table.SIGMOID, Table.TANH])
def test_words_have_the_results_of_the_operation(simulate, table, scales, width, seed):
    """Around zero, at both ends, where tanh ends, and any."""
    low, high = limits(width)
    rng = np.random.default_rng([width, seed])
    words = np.concatenate([
        *(center + np.arange(-40, 40) for center in (0, low // 2, high // 2)),
        low + np.arange(40), high - np.arange(40), rng.integers(low, high + 1, 600)])
    found = apply(simulate, configure(width, 4 + seed % 2, scales=scales), table, words)
    assert found == expect(table, words, width).tolist()


@pytest.mark.parametrize("stages", [4, 5])
@pytest.mark.parametrize("width", [8, 16, 24])
@pytest.mark.parametrize("table", Table)
def test_pauses_and_stages_of_the_mac_change_no_result(simulate, stalls, table, width, stages):
    low, high = limits(width)
    words = np.random.default_rng(width).integers(low, high + 1, 100)
    found = apply(simulate, configure(width, stages), table, words, stall=stalls.input)
    assert found == expect(table, words, width).tolist()


@pytest.mark.parametrize("width, stages, latency", [
    (16, 4, 4), (16, 5, 5), (17, 4, 4), (18, 4, 5), (24, 5, 6), (6, 4, 4)])
def test_latency_is_that_of_the_configuration(simulate, width, stages, latency):
    config = configure(width, stages)
    assert config.table_stages == latency
    assert dataclasses.replace(config, tables=False).table_stages == 0
    dut = FunctionTable(config)

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(latency):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)


def test_a_negative_operand_that_is_rounded_to_zero_has_the_result_of_zero(simulate):
    """A half below zero is rounded up, and still lowered."""
    config = configure(16)
    dut = FunctionTable(config)

    async def bench(ctx):
        for table, zero in ((Table.TANH, 0), (Table.SIGMOID, 1 << 13)):
            ctx.set(dut.table, table)
            ctx.set(dut.i.payload, {"value": -1, "negative": 1})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().repeat(config.table_stages)
            assert ctx.get(dut.o.p.value) == zero

    simulate(dut, bench)
