"""Subgraphs of a graph: nodes that become one node, and nodes that take its place again."""

import dataclasses
from collections.abc import Sequence

from .graph import Graph, Node, Scan, Subgraph

__all__ = ["inline_subgraphs", "join_nodes", "make_subgraph"]


def join_nodes(graph: Graph, names: Sequence[str]) -> Graph:
    """Join nodes of a compressed network to one.

    Parameters
    ----------
    names : sequence of :class:`str`
        Nodes that follow one another, each the only operand of the next one, and read by no other.

    Raises
    ------
    GraphError
        If they do not follow one another.
    """
    return dataclasses.replace(graph, nodes=tuple(
        Node(node.name, make_subgraph(graph, names), (_operand(graph, names[0]),))
        if node.name == names[-1] else node
        for node in graph.nodes if node.name not in names[:-1]),
        fracs=graph.fracs and {name: frac for name, frac in graph.fracs.items()
                               if name not in names[:-1]})


def make_subgraph(graph: Graph, names: Sequence[str]) -> Subgraph:
    """Make the subgraph of nodes of a compressed network, as for :func:`join_nodes`."""
    operand = _operand(graph, names[0])
    fracs = graph.fracs or {}
    return Subgraph(Graph(
        {operand: graph.shapes[operand]}, tuple(node for node in graph.nodes if node.name in names),
        (names[-1],), {name: fracs[name] for name in (operand, *names)}))


def _operand(graph: Graph, name: str) -> str:
    """Name of the only operand of a node."""
    (operand,) = next(node.inputs for node in graph.nodes if node.name == name)
    return operand


def inline_subgraphs(graph: Graph) -> Graph:
    """Replace all subgraphs by their nodes, those of bodies of scans included."""
    nodes: list[Node] = []
    fracs = dict(graph.fracs or {})
    for node in graph.nodes:
        computation = node.computation
        if isinstance(computation, Subgraph):
            nodes += computation.body.nodes
            fracs |= computation.body.fracs or {}
        elif isinstance(computation, Scan):
            nodes.append(dataclasses.replace(node, computation=computation.change_body(
                inline_subgraphs)))
        else:
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes), fracs=graph.fracs and fracs)
