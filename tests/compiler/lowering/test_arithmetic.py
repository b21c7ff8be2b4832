"""The machine's arithmetic, against the golden model."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.compile import compile_network
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.inference import infer, prepare

CONFIGS = {
    "default": EIEConfig(n_pe=4),
    "tiny": PRESETS["tiny"],
    "narrow": EIEConfig(n_pe=2, act_width=6, codebook_width=5, acc_width=18),
    "isca2016": EIEConfig.isca2016(n_pe=4),
    "widest": EIEConfig(n_pe=2, act_width=24, codebook_width=24, acc_width=60),
}


def vectors_of_golden(network, config, values):
    """Input and results of every layer in the golden model, as numbers."""
    build = compile_network(network, config, outputs="all")
    words = prepare(build, values)
    outputs = infer(build, words, words=True, engine="golden").outputs
    return [np.ldexp(one.astype(float), -vector.frac)
            for one, vector in zip([words, *outputs], [build.input, *build.outputs])]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("saturating", [False, True])
@pytest.mark.parametrize("relu", [True, False])
def test_every_bit_is_that_of_the_golden_model(name, saturating, relu):
    config = CONFIGS[name]
    frac = config.act_width if saturating else min(config.act_width - 4, 12)
    for seed in range(4):
        rng = np.random.default_rng([71, seed])
        network = random_network(rng, (40, 30, 9), v_width=config.v_width, frac=frac, relu=relu)
        values = rng.normal(0, 10 if saturating else 0.2, (25, 40))
        expected = vectors_of_golden(network, config, values)
        for ours, theirs in zip(IntegerNetwork(network, config).vectors(values), expected,
                                strict=True):
            np.testing.assert_array_equal(ours, theirs)
        greatest = (2 ** (config.act_width - 1) - 1) / 2 ** frac
        assert all(np.abs(vector).max() >= greatest for vector in expected) == saturating


def test_inputs_are_preprocessed_as_in_a_build():
    rng = np.random.default_rng(73)
    network = dataclasses.replace(
        random_network(rng, (40, 30)), nonnegative_inputs=True,
        preprocessing=Preprocessing(rng.normal(size=40), rng.uniform(0.1, 10, 40)))
    values = rng.normal(size=(20, 40))
    config = EIEConfig(n_pe=2)
    for ours, theirs in zip(IntegerNetwork(network, config).vectors(values),
                            vectors_of_golden(network, config, values), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_patches_are_vectors_of_a_convolution():
    rng = np.random.default_rng(72)
    patches = Patches((2, 6, 5), kernel=(3, 3), padding=(1, 1, 1, 1), stride=(2, 1))
    network = dataclasses.replace(random_network(rng, (18, 7, 4)), patches=patches)
    images = rng.normal(0, 2, (3, 2, 6, 5))
    *_, ours = IntegerNetwork(network, EIEConfig(n_pe=2)).vectors(patches.cut(images))
    np.testing.assert_array_equal(ours, vectors_of_golden(network, EIEConfig(n_pe=2), images)[-1])
