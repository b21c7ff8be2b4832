import dataclasses

import numpy as np
import pytest

from eie_compiler.compression import graph_samples
from eie_compiler.compression.compress import compress
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.compression.graph_order import compress_in_order
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Add, Clip
from eie_compiler.model import Model, ModelLayer
from eie_compiler.preprocessing import Preprocessing

X = np.random.default_rng(1).normal(size=(500, 6)) + 1


def layer(n_rows, n_cols, seed, values=None):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(n_rows, n_cols)) if values is None \
        else rng.choice(values, (n_rows, n_cols))
    return Model((ModelLayer(f"fc{seed}", weight, rng.normal(size=n_rows)),))


def branches(first):
    return Graph({"x": (6,)}, (
        Node("a", first, ("x",)), Node("b", Clip(0, np.inf), ("a",)), Node("c", layer(8, 8, 2),
                                                                          ("b",)),
        Node("d", Add(), ("a", "c")), Node("e", layer(3, 8, 3, [-0.5, 0.5]), ("d",))), ("e",))


def run(graph, samples):
    """Compress with three values; return the network and what was given for each node."""
    given = {}

    def compress_node(path, model, vectors, reached):
        given[path] = vectors, reached
        return compress(model, v_width=2, calibration=vectors, reached=reached)

    return compress_in_order(graph, samples, compress_node), given


@pytest.mark.parametrize("preprocessing", [{}, {
    "x": Preprocessing(np.full(6, -3.0), np.logspace(-2, 2, 6))}])
def test_layers_get_the_vectors_of_the_model_and_those_of_the_network(preprocessing):
    graph = dataclasses.replace(branches(layer(8, 6, 1)), preprocessing=preprocessing)
    network, given = run(graph, {"x": X})
    dense, reached = (evaluate_real(each, {"x": X}) for each in (graph, decompress_graph(network)))
    assert given["a"][1] is None
    for path, operand in (("a", "x"), ("c", "b"), ("e", "d")):
        np.testing.assert_array_equal(given[path][0], dense[operand])
    for path, operand in (("c", "b"), ("e", "d")):
        np.testing.assert_allclose(given[path][1], reached[operand])


def test_biases_correct_the_mean_error_of_all_nodes_before():
    graph = branches(layer(8, 6, 1))
    network, _ = run(graph, {"x": X})
    dense, reached = (evaluate_real(each, {"x": X}) for each in (graph, decompress_graph(network)))
    assert np.abs(dense["d"].mean(axis=0) - reached["d"].mean(axis=0)).max() < 1e-6
    assert np.abs(dense["b"].mean(axis=0) - reached["b"].mean(axis=0)).max() > 1e-3
    for name in ("a", "c", "e"):    # of e, too, whose weights have not changed
        np.testing.assert_allclose(reached[name].mean(axis=0), dense[name].mean(axis=0), atol=1e-5)


def test_layers_stay_as_they_are_if_nothing_before_them_changes():
    graph = branches(layer(8, 6, 1, [-1.0, 1.0]))
    network, given = run(graph, {"x": X})
    assert given["c"][1] is None
    np.testing.assert_array_equal(network.nodes[0].computation.layers[0].bias,
                                  graph.nodes[0].computation.layers[0].bias)


def test_layers_in_a_scan_get_the_vectors_of_all_steps():
    body = Graph({"x": (6,), "h": (6,)}, (
        Node("fc", layer(6, 6, 4), ("h",)), Node("sum", Add(), ("fc", "x"))), ("sum",))
    graph = Graph({"x": (2, 6)}, (Node("scan", Scan(body, (("h", "sum"),)), ("x",)),), ("scan",))
    x = X.reshape(250, 2, 6)
    network, given = run(graph, {"x": x})
    vectors, reached = given["scan/fc"]
    states = evaluate_real(graph, {"x": x})["scan"][:, 0]
    assert reached is None
    np.testing.assert_allclose(vectors, np.concatenate([np.zeros((250, 6)), states]))
    assert network.nodes[0].computation.body.nodes[0].computation.v_width == 2


@pytest.mark.parametrize("most, expected", [(1 << 24, 500), (8 * 20, 20), (1, 1)])
def test_some_samples_are_used_if_there_are_too_many(monkeypatch, most, expected):
    monkeypatch.setattr(graph_samples, "_MAX_NUMBERS_KEPT", most)
    _, given = run(branches(layer(8, 6, 1)), {"x": X})
    assert len(given["a"][0]) == expected
    assert {tuple(vector) for vector in given["a"][0]} <= {tuple(vector) for vector in X}
