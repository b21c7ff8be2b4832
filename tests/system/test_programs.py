"""Random networks that share the memories, run in any order on the Verilog."""

import contextlib
import dataclasses

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.lowering.programs import compile_programs
from eie_compiler.random_networks import random_network
from eie_driver.accelerator import Accelerator
from eie_hdl.config import PRESETS
from eie_sim.inference import infer
from eie_sim.rtl.verilator_bus import VerilatorBus
from eie_sim.rtl.verilator_engine import make_library

TINY = PRESETS["tiny"]


@pytest.fixture(params=[
    TINY, pytest.param(dataclasses.replace(TINY, loops=True), marks=pytest.mark.full)],
    ids=["tiny", "loops"])
def machine(request, verilator, simulators):
    with contextlib.closing(VerilatorBus(make_library(request.param, simulators))) as bus:
        yield Accelerator(bus, timeout=0.1)


def random_programs(rng, config):
    """Programs of two to four networks of any size, in one load or in several."""
    while True:
        networks = {str(number): random_network(
            rng, rng.integers(1, rng.choice([5, 40, 252], rng.integers(2, 4))).tolist(),
            density=rng.choice([0.01, 0.1, 0.5]), frac=4, v_width=3, relu=False)
            for number in range(rng.integers(2, 5))}
        with contextlib.suppress(CompileError):
            return compile_programs(networks, config, keep_dead_rows=bool(rng.integers(2)),
                                    mapping=rng.choice(["balanced", "interleaved"]))


def test_programs_run_in_any_order(machine):
    rng = np.random.default_rng(7)
    # The biases leave room for one input of the last network.
    sets = [compile_programs({name: random_network(rng, sizes, v_width=3, frac=4, density=0.05)
                              for name, sizes in [("a", (4, 250)), ("b", (4, 250)),
                                                  ("c", (200, 64))]}, machine.config,
                             keep_dead_rows=True),
            *(random_programs(rng, machine.config) for _ in range(20))]
    seen = set()
    for builds in map(list, (programs.values() for programs in sets)):
        seen.add(("loads", min(2, len({id(build.images) for build in builds}))))
        for place in rng.integers(len(builds), size=6):
            build = builds[place]
            machine.select(build)
            words = rng.integers(-127, 128, (int(rng.integers(1, 4)), len(build.input.columns)))
            run = machine.run(words, words=True, read_counters=bool(rng.integers(2)))
            expected = infer(build, words, words=True, engine="golden").outputs
            assert all(map(np.array_equal, run.outputs, expected))
            seen |= {("regions", build.input_stride > build.input_words),
                     ("clears", len(build.clearing_packets())), ("buffers", build.input_buffers)}
    assert seen == {("loads", 1), ("loads", 2), ("regions", False), ("regions", True),
                    ("clears", 0), ("clears", 2), ("buffers", 1), ("buffers", 2)}
