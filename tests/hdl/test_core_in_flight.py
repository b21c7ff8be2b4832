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


def make_build(n_pe, *, act_depth=64, outputs="last"):
    config = dataclasses.replace(PRESETS["tiny"], n_pe=n_pe, act_depth=act_depth, ptr_depth=128)
    network = random_network(np.random.default_rng(n_pe), SIZES, density=0.3,
                             v_width=config.v_width, frac=4)
    return compile_network(network, config, outputs=outputs)


def golden(build, inputs):
    """Vectors of each input, in the order in which they are sent, and what is counted."""
    placed = scatter(build.input, inputs, build.config.n_pe)
    vectors, statistics = GoldenModel(build.config, build.images).run_counted(
        placed, build.input.base_word)
    return [[vector[image, result_order(build.config, vector.shape[1])].tolist()
             for vector in vectors] for image in range(len(inputs))], statistics


def stream(dut, build, inputs, *, stalls, log):
    """Benches that start each input as soon as its buffer and the core accept it."""
    expected, statistics = golden(build, inputs)
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
        async for *_, running, done, in_flight in ctx.tick().sample(
                dut.running, dut.done, dut.running == 3):
            both += in_flight
            n_done += done
            log[0] = {"both": both, "done": n_done}

    return host, consumer, watch, statistics


@pytest.mark.parametrize("outputs", ["last", "all"])
@pytest.mark.parametrize("n_pe", [1, 2, 4, 8])
def test_two_programs_in_flight_give_the_results_of_the_golden_model(simulate, n_pe, outputs,
                                                                     stalls):
    build = make_build(n_pe, outputs=outputs)
    rng = np.random.default_rng(n_pe)
    inputs = rng.integers(-128, 128, (7, SIZES[0])) * (rng.random((7, SIZES[0])) < 0.6)
    dut = Core(build.config)
    log = [None]
    host, consumer, watch, statistics = stream(
        dut, build, inputs, stalls=(stalls.input, stalls.output), log=log)
    simulate(dut, host, consumer, background=[watch])
    assert log[0]["done"] == len(inputs)
    assert log[0]["both"] > 100
