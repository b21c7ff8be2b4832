"""Upper bound of the cycles of a program, and the time limit that follows from it."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.cycle_bound import bound_cycles
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.extras import install_command
from eie_hdl.registers import REGISTER


@pytest.fixture(scope="module")
def build():
    return compile_network(random_network(np.random.default_rng(1), [40, 70, 9]), EIEConfig(n_pe=4))


def test_a_program_takes_less(build):
    model = pytest.importorskip("eie_sim.cycles.model", reason=install_command("bench"))
    pytest.importorskip("numba", reason=install_command("bench"))
    (prediction,) = model.predict_build(build, np.full((1, 40), 100))
    assert prediction.counters["cycles"] < bound_cycles(build.config, build.images) < 1 << 20


def test_the_time_limit_is_raised_for_long_programs_alone(build):
    assert "WATCHDOG" not in build.settings
    entries = np.zeros((1 << 21, 2), np.uint64)
    long = dataclasses.replace(build, images=build.images | {"pe_0.spmat": entries})
    (limit,) = REGISTER["WATCHDOG"].fields
    assert long.settings["WATCHDOG"]["value"] == bound_cycles(long.config, long.images) \
        > limit.reset
    endless = dataclasses.replace(build, images=build.images | {
        "pe_0.spmat": np.zeros((1 << 28, 0), np.uint64)})
    assert endless.settings["WATCHDOG"]["value"] == (1 << 32) - 1
