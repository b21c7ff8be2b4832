import dataclasses
import re

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.sparse import csc_array

from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.csc import encode
from eie_compiler.lowering.csc_decode import DecodeError, decode
from eie_compiler.lowering.lower import lower_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer, random_codes, random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.numeric import limits
from eie_hdl.packing import pack, unpack
from support.graphs import grouped


def powers(low, high):
    return st.integers(low, high).map(lambda exponent: 1 << exponent)


def make_config(**changes):
    """Machine in which every network of `sizes` fits: three dense layers in one PE, say."""
    return EIEConfig(**{"act_depth": 1 << 12, "ptr_depth": 1 << 14, "program_depth": 128,
                        "spmat_depth": 1 << 15, **changes})


configs = st.builds(
    make_config, n_pe=powers(0, 4), v_width=st.integers(2, 8), z_width=st.integers(2, 8),
    entries_per_word=powers(0, 4), acc_depth=powers(2, 6),
    spmat_depth=st.sampled_from([1 << 15, 30_011]))

sizes = st.lists(st.integers(1, 90), min_size=2, max_size=4)

#: The machines with least room, with the networks that need most.
SMALLEST = {"n_pe": 1, "acc_depth": 4, "z_width": 2, "v_width": 4, "spmat_depth": 30_011}
LARGEST = [90, 90, 90, 90]


def encode_interleaved(config, codes):
    codes = np.asarray(codes, np.uint8)
    n_rows, n_cols = codes.shape
    return encode(config, csc_array(codes), np.arange(n_rows), np.arange(n_cols))


@settings(max_examples=60)
@given(config=configs, sizes=sizes, density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
       mapping=st.sampled_from(["balanced", "interleaved"]), seed=st.integers(0, 1 << 32))
# 65 descriptors, more than a program has by default.
@example(config=make_config(n_pe=1, acc_depth=4), sizes=[1, 77, 85, 85], density=0.0,
         mapping="balanced", seed=0)
@example(config=make_config(**SMALLEST, entries_per_word=1), sizes=LARGEST, density=1.0,
         mapping="balanced", seed=0)
@example(config=make_config(**SMALLEST, entries_per_word=16), sizes=LARGEST, density=0.02,
         mapping="interleaved", seed=0)
@example(config=make_config(**SMALLEST | {"n_pe": 16}, entries_per_word=16), sizes=LARGEST,
         density=0.3, mapping="interleaved", seed=0)
def test_decoded_images_are_the_matrices_that_were_compiled(config, sizes, density, mapping, seed):
    network = random_network(np.random.default_rng(seed), sizes, density=density,
                             v_width=config.v_width)
    build = compile_network(network, config, mapping=mapping, keep_dead_rows=True)
    decoded = decode(config, build.images)
    assert len(decoded) == len(network.layers)
    columns = build.input.columns
    for layer, found, vector in zip(network.layers, decoded, build.layers):
        codes = found.codes.toarray()
        np.testing.assert_array_equal(codes[np.ix_(vector.columns, columns)],
                                      layer.codes.toarray())
        assert np.count_nonzero(codes) == layer.n_nonzeros    # nothing anywhere else
        columns = vector.columns


@settings(max_examples=30)
@given(config=configs, sizes=sizes, seed=st.integers(0, 1 << 32))
def test_decoded_products_are_codebook_of_codes_times_input(config, sizes, seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, sizes[:2], v_width=config.v_width)
    build = compile_network(network, config)
    layer, found, vector = network.layers[0], decode(config, build.images)[0], build.layers[0]
    x = rng.integers(*limits(config.act_width), layer.n_cols, endpoint=True)
    by_column = np.zeros(found.codes.shape[1], np.int64)
    by_column[build.input.columns[build.input.is_sent]] = x[build.input.is_sent]
    result = found.codebook[found.codes.toarray()] @ by_column

    frac = build.report["layers"][0]["formats"]["weight_frac"]
    codebook = np.rint(layer.codebook * 2.0 ** frac).astype(np.int64)
    np.testing.assert_array_equal(result[vector.columns], codebook[layer.codes.toarray()] @ x)
    unused = np.delete(np.arange(len(result)), vector.columns)
    assert not result[unused].any()
    assert not found.bias[unused].any()


def test_column_of_the_paper():
    column = np.array([0, 0, 1, 2, *[0] * 18, 3]).reshape(-1, 1)
    encoded = encode_interleaved(EIEConfig.isca2016(n_pe=1), column)
    assert encoded.v.tolist() == [1, 2, 0, 3]
    assert encoded.z.tolist() == [2, 0, 15, 2]
    assert encoded.counts.ravel().tolist() == [4]


def test_first_pe_of_the_example_of_the_paper():
    matrix = np.zeros((16, 8), np.uint8)
    for column, rows in enumerate([[0, 8, 12], [4], [0, 12], [], [0, 4], [0, 12], [0], [8, 12]]):
        matrix[rows, column] = 1
    encoded = encode_interleaved(EIEConfig.isca2016(n_pe=4), matrix)
    counts = encoded.counts[0, 0]
    assert encoded.z[:counts.sum()].tolist() == [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 2, 0]
    assert np.cumsum([0, *counts]).tolist() == [0, 3, 4, 6, 6, 8, 10, 11, 13]


