import dataclasses

import numpy as np

from eie_compiler.compression.graph_layers import decompress_graph, replace_layers
from eie_compiler.graph.graph import Graph, Node, Scan, evaluate_real
from eie_compiler.random_networks import random_network


def network(seed):
    return random_network(np.random.default_rng(seed), [3, 3], v_width=3, frac=4)


def graph():
    body = Graph({"x": (3,), "s": (3,)}, (Node("step", network(1), ("s",)),), ("step",))
    return Graph({"x": (4, 3)}, (Node("fc", network(0), ("x",)),
                                 Node("scan", Scan(body, (("s", "step"),)), ("fc",))), ("scan",))


def test_layers_are_replaced_in_bodies_too_and_formats_set():
    seen = []

    def replace(path, found):
        seen.append((path, found))
        return dataclasses.replace(found, input_frac=4)

    replaced = replace_layers(graph(), replace, lambda path: 4)
    assert [path for path, _ in seen] == ["fc", "scan/step"]
    assert replaced.fracs == {"x": 4, "fc": 4, "scan": 4}
    assert replaced.nodes[1].computation.body.fracs == {"x": 4, "s": 4, "step": 4}
    assert replaced.nodes[1].computation.states == (("s", "step"),)


def test_a_decompressed_graph_computes_with_the_shared_weights():
    model, x = decompress_graph(graph()), np.ones((2, 4, 3))
    fc, = network(0).layers
    expected = fc.codebook[fc.codes.toarray()].sum(axis=1) + fc.bias
    np.testing.assert_allclose(evaluate_real(model, {"x": x})["fc"][0, 0],
                               np.maximum(expected, 0) if fc.relu else expected)
