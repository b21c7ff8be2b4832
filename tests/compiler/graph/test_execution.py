import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.execution import Execution
from eie_compiler.graph.graph import Graph, Node, Recurrence
from support.graphs import Sum, accumulator


def run(graph, **tensors):
    execution = Execution(graph, 8, run_layers=None)
    return execution.run(tensors), execution.saturated


def test_rescales_saturates_and_counts():
    graph = Graph({"a": (2,), "b": (2,)}, (Node("y", Sum(), ("a", "b")),), ("y",),
                  {"a": 2, "b": 3, "y": 2})
    computed, saturated = run(graph, a=np.array([[100, 5]]), b=np.array([[100, 3]]))
    assert computed["y"].tolist() == [[127, 7]]
    assert saturated == {"y": 1}


def test_counts_by_the_path_inside_a_scan():
    graph = Graph({"x": (4, 3)}, (
        Node("y", accumulator(fracs={"x": 0, "state": 0, "sum": 0}), ("x",)),), ("y",),
        {"x": 0, "y": 0})
    computed, saturated = run(graph, x=np.full((1, 4, 3), 50))
    assert computed["y"][0, :, 0].tolist() == [50, 100, 127, 127]
    assert saturated == {"y/sum": 6}


@pytest.mark.parametrize("reverse", [False, True])
def test_steps_of_a_recurrence_are_in_the_order_of_computation(reverse):
    scan = dataclasses.replace(accumulator(fracs=dict.fromkeys(["x", "state", "sum"], 0)),
                               reverse=reverse)
    graph = Graph({"x": (4, 3)}, (Node("y", Recurrence(scan, 4), ("x",)),), ("y",),
                  {"x": 0, "y": 0})
    seen = []

    def run_layers(path, words):
        seen.append((path, words))
        return words[:, :1] * 10

    x = np.arange(2 * 4 * 3).reshape(2, 4, 3)
    computed = Execution(graph, 8, run_layers).run({"x": x})
    ((path, words),) = seen
    order = [3, 2, 1, 0] if reverse else [0, 1, 2, 3]
    assert path == "y"
    assert words.tolist() == [*x[0][order].tolist(), *x[1][order].tolist()]
    assert computed["y"].tolist() == (x[:, :, :1] * 10).tolist()
