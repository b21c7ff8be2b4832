import dataclasses

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Clip
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.graph_inference import infer_graph
from support.graphs import recurrent_network, residual_network

TINY = PRESETS["tiny"]


def one_node(computation, shape=(4,)):
    graph = Graph({"x": shape}, (Node("fc", computation, ("x",)),), ("fc",))
    return dataclasses.replace(graph, fracs=dict.fromkeys(graph.shapes, 4))


@pytest.mark.parametrize("graph, paths", [
    (residual_network(TINY), ["conv1", "conv2", "fc"]), (recurrent_network(TINY), ["lstm/gates"])])
def test_each_node_of_layers_becomes_a_program(graph, paths):
    build = compile_graph(graph, TINY)
    assert list(build.programs) == paths == [path for load in build.loads for path in load]


@pytest.mark.parametrize("graph, message", [
    (dataclasses.replace(residual_network(TINY), fracs=None),
     "graph must be a compressed network, with fracs, not a model: compress it first"),
    (one_node(Clip(0.0, 1.0)), "graph must have layers for the accelerator, but has none"),
    (one_node(dataclasses.replace(
        random_network(np.random.default_rng(1), [4, 2], v_width=3, frac=4),
        preprocessing=Preprocessing(np.zeros(4), np.ones(4)))),
     "node 'fc': layers must have no preprocessing, which is that of an input of the graph"),
    (one_node(random_network(np.random.default_rng(1), [4, 2], v_width=4, frac=4)),
     "network 'fc': v_width must be 4, for which the network was compressed, not 3"),
])
def test_graphs_that_the_machine_cannot_run_are_refused(graph, message):
    with pytest.raises(CompileError) as caught:
        compile_graph(graph, TINY)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("options, rows", [
    ({}, 3), ({"keep_dead_channels": True}, 4), ({"mapping": "interleaved"}, 4)])
def test_channels_without_effect_are_left_out_of_the_build(options, rows):
    graph = residual_network(TINY)
    nodes = tuple(dataclasses.replace(node, computation=without_filter(node.computation, 2))
                  if node.name in ("conv1", "conv2") else node for node in graph.nodes)
    graph = dataclasses.replace(graph, nodes=nodes, outputs=("fc",))
    build = compile_graph(graph, TINY, **options)
    assert build.graph.shapes["pool"][0] == rows
    assert build.graph.notes == () or rows == 3
    images = np.random.default_rng(3).normal(size=(3, 2, 6, 6))
    np.testing.assert_array_equal(infer_graph(build, images, engine="golden").outputs["fc"],
                                  IntegerGraph(graph, TINY).run({"image": images})["fc"])


def without_filter(network, number):
    """Convolution of which a filter has no weights and no bias."""
    (layer,) = network.layers
    codes, bias = layer.codes.toarray(), layer.bias.copy()
    codes[number] = bias[number] = 0
    return dataclasses.replace(network, layers=(
        dataclasses.replace(layer, codes=csc_array(codes), bias=bias),))
