"""Sensitivity: which layer is pruned or shared, and the densities that are proposed."""

import re

import numpy as np
import pytest

from eie_compiler.compression.prune import prune, prune_by_effect
from eie_compiler.compression.sensitivity import measure_sensitivity, propose_densities
from eie_compiler.compression.weight_sharing import share_weights
from eie_compiler.errors import CompressError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 8)) * np.linspace(0.1, 3, 8)
LAYERS = (ModelLayer("fc1", RNG.normal(size=(10, 8)), relu=True),
          ModelLayer("fc2", RNG.normal(size=(3, 10))))
CHAIN = Model(LAYERS)
GRAPH = Graph({"x": (8,)}, (Node("a", Model(LAYERS[:1]), ("x",)),
                            Node("b", Model(LAYERS[1:]), ("a",))), ("b",))
Y = CHAIN(X).argmax(axis=1)


def accuracy(layers):
    return (Model(tuple(layers))(X).argmax(axis=1) == Y).mean()


def changed(number, weight):
    layer = ModelLayer(LAYERS[number].name, weight, LAYERS[number].bias, LAYERS[number].relu)
    return [layer if at == number else other for at, other in enumerate(LAYERS)]


def scores(found, key):
    return [[one["score"] for one in row[key]] for row in found["layers"]]


def test_layers_of_a_chain_are_pruned_by_magnitude_one_at_a_time():
    found = measure_sensitivity(CHAIN, X, labels=Y, densities=[0.2, 1, 0.5], widths=[])
    assert [one["density"] for one in found["layers"][0]["densities"]] == [1, 0.5, 0.2]
    assert scores(found, "densities") == [
        [1.0, *(accuracy(changed(n, prune(LAYERS[n].weight, density=share)))
                for share in (0.5, 0.2))] for n in range(2)]
    assert [row["layer"] for row in found["layers"]] == ["fc1", "fc2"]
    assert found["score"] == 1.0 and found["labels"] and found["task"] == "classification"


def test_nodes_of_a_graph_are_pruned_by_their_effect():
    found = measure_sensitivity(GRAPH, {"x": X}, labels=Y, densities=[0.3], widths=[])
    inputs = [X, LAYERS[0](X)]
    expected = [accuracy(changed(n, prune_by_effect(LAYERS[n].weight, 0.3, inputs[n])))
                for n in range(2)]
    assert scores(found, "densities") == [[one] for one in expected]
    assert [row["layer"] for row in found["layers"]] == ["a", "b"]


def test_layers_of_one_node_are_measured_apart_and_pruned_together():
    node = Graph({"x": (8,)}, (Node("n", CHAIN, ("x",)),), ("n",))
    alone, joined = (measure_sensitivity(one, {"x": X}, labels=Y, densities=[0.6], widths=[3],
                                         max_loss=1) for one in (GRAPH, node))
    assert [row["layer"] for row in joined["layers"]] == ["n/fc1", "n/fc2"]
    for key in ("densities", "v_widths"):
        assert scores(joined, key) == scores(alone, key)
    assert [one["score"] for one in joined["proposals"]] == \
        [one["score"] for one in alone["proposals"]]


def test_weights_are_shared_one_layer_at_a_time():
    found = measure_sensitivity(CHAIN, X, labels=Y, densities=[], widths=[2, 8])
    expected = []
    for number, layer in enumerate(LAYERS):
        codebook, codes = share_weights(layer.weight.ravel(), 3)
        expected.append([accuracy(changed(number, codebook[codes].reshape(layer.weight.shape))),
                         1.0])
    assert scores(found, "v_widths") == expected
    assert found["proposals"][0]["densities"] == {"fc1": 1.0, "fc2": 1.0}


def test_without_labels_outputs_are_compared_with_those_of_the_model():
    found = measure_sensitivity(CHAIN, X, task="regression", densities=[0.5], widths=[])
    outputs, other = CHAIN(X), Model(tuple(changed(0, prune(LAYERS[0].weight, density=0.5))))(X)
    r2 = 1 - ((outputs - other) ** 2).sum() / ((outputs - outputs.mean(axis=0)) ** 2).sum()
    assert found["layers"][0]["densities"][0]["score"] == pytest.approx(r2)
    assert not found["labels"] and found["score"] == 1.0


def test_all_proposed_densities_are_measured_together():
    found = measure_sensitivity(CHAIN, X, labels=Y, densities=[0.8, 0.6], widths=[], max_loss=1)
    pruned = [changed(n, prune(LAYERS[n].weight, density=0.6))[n] for n in range(2)]
    assert found["proposals"] == [{
        "limit": 1, "densities": {"fc1": 0.6, "fc2": 0.6}, "score": accuracy(pruned),
        "density": (48 + 18) / 110}]
    assert found["holds"]


def test_the_limit_of_each_layer_is_halved_until_all_together_lose_little():
    found = measure_sensitivity(CHAIN, X, labels=Y, widths=[], max_loss=0.1,
                                densities=np.arange(0.95, 0.3, -0.05).tolist())
    losses = [1 - one["score"] for one in found["proposals"]]
    limits = [one["limit"] for one in found["proposals"]]
    assert len(losses) > 1 and losses[-2] > 0.1 >= losses[-1] and found["holds"]
    assert limits[0] == 0.1 and set(limits[1:]) <= {0.05, 0.025, 0.0125, 0.00625, 0}


def test_a_loss_that_no_proposal_keeps_to_is_said():
    rng = np.random.default_rng(2)
    model = Model(tuple(ModelLayer(name, rng.normal(size=(8, 8))) for name in "abc"))
    found = measure_sensitivity(model, rng.normal(size=(20, 8)), densities=[0.9], widths=[],
                                max_loss=0.0)
    (proposal,) = found["proposals"]
    assert proposal["densities"] == {"a": 0.9, "b": 1.0, "c": 0.9}
    assert proposal["score"] == 0.95 and not found["holds"]    # neither a nor c loses alone


def test_a_density_is_proposed_only_if_all_above_it_lose_little():
    rows = [{"layer": name, "densities": [
        {"density": share, "score": score} for share, score in zip([0.8, 0.5, 0.2], values)]}
        for name, values in {"a": [0.9, 0.89, 0.7], "b": [0.8, 0.9, 0.9], "c": [0.9] * 3}.items()]
    assert propose_densities(rows, 0.9, 0.01) == {"a": 0.5, "b": 1.0, "c": 0.2}


def test_zeros_between_groups_are_no_weights():
    patches = Patches((4, 3, 3))
    weight = np.zeros((4, 4))
    weight[:2, :2], weight[2:, 2:] = RNG.normal(size=(2, 2, 2))
    model = Graph({"x": (4, 3, 3)}, (
        Node("conv", Model((ModelLayer("conv", weight),), patches), ("x",)),), ("conv",))
    found = measure_sensitivity(model, RNG.normal(size=(20, 4, 3, 3)), densities=[1.0, 0.5],
                                widths=[], max_loss=1)
    (row,) = found["layers"]
    assert (row["weights"], row["nonzeros"]) == (8, 8)
    assert row["densities"][0]["score"] == 1.0 > row["densities"][1]["score"]
    assert found["proposals"][0]["density"] == 0.5


@pytest.mark.parametrize("options, message", [
    ({"densities": [0.0]}, "density must be above 0 and at most 1, not 0.0"),
    ({"widths": [9]}, "v_width must be an integer from 2 to 8, not 9"),
    ({"max_loss": -1.0}, "max_loss must be 0 or more and finite, not -1.0")])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        measure_sensitivity(CHAIN, X, **options)
