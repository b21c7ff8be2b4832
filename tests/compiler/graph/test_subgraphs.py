"""`eie_compiler.graph.subgraphs`, and subgraphs in `eie_compiler.graph.graph`."""

import dataclasses
import re

import pytest

from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan, Subgraph
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import Add
from eie_compiler.graph.subgraphs import inline_subgraphs, join_nodes, make_subgraph
from eie_compiler.model import Model
from support.graphs import accumulator, pooled_network, random_layer

GRAPH = pooled_network()


def part_of(graph, names):
    """Subgraph of nodes of a graph."""
    nodes = [node for node in graph.nodes if node.name in names]
    return make_subgraph(graph, nodes[0].inputs[0], nodes)


def join(graph, names):
    """Join nodes of a graph to a subgraph."""
    return join_nodes(graph, part_of(graph, names))


def test_joined_nodes_become_one_with_their_operand_and_result():
    joined = join(GRAPH, ["pool1", "conv2", "pool2"])
    assert [node.name for node in joined.nodes] == ["conv1", "pool2", "flat", "fc"]
    assert joined.nodes[1].inputs == ("conv1",)
    body = joined.nodes[1].computation.body
    assert [node.name for node in body.nodes] == ["pool1", "conv2", "pool2"]
    assert body.inputs == {"conv1": (6, 11, 10)} and body.outputs == ("pool2",)
    assert set(body.fracs) == {"conv1", "pool1", "conv2", "pool2"}
    assert joined.shapes == {name: shape for name, shape in GRAPH.shapes.items()
                             if name not in ("pool1", "conv2")}


def test_subgraphs_are_inlined_in_bodies_of_scans_too():
    body = dataclasses.replace(GRAPH, fracs=GRAPH.fracs)
    scan = Graph({"images": (3, 1, 13, 12)}, (Node("scan", Scan(body, ()), ("images",)),),
                 ("scan",), {"images": 6, "scan": 6})
    joined = dataclasses.replace(scan, nodes=(dataclasses.replace(scan.nodes[0], computation=Scan(
        join(body, ["conv1", "pool1"]), ())),))
    for graph, expected in ((join(GRAPH, ["conv1", "pool1", "conv2"]), GRAPH),
                            (joined, scan), (GRAPH, GRAPH)):
        inlined = inline_subgraphs(graph)
        assert inlined.walk() == expected.walk() or [
            (path, node.name) for path, node in inlined.walk()] == [
            (path, node.name) for path, node in expected.walk()]
        assert inlined.fracs == expected.fracs and inlined.shapes == expected.shapes


def test_recurrences_become_their_scans():
    graph = Graph({"x": (5, 3)}, (Node("y", Recurrence(accumulator(), 5), ("x",)),), ("y",))
    (node,) = inline_subgraphs(graph).nodes
    assert node.computation is graph.nodes[0].computation.scan


def body_of(**changes):
    return dataclasses.replace(part_of(GRAPH, ["conv1", "pool1"]).body, **changes)


@pytest.mark.parametrize("body", [
    body_of(outputs=("conv1",)),
    Graph({"x": (3,), "y": (3,)}, (Node("sum", Add(), ("x", "y")),), ("sum",)),
    Graph({"x": (3,)}, (Node("one", Add(), ("x", "x")), Node("two", Add(), ("x", "x"))),
          ("one", "two")),
])
def test_a_body_of_several_inputs_or_results_is_refused(body):
    with pytest.raises(GraphError, match="^body must have one input, and its last node as the"):
        Subgraph(body)


@pytest.mark.parametrize("inner", [
    Subgraph(body_of()), Scan(GRAPH, ()), Recurrence(accumulator(), 5), random_layer(3, 3, 1)])
def test_a_body_of_other_graphs_or_models_is_refused(inner):
    shape = (3, 1, 13, 12) if isinstance(inner, Scan) else (5, 3) \
        if isinstance(inner, Recurrence) else (3,) if isinstance(inner, Model) \
        else (1, 13, 12)
    body = Graph({"image": shape}, (Node("pool1", inner, ("image",)),), ("pool1",))
    with pytest.raises(GraphError, match="^node 'pool1': body must have compressed layers and op"):
        Subgraph(body)


def graph_with(node, *others):
    return Graph(GRAPH.inputs, (*others, node), (node.name,),
                 dict.fromkeys(("image", node.name, *(one.name for one in others)), 6))


@pytest.mark.parametrize("make, message", [
    (lambda body: graph_with(Node("pool", Subgraph(body), ("image",))),
     "node 'pool': operand and name must be those of its nodes, 'image' and 'pool1'"),
    (lambda body: graph_with(Node("pool1", Subgraph(body), ("image",)),
                             Node("conv1", GRAPH.nodes[0].computation, ("image",))),
     "node 'pool1': name must be unique"),
    (lambda body: Graph({"image": (1, 13, 13)}, (Node("pool1", Subgraph(body), ("image",)),),
                        ("pool1",)),
     "node 'pool1': operand must have shape (1, 13, 12), not (1, 13, 13)"),
    (lambda body: dataclasses.replace(graph_with(Node("pool1", Subgraph(body), ("image",))),
                                      fracs={"image": 6, "pool1": 5}),
     "node 'pool1': operands and result must have [6] and 6 fraction bits, not [6] and 5"),
])
def test_a_subgraph_that_does_not_match_is_refused(make, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        make(body_of())
