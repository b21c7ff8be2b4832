"""`eie_compiler.lowering.compile`, with `eie_compiler.lowering.lower` and its result in
`eie_compiler.lowering.lowered_network`.
"""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.compression.compress import compress
from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.csc_decode import decode
from eie_compiler.model import Model, ModelLayer
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.numeric import relu, round_shift, saturate
from eie_hdl.packing import unpack

ROOMY = EIEConfig(n_pe=4, act_depth=1 << 12, ptr_depth=1 << 14, spmat_depth=1 << 12)


def network_of(sizes, seed=21, **options):
    return random_network(np.random.default_rng(seed), sizes, **options)


def program_of(build):
    return unpack(Layouts.of(build.config).descriptor, build.images["ccu.program"])


def run_dense(build, inputs):
    """Compute the integers of every layer with dense matrices, by column number."""
    by_column = np.zeros(build.config.n_pe * 4 * build.config.act_depth, np.int64)
    by_column[build.input.columns] = inputs
    for layer in decode(build.config, build.images):
        weights = layer.codebook[layer.codes.toarray()]
        acc = weights @ by_column[:weights.shape[1]] + (layer.bias << layer.bias_shift)
        result = round_shift(acc, layer.shift)
        result = saturate(relu(result) if layer.relu else result, build.config.act_width)
        by_column[:] = 0
        by_column[:len(result)] = result
        yield result


@settings(max_examples=25)
@given(sizes=st.lists(st.integers(1, 70), min_size=2, max_size=4), seed=st.integers(0, 1 << 32),
       mapping=st.sampled_from(["balanced", "interleaved"]), negative=st.booleans())
def test_the_compiled_network_computes_what_the_network_does(sizes, seed, mapping, negative):
    rng = np.random.default_rng(seed)
    network = random_network(rng, sizes, relu=not negative)
    config = EIEConfig(n_pe=8, acc_depth=8)
    build = compile_network(network, config, mapping=mapping, keep_dead_rows=True)
    x = rng.integers(-256, 257, sizes[0])
    values, error = x / 2 ** network.input_frac, np.zeros(sizes[0])
    for layer, vector, result, report in zip(network.layers, build.layers, run_dense(build, x),
                                             build.report["layers"]):
        formats = report["formats"]
        weights = layer.codebook[layer.codes.toarray()]
        error = (np.abs(weights) @ error
                 + (layer.codes.toarray() > 0) @ (np.abs(values) + error)
                 * 2.0 ** -(formats["weight_frac"] + 1)
                 + 2.0 ** -(formats["bias_frac"] + 1) + 2.0 ** -(layer.output_frac + 1))
        values = weights @ values + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
        found = result[vector.columns] / 2 ** layer.output_frac
        assert (np.abs(found) < 127).all()    # nothing saturates
        assert (np.abs(found - values) <= error + 1e-9).all()


def test_unused_slots_stay_zero():
    network = network_of([5, 13, 6])
    build = compile_network(network, EIEConfig(n_pe=8, acc_depth=4))
    for vector, result in zip(build.layers, run_dense(build, np.full(5, 100))):
        unused = np.delete(np.arange(len(result)), vector.columns)
        assert len(unused)
        assert not result[unused].any()


def test_only_the_last_results_are_sent_unless_all_are_wanted():
    network = network_of([10, 20, 5])
    assert [vector.name for vector in compile_network(network, ROOMY).outputs] == ["fc2"]
    both = compile_network(network, ROOMY, outputs="all")
    assert [vector.name for vector in both.outputs] == ["fc1", "fc2"]


@pytest.mark.parametrize("name", ["act_width", "v_width", "codebook_width"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_machine_of_other_widths_is_refused_whether_wider_or_narrower(name, step):
    layer = ModelLayer("fc", np.random.default_rng(22).normal(size=(5, 10)))
    network = compress(Model((layer,)), v_width=5, act_width=12, codebook_width=10)
    config = EIEConfig(n_pe=4, v_width=5, act_width=12, codebook_width=10)
    compile_network(network, config)
    made_for = getattr(config, name)
    with pytest.raises(CompileError, match=f"^{name} must be {made_for}, for which the network was "
                                           f"compressed, not {made_for + step}: choose another "):
        compile_network(network, dataclasses.replace(config, **{name: made_for + step}))


@pytest.mark.parametrize("config, sizes, message", [
    ({"act_depth": 9}, [64, 40, 64],
     "activation SRAM must have 14 words (7 of biases, 7 of inputs and outputs of layer 'fc1'), "
     "not 9: raise act_depth to 14 or more, or n_pe"),
    ({"ptr_depth": 100}, [64, 100, 10],
     "each of the two pointer SRAMs of a PE must have 115 words for 229 pointers, one for each "
     "column of each tile, not 100: raise ptr_depth to 115 or more, or acc_depth or n_pe for fewer "
     "tiles"),
    ({"spmat_depth": 10}, [64, 16],
     "spmat SRAM must have 32 words for the 256 entries of PE 0, not 10: raise spmat_depth to 32 "
     "or more, or n_pe"),
    ({"spmat_depth": 10}, [16, 16, 16],    # one layer would fit
     "spmat SRAM must have 16 words for the 128 entries of PE 0, not 10: raise spmat_depth to 16 "
     "or more, or n_pe"),
    ({"n_codebooks": 1}, [4, 4, 4],
     "codebook memory must have 32 words for 2 codebooks of 16, not 16: raise n_codebooks to 2 or "
     "more"),
    ({"program_depth": 3}, [4, 130, 4],
     "program memory must have 5 words, one for each tile and each output, not 3: raise "
     "program_depth to 5 or more, or acc_depth"),
])
def test_a_network_that_does_not_fit_is_refused(config, sizes, message):
    config = EIEConfig(**{"n_pe": 4, "acc_depth": 16, **config})
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        compile_network(network_of(sizes, density=1.0), config)


def test_a_network_that_just_fits_compiles():
    network = network_of([64, 40, 64], density=1.0)
    roomy = compile_network(network, ROOMY).report["memory"]
    needed = compile_network(network, dataclasses.replace(
        ROOMY, act_depth=roomy["act"]["words_used"] - 1)).report["memory"]    # without regions
    config = EIEConfig(
        n_pe=4, act_depth=needed["act"]["words_used"], ptr_depth=needed["ptr_even"]["words_used"],
        spmat_depth=needed["spmat"]["words_used"], program_depth=needed["program"]["words_used"],
        n_codebooks=2)
    build = compile_network(network, config)
    assert build.report["memory"]["act"]["words"] == 22
    # Only the pointer after a full SRAM wraps, and only if the depth is a power of two.
    assert config.n_entries.bit_count() > 1
    for exact, layer in zip(network.layers, decode(config, build.images), strict=True):
        assert layer.codes.nnz == exact.codes.nnz


@pytest.mark.parametrize("options, message", [
    ({"mapping": "random"}, "mapping must be balanced or interleaved, not 'random'"),
    ({"outputs": "none"}, "outputs must be last or all, not 'none'"),
])
def test_unknown_options_are_refused(options, message):
    with pytest.raises(CompileError, match=f"^{message}$"):
        compile_network(network_of([4, 4]), PRESETS["default"], **options)


def test_one_weight_is_a_network():
    network = network_of([1, 1], density=1.0)
    for n_pe in (1, 16):
        build = compile_network(network, EIEConfig(n_pe=n_pe))
        layer, = decode(build.config, build.images)
        assert layer.codes.nnz == 1
        assert layer.codes[0, 0] == network.layers[0].codes[0, 0]