@pytest.mark.parametrize("zeros, v, z", [
    (3, [1], [3]),
    (4, [0, 1], [3, 0]),
    (7, [0, 1], [3, 3]),
    (8, [0, 0, 1], [3, 3, 0]),
])
def test_a_run_longer_than_the_maximum_is_padded(zeros, v, z):
    encoded = encode_interleaved(EIEConfig(n_pe=1, z_width=2), [*[[0]] * zeros, [1]])
    assert (encoded.v.tolist(), encoded.z.tolist()) == (v, z)
    assert encoded.n_paddings == v.count(0)


def test_padding_is_impossible_when_a_run_can_span_the_tile():
    rng = np.random.default_rng(3)
    config = EIEConfig(n_pe=1, acc_depth=64, z_width=6)
    assert encode_interleaved(config, random_codes(rng, 200, 50, 0.01)).n_paddings == 0


def test_runs_restart_in_each_tile():
    config = EIEConfig(n_pe=1, acc_depth=4, z_width=2)
    encoded = encode_interleaved(config, [[0], [1], [0], [0], [0], [0], [2], [0]])
    assert (encoded.v.tolist(), encoded.z.tolist()) == ([1, 2], [1, 2])
    assert encoded.counts.tolist() == [[[1], [1]]]


def test_the_pointer_after_a_full_sram_is_zero():
    config = EIEConfig(n_pe=1, entries_per_word=1, acc_depth=4, spmat_depth=8, z_width=2)
    codes = np.ones((4, 2), np.uint8)
    layer = make_layer(codes, codebook=[0, *[0.5] * 15])
    build = compile_network(CompressedNetwork((layer,), 8, 4), config)
    assert build.images["pe_0.ptr_even"].ravel().tolist() == [0, 0]
    assert build.images["pe_0.ptr_odd"].ravel().tolist() == [4]
    found = decode(config, build.images)[0].codes.toarray()
    np.testing.assert_array_equal(found[build.layers[0].columns], codes)


def compile_small():
    """Images with one PE and one column, rows 0 and 3 of four."""
    config = EIEConfig(n_pe=1, acc_depth=16)
    layer = make_layer(np.array([[1], [0], [0], [2]], np.uint8), codebook=[0, 1, 2, *[0] * 13])
    return config, compile_network(CompressedNetwork((layer,), 8, 4), config).images


@pytest.mark.parametrize("pointer, message", [
    (2 + 16, "descriptor 0, PE 0, column 0: pointers must be at most acc_depth = 16 apart, not 18"),
    (9, "descriptor 0, PE 0, column 0: entries must be before 8, the end of the image, not at 8"),
])
def test_a_column_outside_its_image_is_not_decoded(pointer, message):
    config, images = compile_small()
    images["pe_0.ptr_odd"] = pack(Layouts.of(config).ptr, np.array([pointer]))
    with pytest.raises(DecodeError, match=f"^{re.escape(message)}$"):
        decode(config, images)


def test_a_row_outside_its_tile_is_not_decoded():
    config, images = compile_small()
    word = unpack(Layouts.of(config).spmat_word, images["pe_0.spmat"])
    word["z"][0, 1] = 3
    images["pe_0.spmat"] = pack(Layouts.of(config).spmat_word, word)
    with pytest.raises(DecodeError, match="^descriptor 0, PE 0, column 0: rows must be below 4, "
                                          "the rows of the tile, not 4$"):
        decode(config, images)


def test_a_program_without_end_is_not_decoded():
    config, images = compile_small()
    fields = unpack(Layouts.of(config).descriptor, images["ccu.program"])
    fields["final"][:] = 0
    images["ccu.program"] = pack(Layouts.of(config).descriptor, fields)
    with pytest.raises(DecodeError, match="^Program must end, but no descriptor from 0 is final$"):
        decode(config, images)


def test_the_tile_of_a_loop_is_decoded_with_its_columns_and_rows():
    config = make_config(n_pe=4, acc_depth=8, loops=True)
    patches = Patches((3, 5, 6), kernel=(2, 3), loop=2)
    network = dataclasses.replace(
        random_network(np.random.default_rng(6), [patches.n_inputs, 6], v_width=config.v_width),
        patches=patches)
    build = compile_network(network, config, keep_dead_rows=True)
    (layer,) = decode(config, build.images)
    # Two rows of the kernel over four columns of three channels; a strip of two pixels of six.
    assert layer.codes.shape == (12, 2 * 4 * 3)
    assert layer.codes.nnz == 2 * network.layers[0].n_nonzeros
    np.testing.assert_array_equal(np.sort(layer.codes.data),
                                  np.sort(np.tile(network.layers[0].codes.data, 2)))


def test_a_local_tile_is_decoded_with_weights_within_pes():
    config = make_config(n_pe=4, acc_depth=8, loops=True, local=True)
    patches = Patches((8, 5, 6), kernel=(2, 3), loop=2)
    network = grouped(dataclasses.replace(
        random_network(np.random.default_rng(6), [patches.n_inputs, 8], density=0.7,
                       v_width=config.v_width), patches=patches), 8)
    lowered = lower_network(network, config)
    assert lowered.convolutions[0].local
    (layer,) = decode(config, compile_network(network, config).images)
    (tile,) = lowered.layers
    assert layer.codes.shape == (16, 2 * 4 * 8)
    np.testing.assert_array_equal(layer.codes.toarray()[:tile.n_rows], tile.codes.toarray())
    row, column = layer.codes.tocoo().coords
    assert len(row) > 50 and (row % 4 == column % 4).all()
