"""Operations of subgraphs as the layers with which the machine computes them."""

import dataclasses

from eie_hdl.config import EIEConfig

from ..graph.graph import Graph, Node, Scan, Subgraph
from .pooling import lower_means
from .scale_folding import fold_scales

__all__ = ["lower_graph_operations", "lower_operations"]


def lower_graph_operations(graph: Graph, config: EIEConfig) -> Graph:
    """Lower the operations of all subgraphs of a graph, as :func:`lower_operations`."""
    def lower(node: Node) -> Node:
        if isinstance(node.computation, Scan):
            return dataclasses.replace(node, computation=node.computation.change_body(
                lambda body: lower_graph_operations(body, config)))
        if isinstance(node.computation, Subgraph):
            return dataclasses.replace(node, computation=lower_operations(node.computation, config))
        return node

    return dataclasses.replace(graph, nodes=tuple(map(lower, graph.nodes)))


def lower_operations(subgraph: Subgraph, config: EIEConfig) -> Subgraph:
    """Replace scales and means by the layers that the machine computes, whose words differ from
    those of the host.
    """
    return lower_means(fold_scales(subgraph, config), config)
