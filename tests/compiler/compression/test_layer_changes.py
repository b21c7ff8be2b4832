"""Scores of models with changed layers: as those of the whole changed model."""

import numpy as np
import pytest

from eie_compiler.accuracy import score
from eie_compiler.compression.layer_changes import LayerChanges
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.layers import replace_layers
from eie_compiler.graph.operations import Add, Reshape
from eie_compiler.model import Model, ModelLayer
from support.graphs import random_layer, recurrent_model

RNG = np.random.default_rng(8)
X = RNG.normal(size=(40, 5, 6))


def recurrent():
    return recurrent_model(
        Node("flat", Reshape((8,)), ("last",)), Node("one", random_layer(4, 8, 3), ("flat",)),
        Node("two", random_layer(4, 8, 4), ("flat",)), Node("end", Add(), ("one", "two")),
        outputs=("end",))


@pytest.mark.parametrize("paths", [["one"], ["scan/of_h"], ["two", "scan/of_x"], []])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_change_has_the_score_of_the_whole_changed_model(paths, labelled):
    graph = recurrent()
    change = {path: random_layer(*{"o": (4, 8), "t": (4, 8)}.get(path[0], (8, 6 if path == "scan/"
              "of_x" else 8)), 9) for path in paths}
    changed = replace_layers(graph, lambda path, layers: change.get(path, layers))
    truth = np.arange(40) % 4 if labelled else evaluate_real(graph, {"x": X})["end"]
    expected = score(evaluate_real(changed, {"x": X})["end"], truth, "classification")
    changes = LayerChanges(graph, {"x": X}, labels=truth if labelled else None)
    assert changes.score([change, {}]) == [expected, changes.whole]
    assert changes.whole == score(evaluate_real(graph, {"x": X})["end"], truth, "classification")


def test_a_change_that_does_not_reach_the_output_costs_nothing():
    graph = Graph({"x": (5, 6)}, (*recurrent().nodes, Node("aside", random_layer(2, 8, 5),
                                                           ("flat",))), ("end", "aside"))
    changes = LayerChanges(graph, {"x": X})
    assert changes.score([{"aside": random_layer(2, 8, 6)}]) == [1.0]


def test_deviations_are_those_of_the_inputs_of_each_layer():
    layers = tuple(ModelLayer(f"fc{n}", RNG.normal(size=(5, 5)), relu=True) for n in range(2))
    graph = Graph({"x": (5,)}, (Node("both", Model(layers), ("x",)),), ("both",))
    inputs = RNG.normal(3, 1, (200, 5))
    first, second = LayerChanges(graph, {"x": inputs}).deviations["both"]
    np.testing.assert_allclose(first, inputs.std(axis=0))
    np.testing.assert_allclose(second, layers[0](inputs).std(axis=0))


def test_deviations_are_those_of_the_samples_of_all_batches(monkeypatch):
    monkeypatch.setattr("eie_compiler.compression.graph_samples._BATCH", 5 * 7)
    graph = Graph({"x": (5,)}, (Node("fc", random_layer(5, 5, 1), ("x",)),), ("fc",))
    inputs = RNG.normal(3, np.linspace(0.1, 2, 50)[:, np.newaxis], (50, 5))
    (found,) = LayerChanges(graph, {"x": inputs}).deviations["fc"]
    np.testing.assert_allclose(found, inputs.std(axis=0))
