"""Small builds and inputs for the tests of the driver."""

import dataclasses

import numpy as np

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.programs import compile_programs
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS

TINY = PRESETS["tiny"]


def compiled(sizes=(20, 30, 10), *, seed=1, outputs="last", config=TINY, buffers=2) -> Build:
    """Compile a random network, with this number of input buffers."""
    network = random_network(np.random.default_rng(seed), sizes, v_width=config.v_width, frac=4)
    build = compile_network(network, config, outputs=outputs)
    assert build.input_buffers == 2
    return dataclasses.replace(build, input_stride=build.input_stride if buffers == 2 else 0)


def compiled_programs() -> dict[str, Build]:
    """Compile four random networks: the first three are in one load, the last is in another.

    The programs overwrite each other's inputs, of which two end within a row.
    """
    builds = compile_programs({
        name: random_network(np.random.default_rng(seed), sizes, v_width=TINY.v_width, frac=4,
                             density=0.5)
        for seed, (name, sizes) in enumerate([("narrow", (2, 9)), ("wide", (40, 48)),
                                              ("even", (18, 20)), ("large", (60, 60))])}, TINY)
    narrow, wide, even, large = builds.values()
    assert narrow.images is wide.images is even.images is not large.images
    assert [len(build.clearing_packets()) for build in builds.values()] == [2, 0, 2, 0]
    return builds


def random_words(build, batch=5):
    """Draw fixed-point inputs, int64 (batch, n_inputs)."""
    return np.random.default_rng(2).integers(-128, 128, (batch, len(build.input.columns)))
