"""A build for the cycle model, whose tests are skipped without Numba."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.extras import install_command

pytest.importorskip("numba", reason=install_command("bench"))


@pytest.fixture
def build_and_words(request):
    """A layer of one tile, or of as many as a parameter makes; and an input."""
    acc_depth = getattr(request, "param", 16)
    config = dataclasses.replace(PRESETS["tiny"], v_width=4, acc_depth=acc_depth)
    rng = np.random.default_rng(3)
    build = compile_network(random_network(rng, [30, 40], density=0.2), config,
                            mapping="balanced")
    return build, rng.integers(1, 100, 30) * (rng.random(30) < 0.6)
