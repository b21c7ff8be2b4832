"""Core with convolution loops, in Amaranth's simulator, against direct convolutions."""

import numpy as np
import pytest

from eie_compiler.vectors import result_order
from eie_hdl.config import EIEConfig
from eie_hdl.core import Core
from eie_hdl.format import Layouts, Memory
from eie_sim.golden.model import GoldenModel
from support.convolutions import CONFIGS, LOCAL_CONFIGS, random_program
from support.counting import counting
from support.random_loops import random_machine
from support.simulation import STALLS, get_vector, image_words, nothing, put

#: Small widths and memories.
SMALL = {"v_width": 2, "z_width": 2, "act_width": 8, "codebook_width": 7, "acc_width": 20,
         "acc_depth": 8, "entries_per_word": 2, "spmat_depth": 1024, "n_codebooks": 2,
         "program_depth": 4, "loops": True}

#: The same with products, of which a factor is as wide as a weight.
WIDER = SMALL | {"codebook_width": 8, "products": True}

#: The narrowest with scales.
SCALED = SMALL | {"act_width": 9, "codebook_width": 12, "acc_width": 24, "scales": True}

#: Machines of raw loops: pointers that are wider and narrower than columns, and five MAC stages.
RAW = {
    "one PE": EIEConfig(n_pe=1, act_depth=29, ptr_depth=1024, **SMALL),
    "two PEs": EIEConfig(n_pe=2, act_depth=22, ptr_depth=70, **SMALL),
    "five stages": EIEConfig(n_pe=2, act_depth=16, ptr_depth=512, mac_stages=5, queue_depth=2,
                             maximum=True, products=True, tables=True, **SCALED),
    "one PE, local": EIEConfig(n_pe=1, act_depth=29, ptr_depth=1024, local=True,
                               maximum=True, tables=True, **SCALED),
    "two PEs, local": EIEConfig(n_pe=2, act_depth=22, ptr_depth=70, local=True, **WIDER),
    "four PEs, local": EIEConfig(n_pe=4, act_depth=16, ptr_depth=128, mac_stages=5, queue_depth=2,
                                 drop_empty_columns=False, local=True, maximum=True, **SMALL),
}

#: Machines of convolutions.
MACHINES = CONFIGS | LOCAL_CONFIGS

CountingCore = counting(Core, lambda core: core.counted)


def map_words(program, values):
    """Words that write an input map, with zeros after its last column."""
    config = program.config
    rows = -(-len(values) // (4 * config.n_pe))
    slots = np.zeros(rows * 4 * config.n_pe, np.int64)
    slots[:len(values)] = values
    shape = Layouts.of(config).act_word
    for row, words in enumerate(slots.reshape(rows, 4, config.n_pe)):
        for pe in range(config.n_pe):
            yield {"memory": Memory.ACT, "address": program.base + row, "pe": pe,
                   "data": shape.const(words[:, pe].tolist()).as_bits()}


# Larger machines run on the simulators of Verilog, in tests/system.
@pytest.mark.parametrize("name, seed", [
    pytest.param(name, seed, marks=[pytest.mark.full] * (config.n_pe != 2 or seed > 0))
    for name, config in MACHINES.items() if config.n_pe <= 4 for seed in range(4)])
def test_random_convolutions_give_the_results_of_direct_ones(simulate, name, seed):
    stalls = [*STALLS.values()][-1 - seed]
    program = random_program(MACHINES[name], seed)
    config = program.config
    dut = CountingCore(config)
    _, statistics = GoldenModel(config, program.images).run_counted(program.inputs, program.base)
    order = result_order(config, program.expected.shape[1])

    async def host(ctx):
        await put(ctx, dut.load, image_words(config, program.images))
        for image, values in enumerate(program.inputs):
            await put(ctx, dut.load, map_words(program, values), stall=stalls.input)
            await put(ctx, dut.run, [{}])
            while not ctx.get(dut.done):
                await ctx.tick()
            await ctx.tick()
            counts = {each: ctx.get(value) for each, value in dut.sums.items()}
            for each in ("broadcasts", "macs", "paddings"):
                assert counts[each] == getattr(statistics, each)[image], each
            while ctx.get(dut.sending):
                await ctx.tick()

    async def consumer(ctx):
        for vector in program.expected:
            assert await get_vector(ctx, dut.result, stall=stalls.output) == vector[order].tolist()
        await nothing(ctx, dut.result, cycles=8)

    simulate(dut, host, consumer)


@pytest.mark.parametrize("name, seed", [
    pytest.param(name, seed, marks=[pytest.mark.full] * (seed >= (6 if config.maximum else 2)))
    for name, config in RAW.items() for seed in range(12)])
def test_raw_loops_do_what_the_golden_model_does(simulate, name, seed):
    """They may have places that wrap, maps of any extent, and columns that no segment has."""
    config, rng = RAW[name], np.random.default_rng(seed)
    machine, _ = random_machine(config, rng)
    images = machine.images()
    (expected,), statistics = GoldenModel(config, images).run_counted(np.zeros((1, 0), np.int64))
    order = result_order(config, expected.shape[1])
    dut = CountingCore(config)

    async def host(ctx):
        await put(ctx, dut.load, image_words(config, images))
        await put(ctx, dut.run, [{}])
        while not ctx.get(dut.done):
            await ctx.tick()
        await ctx.tick()
        for each in ("broadcasts", "macs", "paddings"):
            assert ctx.get(dut.sums[each]) == getattr(statistics, each)[0], each

    async def consumer(ctx):
        assert await get_vector(ctx, dut.result) == expected[0, order].tolist()

    simulate(dut, host, consumer)
