"""Subgraphs of a graph: nodes that become one node, and nodes that take its place again."""

import dataclasses
from collections.abc import Sequence

from ..network import CompressedNetwork
from .graph import Graph, Node, Recurrence, Scan, Subgraph

__all__ = ["inline_subgraphs", "join_nodes", "make_subgraph"]


def make_subgraph(graph: Graph, operand: str, nodes: Sequence[Node]) -> Subgraph:
    """Make the subgraph of nodes that read one tensor and each other.

    Parameters
    ----------
    graph : :class:`~.graph.Graph`
        Compressed network.
    operand : :class:`str`
        The tensor.
    nodes : sequence of :class:`~.graph.Node`
        Nodes in an order of computation; others read the last one alone. They are those of the
        graph, or what takes their place: then layers, which have the format of their results.

    Raises
    ------
    GraphError
        If they read other tensors.
    """
    fracs = dict(graph.fracs or {})
    for node in nodes:
        if isinstance(node.computation, CompressedNetwork):
            fracs[node.name] = node.computation.layers[-1].output_frac
    return Subgraph(Graph({operand: graph.shapes[operand]}, tuple(nodes), (nodes[-1].name,),
                          {name: fracs.get(name, fracs[nodes[-1].name])
                           for name in (operand, *(node.name for node in nodes))}))


def join_nodes(graph: Graph, subgraph: Subgraph) -> Graph:
    """Replace the nodes of a subgraph, which no others read, by the subgraph."""
    names = {node.name for node in subgraph.body.nodes}
    (last,) = subgraph.body.outputs
    return dataclasses.replace(
        graph, nodes=tuple(Node(last, subgraph, (subgraph.input,)) if node.name == last else node
                           for node in graph.nodes if node.name not in names - {last}),
        fracs=graph.fracs and {name: frac for name, frac in graph.fracs.items()
                               if name not in names - {last}})


def inline_subgraphs(graph: Graph) -> Graph:
    """Replace all subgraphs by their nodes, those of bodies of scans included, and recurrences by
    their scans.
    """
    nodes: list[Node] = []
    fracs = dict(graph.fracs or {})
    for node in graph.nodes:
        computation = node.computation
        if isinstance(computation, Subgraph):
            nodes += computation.body.nodes
            fracs |= computation.body.fracs or {}
        elif isinstance(computation, Recurrence):
            nodes.append(dataclasses.replace(node, computation=computation.scan))
        elif isinstance(computation, Scan):
            nodes.append(dataclasses.replace(node, computation=computation.change_body(
                inline_subgraphs)))
        else:
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes), fracs=graph.fracs and fracs)
