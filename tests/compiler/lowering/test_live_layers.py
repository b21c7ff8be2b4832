"""Layers without removed rows and columns: what rows read, and what is listed as removed."""

import numpy as np

from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.constants import Constants
from eie_compiler.lowering.live_layers import LiveLayers
from eie_compiler.lowering.strips import make_strips
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer
from eie_hdl.config import EIEConfig

MACHINE = EIEConfig(v_width=2)


def layers(*matrices, patches=None):
    return CompressedNetwork(tuple(
        make_layer(np.array(codes, np.uint8), codebook=[0, 1, -1, 0.5], name=f"fc{number}")
        for number, codes in enumerate(matrices, 1)), 8, 2, patches=patches)


def live(network):
    sizes = [network.layers[0].n_cols, *(layer.n_rows for layer in network.layers)]
    return LiveLayers(MACHINE, IntegerNetwork(network, MACHINE),
                      [Constants.none((size,)) for size in sizes])


def mask(*numbers, size):
    return np.isin(np.arange(size), numbers)


def test_rows_keep_the_columns_that_they_read_through_all_layers():
    rows = live(layers([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]]))
    read, result = rows.grow(mask(size=3), mask(0, size=2))
    assert read.tolist() == [False, True, False]
    assert result.tolist() == [True, False]
    network = rows.make_network()
    assert [layer.codes.toarray().tolist() for layer in network.layers] == [[[1]], [[1]]]
    assert rows.list_removed("path") == [("path", "fc1", 3, 2, 0), ("path", "fc2", 2, 1, 0)]


def test_a_column_that_another_consumer_needs_stays():
    rows = live(layers([[1, 1, 0]]))
    read, _ = rows.grow(mask(2, size=3), mask(0, size=1))
    assert read.all()
    assert rows.make_network() is not None and rows.list_removed("path") == []


def test_a_channel_of_patches_stays_whole():
    patches = Patches((2, 2, 2), (2, 2))
    rows = live(layers([[0, 0, 0, 0, 0, 1, 0, 0]], patches=patches))
    read, _ = rows.grow(np.zeros((2, 2, 2), bool), np.ones((1, 1, 1), bool))
    assert read.any((1, 2)).tolist() == [False, True] and read[1].all()
    network = rows.make_network()
    assert network.patches.shape == (1, 2, 2) and network.layers[0].n_cols == 4


def test_a_layer_of_which_nothing_is_read_keeps_a_row():
    rows = live(layers([[1, 1], [1, 1]], [[0, 0]]))
    rows.grow(mask(0, size=2), mask(0, size=1))
    assert [layer.codes.shape for layer in rows.make_network().layers] == [(1, 2), (1, 1)]


def test_strips_keep_all_rows_and_columns():
    network = make_strips(layers([[1, 0]], patches=Patches((2, 2, 2))), 2)
    rows = live(network)
    read, result = rows.grow(np.zeros((2, 2, 2), bool), np.zeros((1, 2, 2), bool))
    assert read is True and result is True
    assert rows.make_network() is network
