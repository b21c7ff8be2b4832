import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eie_compiler.errors import CompileError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.csc import decode
from eie_compiler.lowering.memory_map import n_words, place_activations
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
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
    """Integers of every layer, computed with dense matrices by column number."""
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
def test_the_compiled_network_computes_what_the_network_says(sizes, seed, mapping, negative):
    rng = np.random.default_rng(seed)
    network = random_network(rng, sizes, relu=not negative)
    config = EIEConfig(n_pe=8, acc_depth=8)
    build = compile_network(network, config, mapping=mapping)
    x = rng.integers(-256, 257, sizes[0])
    values, error = x / 2 ** network.input_frac, np.zeros(sizes[0])
    for layer, vector, result, report in zip(network.layers, build.layers, run_dense(build, x),
                                             build.manifest["layers"]):
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


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 400), min_size=2, max_size=6))
def test_no_layer_overwrites_its_source_or_a_bias(sizes):
    config, network = ROOMY, network_of(sizes, density=0.01)
    places = place_activations(config, network)
    vectors = [set(range(base, base + n_words(size, config.n_pe)))
               for base, size in zip(places.vectors, sizes)]
    biases = [set(range(base, base + n_words(size, config.n_pe)))
              for base, size in zip(places.biases, sizes[1:])]
    for source, destination in zip(vectors, vectors[1:]):
        assert not source & destination
    assert not set.union(*biases) & set.union(*vectors)
    assert sum(map(len, biases)) == len(set.union(*biases))
    assert max(set.union(*biases, *vectors)) < places.n_words
    largest = max(len(a) + len(b) for a, b in zip(vectors[1:], [*vectors[2:], ()]))
    assert places.n_words == sum(map(len, biases)) + largest + 2 * len(vectors[0])


@pytest.mark.parametrize("spare", [0, -1])
def test_the_input_has_a_second_buffer_where_there_is_room(spare):
    network = network_of([64, 40, 64, 24], density=0.1)
    roomy = place_activations(ROOMY, network)
    config = dataclasses.replace(ROOMY, act_depth=roomy.n_words + spare)
    places = place_activations(config, network)
    build = compile_network(network, config)
    assert build.input_words == 4
    assert build.input_buffers == places.input_buffers == (1 if spare else 2)
    assert program_of(build)["input"].tolist() == [1, 0, 0, 0]
    buffers = range(places.vectors[0], places.vectors[0] + 4 * places.input_buffers)
    assert buffers.stop <= config.act_depth
    if places.input_buffers == 2:
        # A program must not touch the other buffer.
        for base, size in zip(places.vectors[1:], [40, 64, 24]):
            assert not set(buffers) & set(range(base, base + n_words(size, config.n_pe)))


def test_a_layer_with_more_rows_than_accumulators_is_several_tiles():
    config = EIEConfig(n_pe=4, acc_depth=8)
    build = compile_network(network_of([10, 70, 5]), config, outputs="all")
    program = program_of(build)
    # 70 rows are 18 slots: tiles of 8, 8 and 2; then an output, the next layer, an output.
    assert program["start"]["dense"].tolist() == [0, 0, 0, 1, 0, 1]
    assert program["barrier"].tolist() == [1, 0, 0, 1, 1, 1]
    assert program["final"].tolist() == [0, 0, 0, 0, 0, 1]
    assert program["end"]["last_word"].tolist()[:3] == [1, 1, 0]
    assert np.diff(program["end"]["destination"][:3]).tolist() == [2, 2]
    assert np.diff(program["end"]["bias"][:3]).tolist() == [2, 2]
    assert program["ptr_base"].tolist() == [0, 12, 24, 0, 36, 0]    # 10 inputs are 3 slots of 4
    assert program["start"]["source"][3] == program["end"]["destination"][0]
    assert program["start"]["last_word"].tolist() == [0, 0, 0, 4, 4, 0]
    assert build.manifest["layers"][0]["tiles"] == 3


def test_only_the_last_results_are_sent_unless_all_are_wanted():
    network = network_of([10, 20, 5])
    assert [vector.name for vector in compile_network(network, ROOMY).outputs] == ["fc2"]
    both = compile_network(network, ROOMY, outputs="all")
    assert [vector.name for vector in both.outputs] == ["fc1", "fc2"]


