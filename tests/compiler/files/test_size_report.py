import dataclasses

import numpy as np
import pytest

from eie_compiler.files.network_file import write_network
from eie_compiler.files.size_report import measure_storage
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network


def test_figures_of_a_layer_are_those_that_can_be_counted():
    # Codes 1 and 2 take one bit each; runs 0 and 1 are equally frequent.
    codes = np.tile(np.array([1, 0, 2], np.uint8), (1, 8))
    network = CompressedNetwork((make_layer(codes, codebook=[0, 1, 2, 0.1]),), 8, 2)
    (layer,), total = measure_storage(network)
    assert (layer.name, layer.weights, layer.nonzeros, layer.entries) == ("fc1", 24, 16, 16)
    assert (layer.plain_code_bits, layer.code_bits) == (32, 16)
    assert (layer.plain_run_bits, layer.run_bits) == (16, 16)
    assert layer.per_entry(layer.code_bits) == 1
    assert (layer.codebook_bytes, layer.bias_bytes) == (4 * 8, 4)
    assert layer.compressed_bytes == 2 + 2 + 32 + 4
    assert layer.dense_bytes == 25 * 4
    assert layer.density == 2 / 3 and layer.ratio == 100 / 40
    assert dataclasses.replace(total, name="fc1") == layer


def test_padding_is_counted_among_the_entries():
    codes = np.zeros((2, 5000), np.uint8)
    codes[1, 4999] = 1
    (layer,), _ = measure_storage(CompressedNetwork((make_layer(codes, codebook=[0, 1, 2, 3]),),
                                                    8, 2))
    assert layer.nonzeros == 1 < layer.entries
    assert layer.plain_code_bits == 2 * layer.entries


def test_all_is_the_sum_of_the_layers():
    layers, total = measure_storage(random_network(np.random.default_rng(3), [30, 20, 10, 5]))
    assert len(layers) == 3
    for name, value in dataclasses.asdict(total).items():
        assert name == "name" or value == sum(getattr(layer, name) for layer in layers)


def test_parts_and_tables_make_up_the_file(tmp_path):
    network = random_network(np.random.default_rng(4), [300, 200, 100], density=0.1)
    write_network(tmp_path / "net.npz", network)
    _, total = measure_storage(network)
    size = (tmp_path / "net.npz").stat().st_size
    assert total.compressed_bytes == pytest.approx(size, abs=1000)


def test_a_layer_without_weights_has_no_bits_per_entry():
    _, total = measure_storage(random_network(np.random.default_rng(3), [3, 2], density=0))
    assert total.entries == 0 and total.per_entry(total.code_bits) == 0
