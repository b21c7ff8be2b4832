"""A small layer with inputs, the table of a sweep, and an executor without processes."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest

from eie_bench.paper.nine_layers import Machine
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command

pytest.importorskip("numba", reason=install_command("bench"))


@pytest.fixture(scope="session")
def network():
    """A network of one layer, 40 × 50."""
    return random_network(np.random.default_rng(11), [50, 40], density=0.2, v_width=3)


@pytest.fixture(scope="session")
def given(network):
    """The layer with two inputs that contain zeros."""
    from eie_bench.explore.workloads import GivenLayer

    rng = np.random.default_rng(12)
    inputs = rng.integers(-99, 99, (2, 50)) * (rng.random((2, 50)) < 0.6)
    return GivenLayer("fc1", network.layers[0], inputs)


@pytest.fixture(scope="session")
def machine():
    """The machine of the tests: 4 PEs, short runs, several tiles."""
    return Machine(PRESETS["tiny"], "balanced")


@pytest.fixture
def inline():
    """Executor that runs each task on submission, and counts the tasks."""
    class Inline(Executor):
        n_tasks = 0

        def submit(self, function, /, *arguments):
            self.n_tasks += 1
            future = Future()
            future.set_result(function(*arguments))
            return future

    return Inline()


@pytest.fixture
def table(machine, given, inline):
    """Queue depths, one of them impossible, with and without empty columns."""
    from eie_bench.explore.parallel import run
    from eie_bench.explore.sweep import GIVEN, Sweep, plan
    from eie_bench.explore.tables import make_table

    sweep = Sweep(GIVEN, {"queue_depth": (2, 1, 8), "drop_empty_columns": (True, False)})
    points = plan(sweep, {"tiny": machine}, [given.name])
    return make_table(sweep, points, run(points, [given], inline))
