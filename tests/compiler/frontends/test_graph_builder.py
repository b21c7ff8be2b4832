"""Graphs under construction (`eie_compiler.frontends.graph_builder`)."""

import numpy as np
import pytest

from eie_compiler.frontends.graph_builder import GraphBuilder
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import Add, Clip, Tanh


def test_names_are_plain_and_unique():
    builder = GraphBuilder()
    assert builder.add_input("a/b\\c", (2,)) == "b.c"
    assert builder.add("b.c", Tanh(), "b.c") == "b.c_2"
    assert builder.add("", Tanh(), "b.c") == "node2"
    assert builder.add_layer("\n", np.eye(2), None, "b.c") == "layer1"


def test_arrangements_that_change_nothing_add_no_node():
    builder = GraphBuilder({"x": (2, 6)})
    assert builder.reshape("r", "x", (2, 6)) == builder.transpose("t", "x", (0, 1)) == "x"
    assert builder.slice("s", "x", 1, 0, 6) == "x"
    wide = builder.reshape("r", "x", (3, 4))
    assert builder.reshape("back", wide, (2, 6)) == "x"
    assert builder.reshape("flat", wide, (12,)) == "flat"
    graph = builder.graph(["flat"])
    assert [(node.name, node.inputs) for node in graph.nodes] == [("flat", ("x",))]
    assert builder.shapes[builder.take("one", "x", 0, 1)] == (6,)


def test_what_no_output_needs_is_left_out():
    builder = GraphBuilder({"x": (2,), "unused": (3,)})
    builder.add("left", Tanh(), "unused")
    graph = builder.graph([builder.add("y", Tanh(), "x")], ["note"])
    assert (list(graph.inputs), [node.name for node in graph.nodes], graph.notes) \
        == (["x"], ["y"], ("note",))


def test_states_keep_the_nodes_of_their_next_values():
    builder = GraphBuilder({"x": (2,), "state": (2,)})
    layer = builder.add_layer("fc", np.eye(2), None, builder.add("sum", Add(), "x", "state"))
    next_value = builder.add("relu", Clip(0.0, np.inf), layer)
    scan = builder.scan(builder.add("result", Tanh(), next_value), {"state": next_value},
                        reverse=True)
    assert scan.states == (("state", "fc"),) and scan.reverse
    outer = GraphBuilder({"x": (3, 2)})
    values = evaluate_real(outer.graph([outer.add("scan", scan, "x")]), {"x": np.ones((1, 3, 2))})
    np.testing.assert_allclose(values["scan"][0, :, 0], np.tanh([3, 2, 1]))


def test_operands_must_fit():
    builder = GraphBuilder({"x": (2,)})
    with pytest.raises(GraphError, match=r"^operand must be vectors of 3, not of shape \(2,\)$"):
        builder.add_layer("fc", np.eye(3), None, "x")
