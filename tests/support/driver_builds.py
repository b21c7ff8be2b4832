"""Small builds and inputs for the tests of the driver."""

import dataclasses

import numpy as np

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS

TINY = PRESETS["tiny"]


def compiled(sizes=(20, 30, 10), *, seed=1, outputs="last", config=TINY, buffers=2) -> Build:
    """Compile a random network, with this number of input buffers."""
    network = random_network(np.random.default_rng(seed), sizes, v_width=config.v_width, frac=4)
    build = compile_network(network, config, outputs=outputs)
    assert build.input_buffers == 2
    return dataclasses.replace(build, input_stride=build.input_stride if buffers == 2 else 0)


def random_words(build, batch=5):
    """Draw fixed-point inputs, int64 (batch, n_inputs)."""
    return np.random.default_rng(2).integers(-128, 128, (batch, len(build.input.columns)))
