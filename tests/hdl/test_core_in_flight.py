"""Core with two programs in flight, in Amaranth's simulator, against the golden model."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import result_order, scatter
from eie_hdl.config import PRESETS
from eie_hdl.core import Core
from eie_hdl.format import COUNTERS
from eie_sim.golden.model import GoldenModel
from support.simulation import get_vector, image_words, input_words, nothing, put

SIZES = (13, 18, 22, 5)


def make_build(n_pe, *, sizes=SIZES, density=0.3, outputs="last", seed=None, **fields):
    config = dataclasses.replace(PRESETS["tiny"], n_pe=n_pe, **{
        "act_depth": 64, "ptr_depth": 128, "program_depth": 64, **fields})
    rng = np.random.default_rng(n_pe if seed is None else seed)
    network = random_network(rng, sizes, density=density, v_width=config.v_width, frac=4)
    return compile_network(network, config, outputs=outputs)


def golden(build, inputs):
    """Vectors of each input, in the order in which they are sent."""
    placed = scatter(build.input, inputs, build.config.n_pe)
    vectors = GoldenModel(build.config, build.images).run(placed, build.input.base_word)
    return [[vector[image, result_order(build.config, vector.shape[1])].tolist()
             for vector in vectors] for image in range(len(inputs))]


def stream(dut, build, inputs, *, stalls, log):
    """Benches that start each input as soon as its buffer and the core accept it."""
    expected = golden(build, inputs)
    rng = np.random.default_rng(5)

    async def host(ctx):
        await put(ctx, dut.load, image_words(build.config, build.images))
        for image, values in enumerate(inputs):
            buffer = image % 2
            offset = buffer * build.input_stride
            while ctx.get(dut.reads_input) >> buffer & 1:
                await ctx.tick()
            await put(ctx, dut.load, input_words(
                build.config, build.input, values, base=build.input.base_word + offset),
                stall=stalls[0], rng=rng)
            await put(ctx, dut.run, [{"buffer": buffer, "offset": offset}])
        while ctx.get(dut.busy):
            await ctx.tick()
        counts = {name: ctx.get(getattr(dut.counters, name)) for name in COUNTERS}
        log.append(counts)

    async def consumer(ctx):
        for vectors in expected:
            for vector in vectors:
                assert await get_vector(ctx, dut.result, stall=stalls[1]) == vector
        await nothing(ctx, dut.result, cycles=8)
        assert not ctx.get(dut.sending)

    async def watch(ctx):
        both, n_done = 0, 0
        async for *_, done, in_flight in ctx.tick().sample(
                dut.done, dut.running == 3):
            both += in_flight
            n_done += done
            log[0] = {"both": both, "done": n_done}

    return host, consumer, watch


@pytest.mark.parametrize("outputs", ["last", "all"])
@pytest.mark.parametrize("n_pe", [1, 2, 4, 8])
def test_two_programs_in_flight_give_the_results_of_the_golden_model(simulate, n_pe, outputs,
                                                                     stalls):
    build = make_build(n_pe, outputs=outputs)
    rng = np.random.default_rng(n_pe)
    inputs = rng.integers(-128, 128, (7, SIZES[0])) * (rng.random((7, SIZES[0])) < 0.6)
    dut = Core(build.config)
    log = [None]
    host, consumer, watch = stream(
        dut, build, inputs, stalls=(stalls.input, stalls.output), log=log)
    simulate(dut, host, consumer, background=[watch])
    assert log[0]["done"] == len(inputs)
    assert log[0]["both"] > 100


@pytest.mark.parametrize("seed", range(6))
def test_layers_of_several_tiles_give_the_results_of_the_golden_model(simulate, seed):
    """Columns are nearly empty, so that tiles are broadcast in less time than they are written."""
    rng = np.random.default_rng(seed)
    n_pe = 1 + seed % 2
    sizes = [6, *(rng.integers(2, 6 * 4, 3) * n_pe).tolist()]
    build = make_build(n_pe, sizes=sizes, density=0.1, seed=seed, acc_depth=4, ptr_depth=512,
                       outputs=["last", "all"][seed % 3 % 2])
    inputs = rng.integers(-128, 128, (5, 6)) * (rng.random((5, 6)) < 0.5)
    dut = Core(build.config)
    log = [None]
    host, consumer, watch = stream(dut, build, inputs, stalls=(0, 0.3), log=log)
    simulate(dut, host, consumer, background=[watch])
    assert log[0]["done"] == len(inputs)
