"""Graphs in the arithmetic of a machine, compared with the golden model."""

from collections import Counter

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.graph_inference import infer_graph
from support.graphs import recurrent_network, residual_network, scaled_inputs, scaled_network

TINY = PRESETS["tiny"]


@pytest.mark.parametrize("make", [residual_network, recurrent_network, scaled_network])
def test_words_are_those_of_the_golden_model(make):
    graph = make(TINY)
    (name, shape), = graph.inputs.items()
    inputs = {name: np.random.default_rng(1).normal(size=(3, *shape))}
    if graph.preprocessing:
        inputs = {name: scaled_inputs(3)}
    watched = Counter()
    machine = IntegerGraph(graph, TINY)
    found = machine.run(inputs, lambda path, words: watched.update({path: words.size}))
    expected = infer_graph(compile_graph(graph, TINY), inputs, engine="golden").outputs
    for output, words in expected.items():
        np.testing.assert_array_equal(found[output], words)
    assert machine.counts == watched
    assert watched.keys() | {"lstm"} >= found.keys() and watched[name] == inputs[name].size


def test_paths_of_bodies_have_formats_and_are_watched_at_each_step():
    machine = IntegerGraph(recurrent_network(TINY, steps=3), TINY)
    machine.run({"x": np.zeros((2, 3, 3))})
    assert machine.fracs["lstm/next_h"] == 4
    assert machine.counts["lstm/next_h"] == 3 * 2 * 2 and "lstm" not in machine.counts


def test_saturated_elements_are_counted_by_path():
    machine = IntegerGraph(residual_network(TINY), TINY)
    images = np.zeros((1, 2, 6, 6))
    machine.run({"image": images})
    assert not any(machine.saturated.values())
    images[0, :, 0, 0] = 1e6
    machine.run({"image": images})
    assert machine.saturated["image"] == 2 and machine.saturated["scaled"] == 1


def test_preprocessed_inputs_that_saturate_are_counted():
    machine = IntegerGraph(scaled_network(TINY), TINY)
    x = scaled_inputs(1)
    machine.run({"x": x})
    assert machine.saturated["x"] == 0
    x[0, 1] += [1, 0, 0, -1e9]
    machine.run({"x": x})
    assert machine.saturated["x"] == 2


def test_a_layer_without_a_format_is_named():
    network = random_network(np.random.default_rng(0), [3, 2], v_width=TINY.v_width, frac=40)
    graph = Graph({"x": (3,)}, (Node("fc", network, ("x",)),), ("fc",), {"x": 40, "fc": 40})
    with pytest.raises(CompileError, match="^node 'fc': "):
        IntegerGraph(graph, TINY)