def test_layers_with_the_same_codebook_share_it():
    codes = np.ones((4, 4), np.uint8)
    layers = tuple(make_layer(codes, codebook=[0, weight, 0, 0], name=name)
                   for name, weight in [("a", 0.5), ("b", 0.25 + 1 / 512), ("c", 0.5)])
    build = compile_network(CompressedNetwork(layers, 8, 2), ROOMY)
    assert program_of(build)["start"]["codebook"].tolist() == [0, 1, 0, 0]
    assert build.images["pe_3.codebook"].shape == (2 * 16, 1)


def test_codes_narrower_than_the_machine_are_run_by_it():
    network = network_of([10, 20, 5], v_width=2)
    config = EIEConfig(n_pe=4, v_width=5)
    build = compile_network(network, config)
    layer = decode(config, build.images)[1]
    assert layer.codebook.shape == (32,)
    assert not layer.codebook[4:].any()
    np.testing.assert_array_equal(
        layer.codes.toarray()[np.ix_(build.layers[1].columns, build.layers[0].columns)],
        network.layers[1].codes.toarray())


def test_the_manifest_counts_what_is_in_the_images():
    network = network_of([50, 100, 30], density=0.05)
    config = EIEConfig(n_pe=4, acc_depth=16, z_width=2)
    build = compile_network(network, config, mapping="interleaved")
    report = build.manifest
    spmat = [unpack(Layouts.of(config).spmat_word, build.images[f"pe_{pe}.spmat"])
             for pe in range(4)]
    assert report["total"]["macs_dense_input"] == sum((words["v"] > 0).sum() for words in spmat)
    assert report["total"]["nonzeros"] == sum(layer.n_nonzeros for layer in network.layers)
    # What is behind the last entry is all zero, but a padding entry has a full run.
    paddings = sum(((words["v"] == 0) & (words["z"] == 3)).sum() for words in spmat)
    assert report["total"]["paddings"] == paddings > 0
    assert report["total"]["entries"] == report["total"]["nonzeros"] + paddings
    for layer, counted in zip(network.layers, report["layers"]):
        assert counted["shape"] == list(layer.codes.shape)
        assert counted["density"] == layer.n_nonzeros / np.prod(layer.codes.shape)
        assert counted["entries"] == counted["nonzeros"] + counted["paddings"]
        assert counted["entries_per_pe"]["mean"] * 4 == counted["entries"]
        assert 0 < counted["load_balance"] <= 1
    memory = report["memory"]
    assert memory["spmat"]["words_used"] == max(map(len, (words["v"] for words in spmat)))
    assert memory["ptr_even"]["words_used"] == len(build.images["pe_0.ptr_even"])
    assert memory["act"]["bits"] == 4 * config.act_depth * 64
    assert memory["program"]["instances"] == 1


def test_load_balance_is_counted_tile_by_tile():
    # Of two PEs, one has all the work of the first tile and the other all of the second.
    codes = np.zeros((16, 3), np.uint8)
    codes[[0, 2, 4, 6, 9, 11, 13, 15]] = 1
    network = CompressedNetwork((make_layer(codes, codebook=[0, 1, 0, 0]),), 8, 2)
    balance = [compile_network(network, EIEConfig(n_pe=2, acc_depth=depth),
                               mapping="interleaved").manifest["layers"][0]["load_balance"]
               for depth in (4, 8)]
    assert balance == [0.5, 1.0]


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
    ({"v_width": 3}, [4, 4],
     "v_width must be 4 or more for the codes of the network, not 3: raise it, or compress to "
     "fewer bits"),
])
def test_a_network_that_does_not_fit_is_refused(config, sizes, message):
    config = EIEConfig(**{"n_pe": 4, "acc_depth": 16, **config})
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        compile_network(network_of(sizes, density=1.0), config)


def test_a_network_that_just_fits_compiles():
    network = network_of([64, 40, 64], density=1.0)
    needed = compile_network(network, ROOMY).manifest["memory"]
    config = EIEConfig(
        n_pe=4, act_depth=needed["act"]["words_used"], ptr_depth=needed["ptr_even"]["words_used"],
        spmat_depth=needed["spmat"]["words_used"], program_depth=needed["program"]["words_used"],
        n_codebooks=2)
    build = compile_network(network, config)
    assert build.manifest["memory"]["act"]["words"] == 22
    # The pointer behind a full SRAM is the only one that wraps, and that not in every SRAM.
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
