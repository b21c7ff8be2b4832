"""Memories sized for networks (`eie_flows.sizing`)."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.patches import Patches
from eie_compiler.random_networks import random_network
from eie_flows.devices import DEVICES
from eie_flows.sizing import size_machines


def convolution(n_channels, n_rows, side=12):
    patches = Patches((n_channels, side, side), (3, 3))
    network = dataclasses.replace(random_network(
        np.random.default_rng(1), [patches.n_inputs, n_rows], density=0.5), patches=patches)
    return Graph({"image": patches.shape}, (Node("conv", network, ("image",)),), ("conv",),
                 fracs={"image": 8, "conv": 8})


def pixels(graph, one):
    return compile_graph(graph, one.config).programs["conv"].patches.pixels


def test_memories_hold_strips_where_the_device_has_room():
    graph = convolution(4, 8)
    for one in size_machines(graph, DEVICES["asic"], 16):
        assert pixels(graph, one) == 10
        shorter = dataclasses.replace(one.config, ptr_depth=one.config.ptr_depth // 2)
        assert compile_graph(graph, shorter).programs["conv"].patches.pixels < 10


def test_strips_are_as_long_as_the_device_holds():
    graph, device = convolution(128, 16), dataclasses.replace(DEVICES["ecp5-25"], luts=10**6)
    chosen = [{pixels(graph, one) for one in size_machines(
        graph, dataclasses.replace(device, rams=n_rams), 16) if not one.lacking}
        for n_rams in (100, 120, 200)]
    assert chosen == [set(), {2}, {5}]


@pytest.mark.parametrize("name", ["up5k", "ecp5-25"])
def test_what_a_device_lacks_is_named(name):
    lacking = [one.lacking for one in size_machines(convolution(64, 64), DEVICES[name], 256)]
    assert all({"LUTs", "block RAMs", "multipliers"} == set(each) for each in lacking) and lacking
    assert all(factor > 1 for each in lacking for factor in each.values())
