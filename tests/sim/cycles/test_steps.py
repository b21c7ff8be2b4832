"""Inputs of the cycle model: those of a single layer against those of its build."""

import numpy as np
import pytest

from eie_compiler.random_networks import random_network
from eie_sim.cycles.model import predict
from eie_sim.cycles.steps import build_steps, layer_steps


@pytest.mark.parametrize("build_and_words, n_tiles", [(16, 1), (4, 3)],
                         indirect=["build_and_words"])
def test_a_layer_without_images_is_the_same_program(build_and_words, n_tiles):
    build, words = build_and_words
    rng = np.random.default_rng(3)
    layer = random_network(rng, [30, 40], density=0.2).layers[0]
    steps = layer_steps(build.config, layer, "balanced", words)
    (expected,) = build_steps(build, words[np.newaxis])
    assert len(steps) == len(expected) == n_tiles + 1
    for step, other in zip(steps, expected):
        used = other.nonzero
        assert (step.rows, step.barrier) == (other.rows, other.barrier)
        assert np.array_equal(step.nonzero, used) or not step.words
        for name in ("entries", "padding", "begin"):
            where = other.entries[:, used] > 0
            assert np.array_equal(getattr(step, name)[:, used][where],
                                  getattr(other, name)[:, used][where])
    assert predict(build.config, steps)[0] == predict(build.config, expected)[0]
