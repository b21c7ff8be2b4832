"""Constants of graphs: elements that are the same words for all inputs."""

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Affine, Multiply, Pad
from eie_compiler.lowering.arithmetic import IntegerNetwork
from eie_compiler.lowering.constants import find_constants
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_hdl.config import EIEConfig
from support.pruned_graphs import pruned_graph, pruned_layers

MACHINE = EIEConfig()
FRAC = 6


def constants_of(graph):
    networks = {node.name: IntegerNetwork(node.computation, MACHINE) for node in graph.nodes
                if isinstance(node.computation, CompressedNetwork)}
    return find_constants(graph, networks, MACHINE.act_width)


def test_constants_of_random_graphs_are_the_words_of_all_results():
    count = 0
    for seed in range(20):
        graph = pruned_graph(seed, n_nodes=8)
        inputs = np.random.default_rng(seed).normal(0, 4, (5, *graph.inputs["image"]))
        words = IntegerGraph(graph, MACHINE).run({"image": inputs})
        for name, vectors in constants_of(graph).items():
            patches = next(node for node in graph.nodes if node.name == name).computation.patches
            rows = np.moveaxis(words[name], 1, -1) if patches else words[name]
            rows = rows.reshape(-1, rows.shape[-1])[:, vectors[-1].mask]
            assert (rows == vectors[-1].words[vectors[-1].mask]).all()
            count += rows.shape[1]
    assert count > 20


def graph_of(*nodes, shape=(2, 3, 3)):
    return Graph({"x": shape}, nodes, (nodes[-1].name,),
                 dict.fromkeys(["x", *(node.name for node in nodes)], FRAC))


def constant_filter(n_out=2):
    """Convolution whose first filter has no weights and a bias of 1."""
    network = pruned_layers(np.random.default_rng(3), [2, n_out], FRAC, patches=Patches((2, 3, 3)))
    (layer,) = network.layers
    codes = np.ones((n_out, 2), np.uint8)
    codes[0] = 0
    return CompressedNetwork((type(layer)(
        "fc1", type(layer.codes)(codes), layer.codebook, np.ones(n_out), True, FRAC),),
        FRAC, network.v_width, patches=network.patches)


def reader(shape, **options):
    patches = Patches(shape, **options)
    return pruned_layers(np.random.default_rng(4), [patches.n_inputs, 3], FRAC, patches=patches)


@pytest.mark.parametrize("between, padding, words", [
    (Affine(2.0, 0.5), 0, 160), (Affine(2.0, 0.5), 1, None), (Affine(0.0, 0.0), 1, 0),
    (Pad((0, 1, 0), (0, 0, 0)), 0, None)])
def test_a_channel_is_constant_if_all_pixels_are_and_padding_around_them(between, padding, words):
    shape = between.shape((2, 3, 3))
    graph = graph_of(Node("a", constant_filter(), ("x",)), Node("b", between, ("a",)),
                     Node("c", reader(shape, padding=(padding,) * 4), ("b",)))
    columns = constants_of(graph)["c"][0]
    assert columns.mask[0] == (words is not None)
    assert columns.words[0] == (words or 0)


def test_a_constant_that_saturates_is_none():
    graph = graph_of(Node("a", constant_filter(), ("x",)), Node("b", Affine(2000.0, 0.0), ("a",)),
                     Node("c", reader((2, 3, 3)), ("b",)))
    assert not constants_of(graph)["c"][0].mask[0]


def test_a_product_with_an_unknown_number_is_unknown():
    graph = graph_of(Node("a", constant_filter(), ("x",)), Node("b", Multiply(), ("a", "x")),
                     Node("c", reader((2, 3, 3)), ("b",)))
    assert not constants_of(graph)["c"][0].mask.any()
