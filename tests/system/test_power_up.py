"""Whole machine from arbitrary contents of registers without reset and memories at power-up.

Simulators compile the Verilog without their initial values. Icarus begins with x, Verilator with
bits drawn from a seed. A register without reset on whose contents something depends shows.
"""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command
from eie_sim.inference import infer
from eie_sim.rtl import cocotb_engine, verilator_engine

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module", params=[
    {}, pytest.param({"n_pe": 1, "spmat_depth": 512}, marks=pytest.mark.full),
    pytest.param({"mac_stages": 5}, marks=pytest.mark.full)], ids=["tiny", "1 PE", "5 stages"])
def build(request):
    """Build for a machine with these changes."""
    network = random_network(np.random.default_rng(1), [20, 70, 9], density=0.3,
                             v_width=TINY.v_width, frac=4)
    return compile_network(network, dataclasses.replace(TINY, **request.param))


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(2).integers(-9, 90, (2, 20))


@pytest.fixture(scope="module")
def compare(build, inputs):
    """Function that compares a run with the golden model and the cycle model."""
    pytest.importorskip("numba", reason=install_command("bench"))
    expected = infer(build, inputs, words=True, engine="cycle-model")

    def compare(run):
        for output, words in zip(run.outputs, expected.outputs, strict=True):
            np.testing.assert_array_equal(output, words)
        for name, values in expected.counters.items():
            assert [counters[name] for counters in run.counters] == values.tolist(), name
    return compare


def test_no_unknown_value_at_power_up_reaches_results_or_counters(build, inputs, compare,
                                                                  simulators, icarus):
    compare(cocotb_engine.run(build, inputs, simulator=icarus, cache=simulators))


def test_results_and_counters_do_not_depend_on_values_at_power_up(build, inputs, compare,
                                                                  simulators, verilator):
    for seed in range(1, 17):
        compare(verilator_engine.run(build, inputs, cache=simulators, seed=seed, machines=1))
