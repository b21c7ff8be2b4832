import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Reshape
from eie_compiler.graph_build import GraphBuild, count_vectors, walk_uses
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import VectorError
from eie_hdl.config import PRESETS
from support.graphs import recurrent_network, residual_network

TINY = PRESETS["tiny"]    # 8-bit activations


@pytest.fixture(scope="module")
def images():
    return compile_graph(residual_network(TINY), TINY)


@pytest.fixture(scope="module")
def pair():
    """Build with two inputs, of which the first must not be negative."""
    fc = dataclasses.replace(random_network(np.random.default_rng(3), [4, 2], v_width=3, frac=4),
                             nonnegative_inputs=True)
    graph = Graph({"a": (2, 2), "b": (2,)}, (
        Node("flat", Reshape((4,)), ("a",)), Node("fc", fc, ("flat",)),
        Node("y", Add(), ("fc", "b"))), ("y",),
        {"a": 4, "b": 2, "flat": 4, "fc": 4, "y": 3})
    return compile_graph(graph, TINY)


def test_counts_how_often_an_inference_computes_a_node():
    graph = recurrent_network(TINY, steps=5)
    uses = {use.path: use for use in walk_uses(graph)}
    assert [path for path, _ in graph.walk()] == list(uses)
    assert uses["lstm"].times == 1 and uses["lstm/gates"].times == 5
    assert count_vectors(uses["lstm/gates"]) == 5
    convolution = {use.path: use for use in walk_uses(residual_network(TINY))}["conv1"]
    assert count_vectors(convolution) == 36


def test_converts_numbers_and_counts_what_saturates(pair):
    tensors = pair.to_words({"a": [[[1, -1], [0.5, 99]]], "b": [[1, -50]]})
    assert tensors.words["a"].tolist() == [[[16, 0], [8, 127]]]
    assert tensors.words["b"].tolist() == [[4, -128]]
    assert tensors.saturated == {"a": 2, "b": 1} and tensors.batch == 1


def test_a_single_input_needs_neither_name_nor_batch(images):
    image = np.random.default_rng(4).normal(size=(2, 6, 6))
    for inputs in (image, image[np.newaxis], {"image": image}):
        assert images.to_words(inputs).words["image"].shape == (1, 2, 6, 6)


def test_numbers_are_those_of_the_words(pair):
    assert pair.to_numbers({"y": np.array([[4, -1]])})["y"].tolist() == [[0.5, -0.125]]


@pytest.mark.parametrize("inputs, words, message", [
    (np.zeros((1, 2)), False, "Inputs must be arrays by name, 'a', 'b', not a single array"),
    ({"a": np.zeros((1, 2, 2))}, False, "Inputs must be 'a', 'b', not 'a'"),
    ({"a": np.zeros((3, 2, 2)), "b": np.zeros((1, 2))}, False,
     "Inputs must have batches of one size, not 3 of 'a', 1 of 'b'"),
    ({"a": np.zeros((3, 4)), "b": np.zeros((3, 2))}, False,
     "Inputs 'a' must be numbers, one or more of 2 × 2, not float64 of shape (3, 4): "
     "reshape them to (n, 2, 2), with x.reshape(-1, 2, 2)"),
    ({"a": np.zeros((1, 2, 2)), "b": [[0, np.inf]]}, False,
     "Inputs 'b' must be finite, but element [0, 1] is inf"),
    ({"a": np.zeros((1, 2, 2), int), "b": [[0, 128]]}, True,
     "Inputs 'b' must be fixed-point words from -128 to 127, not from 0 to 128"),
    ({"a": [[[0, 0], [-1, 0]]], "b": [[0, 0]]}, True,
     "Inputs 'a' must not be negative, as the network was compressed for inputs that never are, "
     "but element [0, 1, 0] is -1: compress it again without --nonnegative-inputs, in Python "
     "nonnegative_inputs"),
])
def test_inputs_that_do_not_match_are_refused(pair, inputs, words, message):
    with pytest.raises(VectorError) as caught:
        pair.to_words(inputs, words=words)
    assert str(caught.value) == message


def test_parts_of_a_batch_bound_the_memory(images, monkeypatch):
    tensors = images.to_words(np.random.default_rng(5).normal(size=(7, 2, 6, 6)))
    assert len(list(images.parts(tensors))) == 1
    monkeypatch.setattr("eie_compiler.graph_build._PART", 1500)
    small = dataclasses.replace(images)
    assert isinstance(small, GraphBuild) and 1 < small.part < 7
    joined = np.concatenate([part["image"] for part in small.parts(tensors)])
    assert joined.tolist() == tensors.words["image"].tolist()
