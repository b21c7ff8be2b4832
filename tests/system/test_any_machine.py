"""Random machines with random networks, against the golden model."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import MIN_SCALE_WIDTH, MIN_TABLE_WIDTH, EIEConfig
from eie_hdl.numeric import limits
from eie_sim.cycles.model import predict_build
from eie_sim.inference import infer
from support.convolutions import random_program
from support.machines import DEEPEST_MAC
from support.short import icarus_in_short


def random_config(rng: np.random.Generator) -> EIEConfig:
    """Random machine that simulates in about a second."""
    act_width, codebook_width = rng.integers(5, 25, 2).tolist()
    return EIEConfig(
        n_pe=2 ** int(rng.integers(5)), v_width=int(rng.integers(2, 9)),
        z_width=int(rng.integers(2, 9)), entries_per_word=2 ** int(rng.integers(5)),
        queue_depth=int(rng.integers(2, 20)), drop_empty_columns=bool(rng.integers(2)),
        act_width=act_width, codebook_width=codebook_width,
        # With room for maxima, too.
        acc_width=max(act_width + codebook_width + int(rng.integers(8, 13)), 2 * act_width),
        acc_depth=2 ** int(rng.integers(2, 9)), spmat_depth=int(rng.integers(2500, 4000)),
        ptr_depth=int(rng.integers(1000, 1500)), act_depth=int(rng.integers(100, 300)),
        n_codebooks=int(rng.integers(3, 6)), program_depth=int(rng.integers(40, 70)),
        mac_stages=int(rng.integers(4, 6)), loops=(loops := bool(rng.integers(2))),
        local=loops and bool(rng.integers(2)), maximum=loops and bool(rng.integers(2)))


# One machine in short, as the tests of the cycle model also draw some.
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full)
                                       for seed in (1, 5))])
def test_a_random_machine_runs_a_random_network(seed, icarus, simulators):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    sizes = rng.integers(1, 60, 3).tolist()
    network = random_network(rng, sizes, density=rng.uniform(0.05, 0.6), v_width=config.v_width,
                             frac=config.act_width // 2)
    build = compile_network(network, config, outputs="all",
                            mapping=["balanced", "interleaved"][seed % 2])
    low, high = limits(config.act_width)
    inputs = rng.integers(low, high, (3, sizes[0]), endpoint=True) * rng.integers(0, 2, sizes[0])
    result = infer(build, inputs, words=True, engine="cocotb", simulator=icarus, cache=simulators,
                   load="images")
    assert [str(mismatch) for mismatch in result.mismatches] == [], config
    assert result.overflows == 0


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_a_random_machine_runs_random_convolutions(seed, icarus, simulators):
    config = dataclasses.replace(random_config(np.random.default_rng(seed)), loops=True,
                                 local=seed >= 4, maximum=seed % 4 > 1)
    config = dataclasses.replace(config, products=config.act_width <= config.codebook_width,
                                 tables=seed % 2 == 1 and config.act_width >= MIN_TABLE_WIDTH,
                                 scales=config.act_width >= MIN_SCALE_WIDTH
                                 and config.codebook_width >= 13)
    program = random_program(config, seed, n_images=3, n_buffers=1 + seed % 2)
    result = infer(program.build, program.inputs, words=True, engine="cocotb", simulator=icarus,
                   cache=simulators, load="images")
    assert [str(mismatch) for mismatch in result.mismatches] == [], config
    assert result.outputs[0].tolist() == program.expected.tolist()


# Verilator compiles the machine for longer than everything else here takes.
@icarus_in_short
def test_the_deepest_mac_computes_the_same_in_as_many_cycles_as_predicted(simulator, simulators):
    """Rows repeat in successive entries: a column has one or two rows in each PE."""
    rng = np.random.default_rng(6)
    network = random_network(rng, [40, 4, 30], density=0.5, v_width=DEEPEST_MAC.v_width, frac=4)
    build = compile_network(network, DEEPEST_MAC, outputs="all")
    inputs = rng.integers(-128, 128, (4, 40))
    result = infer(build, inputs, words=True, engine="cocotb", simulator=simulator,
                   cache=simulators, load="images")
    assert [str(mismatch) for mismatch in result.mismatches] == []
    predicted = [prediction.counters["cycles"] for prediction in predict_build(build, inputs)]
    assert result.counters["cycles"].tolist() == predicted
    shallower = dataclasses.replace(build, config=dataclasses.replace(DEEPEST_MAC, mac_stages=4))
    assert all(prediction.counters["cycles"] < cycles for prediction, cycles
               in zip(predict_build(shallower, inputs), predicted))


def test_a_machine_that_is_full_runs(icarus, simulators):
    """All memories have the minimum depth, so the last pointer may equal the number of entries."""
    rng = np.random.default_rng(5)
    roomy = EIEConfig(n_pe=2, entries_per_word=2, z_width=3, n_codebooks=1, acc_depth=16)
    network = random_network(rng, [11, 13], density=1.0)
    memory = compile_network(network, roomy).report["memory"]
    config = dataclasses.replace(
        roomy, **{f"{name}_depth": memory[instance]["words_used"] for name, instance in [
            ("spmat", "spmat"), ("ptr", "ptr_even"), ("act", "act"), ("program", "program")]})
    assert config.n_entries.bit_count() > 1
    build = compile_network(network, config)
    inputs = rng.integers(1, 1 << 12, (2, 11))
    result = infer(build, inputs, words=True, engine="cocotb", simulator=icarus, cache=simulators,
                   load="images")
    assert [str(mismatch) for mismatch in result.mismatches] == []
    assert result.counters["macs"].tolist() == [11 * 13] * 2
