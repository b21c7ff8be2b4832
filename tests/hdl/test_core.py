"""Core as a whole, in Amaranth's simulator, against the golden model."""

import dataclasses
import itertools
import random

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_compiler.vectors import result_order, scatter
from eie_hdl.config import ACTS_PER_WORD, PRESETS, EIEConfig
from eie_hdl.core import Core
from eie_hdl.format import Layouts, Memory
from eie_hdl.lib.stream_queue import StreamQueue
from eie_hdl.pe import queue
from eie_sim.golden.model import GoldenModel
from support.counting import counting
from support.simulation import get_vector, image_words, input_words, nothing, put

CountingCore = counting(Core, lambda core: core.counted)

SMALL = dataclasses.replace(PRESETS["tiny"], act_depth=32)
PHASES = ("phase_control", "phase_compute", "phase_output", "stall_barrier")


def inputs_of(build, values, buffer=0):
    """Words that fill an input buffer."""
    return input_words(build.config, build.input, values,
                       base=build.input.base_word + buffer * build.input_stride)


async def run(ctx, dut, offset=0, first=0):
    """Run a program and give its counters."""
    await put(ctx, dut.run, [{"descriptor": first, "offset": offset}])
    while not ctx.get(dut.done):
        await ctx.tick()
    await ctx.tick()
    assert not ctx.get(dut.busy)
    return {name: ctx.get(value) for name, value in dut.sums.items()}


def golden(build, inputs):
    """Vectors that each of the inputs makes, and what is counted.

    The elements are in the order in which they are sent.
    """
    placed = scatter(build.input, inputs, build.config.n_pe)
    expected, statistics = GoldenModel(build.config, build.images).run_counted(
        placed, build.input.base_word)
    vectors = [[vectors[image, result_order(build.config, vectors.shape[1])].tolist()
                for vectors in expected] for image in range(len(inputs))]
    return vectors, statistics


def inference(dut, build, inputs, *, stalls=(0, 0), counted=None):
    """Benches that load, run each of the inputs and compare all outputs.

    The next input is loaded, and its program started, while results are being sent.
    """
    expected, statistics = golden(build, inputs)

    async def host(ctx):
        await put(ctx, dut.load, image_words(build.config, build.images))
        for image, values in enumerate(inputs):
            while build.input_buffers == 1 and ctx.get(dut.sending):
                await ctx.tick()
            await put(ctx, dut.load, inputs_of(build, values), stall=stalls[0])
            counts = await run(ctx, dut)
            for name in ("broadcasts", "macs", "paddings"):
                assert counts[name] == getattr(statistics, name)[image], name
            assert counts["ptr_reads"] == build.config.n_pe * counts["broadcasts"]
            assert counts["cycles"] == sum(counts[name] for name in PHASES)
            assert not ctx.get(dut.overflow)
            if counted is not None:
                counted.append(counts)

    async def consumer(ctx):
        for vectors in expected:
            for vector in vectors:
                assert await get_vector(ctx, dut.result, stall=stalls[1]) == vector
        await nothing(ctx, dut.result, cycles=8)
        assert not ctx.get(dut.sending)

    return host, consumer


def random_inputs(rng, batch, n, width=8):
    limit = 1 << width - 1
    return rng.integers(-limit, limit, (batch, n)) * (rng.random((batch, n)) < 0.6)


def random_build(n_pe, sizes=(13, 18, 5), outputs="all"):
    config = dataclasses.replace(SMALL, n_pe=n_pe)
    network = random_network(np.random.default_rng(n_pe), sizes, density=0.3,
                             v_width=config.v_width, frac=4)
    return compile_network(network, config, outputs=outputs)


# Two programs at once run on 8 PEs in test_core_in_flight.py.
@pytest.mark.parametrize("n_pe", [1, 2, 4, pytest.param(8, marks=pytest.mark.full)])
def test_network_gives_the_results_of_the_golden_model(simulate, n_pe):
    build = random_build(n_pe)
    dut = CountingCore(build.config)
    simulate(dut, *inference(dut, build, random_inputs(np.random.default_rng(n_pe), 1, 13)))


def test_network_gives_the_same_with_a_slow_host(simulate, stalls):
    """Two images, one after the other, with several tiles per layer."""
    rng = np.random.default_rng(47)
    config = dataclasses.replace(SMALL, n_pe=2, acc_depth=4, drop_empty_columns=False)
    network = random_network(rng, [6, 19, 3], density=0.4, v_width=config.v_width, frac=4)
    build = compile_network(network, config)
    dut = CountingCore(config)
    counted = []

    n_blocked, blocks = 0, random.Random(48)

    async def observer(ctx):
        nonlocal n_blocked
        async for *_, busy, blocked in ctx.tick().sample(dut.busy, dut.result_blocked):
            n_blocked += busy and blocked
            ctx.set(dut.result_blocked, blocks.random() < stalls.output)

    simulate(dut, *inference(dut, build, random_inputs(rng, 2, 6), stalls=stalls,
                             counted=counted), background=[observer])
    assert sum(counts["stall_result"] for counts in counted) == n_blocked
    assert (n_blocked > 0) == (stalls.output > 0)


@pytest.mark.parametrize("config", [
    EIEConfig(n_pe=2, v_width=8, z_width=8, spmat_depth=32, act_depth=64, n_codebooks=2),
    EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=1, acc_depth=4, spmat_depth=256,
              act_depth=64, n_codebooks=1, queue_depth=2),
], ids=["widest", "narrowest"])
def test_network_gives_the_same_at_the_limits_of_widths(simulate, config):
    rng = np.random.default_rng(53)
    # One layer, since the machine may hold one codebook.
    network = random_network(rng, [11, 13], density=0.4, v_width=config.v_width, frac=8)
    build = compile_network(network, config)
    dut = CountingCore(config)
    simulate(dut, *inference(dut, build, random_inputs(rng, 1, 11, width=16)))


