"""Calls recorded from the driver."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.cycles.calls import record_calls
from eie_sim.cycles.kernel import EXPECT, LOAD, START, TAKE, WAIT


@pytest.mark.parametrize("act_depth, expected", [
    (10, [(EXPECT, 0), (LOAD, 9), (START, 0), (TAKE, 0), (EXPECT, 0), (WAIT, 1),
          (LOAD, 9), (START, 0), (TAKE, 0), (WAIT, 2)]),
    (256, [(EXPECT, 0), (LOAD, 9), (START, 0), (LOAD, 9), (START, 1),
           (WAIT, 1), (TAKE, 0), (EXPECT, 0), (WAIT, 2), (TAKE, 0)])])
def test_two_inferences_with_one_buffer_and_with_two(act_depth, expected):
    config = dataclasses.replace(PRESETS["tiny"], v_width=4, act_depth=act_depth)
    network = random_network(np.random.default_rng(3), [30, 40, 20], density=0.2)
    build = compile_network(network, config)
    words = np.ones((2, 30), np.int64)
    assert record_calls(build, words).tolist() == [list(call) for call in expected]
