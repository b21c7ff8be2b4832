"""Compiler and golden model against floating point, within the rounding error.

Each layer rounds its codebook, its biases and its results. The error bound of each result is
computed row by row, so that the tolerance is proven rather than chosen.
"""

import dataclasses

import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.lowering.compile import compile_network
from eie_compiler.model import Model, ModelLayer
from eie_compiler.vectors import dequantise
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.inference import infer, prepare

CONFIGS = {
    "default": EIEConfig(),
    "isca2016": EIEConfig.isca2016(n_pe=4),
    "tiny": dataclasses.replace(PRESETS["tiny"], spmat_depth=1024, ptr_depth=1024, act_depth=128),
    "one-pe": EIEConfig(n_pe=1, v_width=8, entries_per_word=1, spmat_depth=8192),
}


def random_network(config, rng, sizes):
    """Layers of any density, with and without ReLU, each with an empty row and column."""
    layers = []
    for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:])):
        dense = rng.normal(0, 1 / np.sqrt(n_cols), (n_rows, n_cols))
        dense[rng.integers(n_rows)] = 0
        dense[:, rng.integers(n_cols)] = 0
        layers.append(ModelLayer(f"fc{number}", dense, rng.normal(0, 0.1, n_rows),
                                 relu=bool(rng.integers(2))))
    return compress(Model(tuple(layers)), density=rng.uniform(0.05, 0.5, len(layers)).tolist(),
                    v_width=config.v_width, act_width=config.act_width,
                    codebook_width=config.codebook_width)


def exact_layers(network, build, inputs):
    """Yield each layer's floating-point results and the error bound of the machine's."""
    config = build.config
    values, error = inputs, 0.0
    limits = [-(1 << config.act_width - 1), (1 << config.act_width - 1) - 1]
    for layer, shared, report in zip(network.layers, decompress(network).layers,
                                     build.report["layers"]):
        formats = report["formats"]
        rounded_weight = 0.5 ** (formats["weight_frac"] + 1)
        rounded = 0.5 ** (formats["bias_frac"] + 1) + 0.5 ** (layer.output_frac + 1)
        used = (shared.weight != 0).astype(float)
        error = (error + np.zeros_like(values)) @ abs(shared.weight).T \
            + rounded_weight * ((np.abs(values) + error) @ used.T) + rounded
        values = shared(values)
        # Neither ReLU nor saturation increases the distance of two numbers.
        values = np.clip(values, *(limit / 2.0 ** layer.output_frac for limit in limits))
        yield values, error


@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(2))
def test_results_are_those_of_floating_point_within_the_proven_error(name, mapping, seed):
    config = CONFIGS[name]
    rng = np.random.default_rng(seed)
    network = random_network(config, rng, rng.integers(1, 90, 4).tolist())
    build = compile_network(network, config, mapping=mapping, outputs="all")
    words = prepare(build, rng.uniform(-1, 1, (20, len(build.input.columns))))
    inference = infer(build, words, words=True, engine="golden")
    inputs = dequantise(words, network.input_frac)
    assert len(inference.outputs) == len(network.layers)
    for vector, output, (expected, error) in zip(build.outputs, inference.outputs,
                                                 exact_layers(network, build, inputs)):
        distance = np.abs(dequantise(output, vector.frac) - expected)
        assert (distance <= error * (1 + 1e-9)).all(), vector.name


def test_the_proven_error_is_small_and_a_wrong_weight_exceeds_it():
    rng = np.random.default_rng(7)
    config = CONFIGS["default"]
    network = random_network(config, rng, [50, 60, 40, 30])
    build = compile_network(network, config)
    words = prepare(build, rng.uniform(-1, 1, (20, 50)))
    (output,) = infer(build, words, words=True, engine="golden").outputs
    *_, (expected, error) = exact_layers(network, build, dequantise(words, network.input_frac))
    assert error.max() < 0.01 * np.abs(expected).max()

    first = network.layers[0]
    codes = first.codes.copy()
    codes.data = codes.data.copy()
    codes.data[0] = codes.data[0] % 15 + 1
    wrong = dataclasses.replace(
        network, layers=(dataclasses.replace(first, codes=codes), *network.layers[1:]))
    (changed,) = infer(compile_network(wrong, config), words, words=True, engine="golden").outputs
    distance = np.abs(dequantise(changed, build.outputs[-1].frac) - expected)
    assert (distance > error).any()
    assert (changed != output).any()
