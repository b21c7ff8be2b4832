"""Inputs of an inference: real numbers or words, one vector or many."""

import numpy as np

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim import inference


def test_integers_are_taken_as_words_and_one_vector_as_one_image():
    network = random_network(np.random.default_rng(8), [6, 9, 3], density=0.5, frac=4, v_width=3)
    build = compile_network(network, PRESETS["tiny"])
    words = inference.prepare(build, [0.5, 0.25, 0, 0, -1, 0])
    assert words.tolist() == [[x * 2 ** build.input.frac for x in (0.5, 0.25, 0, 0, -1, 0)]]
    assert inference.prepare(build, words[0]).tolist() == words.tolist()