@pytest.mark.parametrize("n_pe", [1, 2, 8])
def test_no_queue_overflows_while_a_pe_that_has_all_the_work_fills_every_slot(
        simulate, monkeypatch, n_pe):
    """All weights are in PE 0, a full column of the tile for every input."""
    config = dataclasses.replace(SMALL, n_pe=n_pe, queue_depth=2)
    codes = np.zeros((16 * n_pe, 16), np.uint8)
    codes[::n_pe] = 1
    layer = make_layer(codes, codebook=[0, 0.25, *[0.5] * 6], output_frac=4)
    build = compile_network(CompressedNetwork((layer,), input_frac=4, v_width=3), config,
                            mapping="interleaved")
    slots, levels = [], []

    def make_slots(*args, **options):
        slots.append(StreamQueue(*args, **options))
        return slots[-1]

    async def observer(ctx):
        async for *_, valid, ready, level in ctx.tick().sample(
                slots[0].i.valid, slots[0].i.ready, slots[0].level):
            assert ready or not valid, "A column is lost"
            levels.append(level)

    monkeypatch.setattr(queue, "StreamQueue", make_slots)
    dut = CountingCore(config)
    inputs = np.ones((1, 16), np.int64)
    simulate(dut, *inference(dut, build, inputs), background=[observer])
    assert len(slots) == n_pe
    assert max(levels) == config.queue_depth + config.n_in_flight


@pytest.mark.parametrize("n_pe", [1, 4])
def test_busy_cycles_of_all_pes_are_the_entries_that_were_walked(simulate, n_pe):
    """One PE is watched at a time; what is watched may change while the program runs."""
    build = random_build(n_pe, sizes=(9, 14), outputs="last")
    values = random_inputs(np.random.default_rng(59), 1, 9)[0]
    dut = CountingCore(build.config)

    async def host(ctx):
        await put(ctx, dut.load, image_words(build.config, build.images))
        await put(ctx, dut.load, inputs_of(build, values))
        busy = []
        for pe in range(n_pe):
            ctx.set(dut.watched, pe)
            counts = await run(ctx, dut)
            busy.append(counts["pe_busy"])
        assert sum(busy) == counts["macs"] + counts["paddings"] > 0
        assert len(set(busy)) > (n_pe > 1)

    async def consumer(ctx):
        ctx.set(dut.result.ready, 1)

    simulate(dut, host, consumer)


@pytest.mark.parametrize("n_pe", [1, 4])
def test_next_input_is_loaded_while_a_program_uses_the_other_buffer(simulate, n_pe):
    """All unused rows are overwritten in the meantime, some of them often."""
    build = random_build(n_pe, outputs="last")
    config, layouts = build.config, Layouts.of(build.config)
    assert build.input_buffers == 2
    rng = random.Random(n_pe)
    inputs = random_inputs(np.random.default_rng(n_pe), 4 if n_pe <= 2 else 2, 13)
    expected, _ = golden(build, inputs)
    spare = range(build.input.base_word + build.input_stride + build.input_words,
                  config.act_depth)
    written = {}
    dut = CountingCore(config)
    running, n_while_running = True, 0

    def words():
        """Yield words for unused rows while the program runs, for the PEs in turn."""
        turn = itertools.cycle(range(config.n_pe))
        while running:
            place = rng.choice(spare), next(turn)
            written[place] = rng.getrandbits(layouts.act_word.size)
            yield {"memory": Memory.ACT, "address": place[0], "pe": place[1],
                   "data": written[place]}

    async def host(ctx):
        nonlocal running, n_while_running
        await put(ctx, dut.load, image_words(config, build.images))
        await put(ctx, dut.load, ({"memory": Memory.ACT, "address": row, "everyone": 1}
                                  for row in spare))
        await put(ctx, dut.load, inputs_of(build, inputs[0]))
        for turn in range(len(inputs)):
            buffer = turn % 2
            await put(ctx, dut.run, [{"offset": buffer * build.input_stride}])
            following = iter(inputs_of(build, inputs[turn + 1], 1 - buffer)
                             if turn + 1 < len(inputs) else ())
            others = words()
            while ctx.get(dut.busy):
                # Half of the time words are offered in every cycle.
                word = next(following, None) or next(others)
                await put(ctx, dut.load, [word], stall=0.7 * (turn % 2), rng=rng)
                n_while_running += ctx.get(dut.busy)
            await put(ctx, dut.load, following)
        running = False
        await ctx.tick().repeat(2 * config.n_in_flight)
        await put(ctx, dut.read, [{"memory": Memory.ACT, "address": spare[0],
                                   "count": len(spare)}])

    async def consumer(ctx):
        for vectors in expected:
            for vector in vectors:
                assert await get_vector(ctx, dut.result, stall=0.3) == vector
        found = await get_vector(ctx, dut.result)
        values = np.array(found).reshape(len(spare), n_pe, ACTS_PER_WORD)
        for n, row in enumerate(spare):
            for pe in range(n_pe):
                word = layouts.act_word.from_bits(written.get((row, pe), 0))
                assert list(word) == values[n, pe].tolist(), (row, pe)

    simulate(dut, host, consumer)
    assert n_while_running > 40
