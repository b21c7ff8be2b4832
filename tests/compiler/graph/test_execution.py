import numpy as np

from eie_compiler.graph.execution import Execution
from eie_compiler.graph.graph import Graph, Node
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
