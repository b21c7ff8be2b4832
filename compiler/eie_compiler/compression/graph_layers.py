"""Replacement of the layers of a graph."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..graph.graph import Graph, Scan
from ..model import Model
from ..network import CompressedNetwork
from .decompress import decompress
from .losses import keep_weights

__all__ = ["decompress_dense", "decompress_graph", "prune_graph", "replace_layers"]

#: Most weights of a matrix that is dense; bounds the memory.
_MAX_DENSE = 1 << 22


def replace_layers(graph: Graph, replace: Callable[[str, Any], Model | CompressedNetwork],
                   frac_of: Callable[[str], int] | None = None, prefix: str = "") -> Graph:
    """Replace the layers of all nodes, bodies of scans included, and set the formats.

    Parameters
    ----------
    replace : function of path and layers
        Computes the new layers of a node.
    frac_of : function of a path, optional
        Fraction bits of an input or of the result of a node. None: the graph has no formats.
    prefix : :class:`str`
        Path of the graph.
    """
    nodes = []
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        if isinstance(computation, Scan):
            body = replace_layers(computation.body, replace, frac_of, f"{path}/")
            computation = dataclasses.replace(computation, body=body)
        elif isinstance(computation, (Model, CompressedNetwork)):
            computation = replace(path, computation)
        nodes.append(dataclasses.replace(node, computation=computation))
    fracs = frac_of and {name: frac_of(prefix + name) for name in graph.shapes}
    return dataclasses.replace(graph, nodes=tuple(nodes), fracs=fracs)


def decompress_graph(graph: Graph) -> Graph:
    """Convert a compressed network to a model, with the layers of :func:`decompress_dense`."""
    return replace_layers(graph, lambda path, network: decompress_dense(network))


def decompress_dense(network: CompressedNetwork) -> Model:
    """Convert layers to a model with their shared weights.

    Matrices are dense unless they are large. For many vectors this is faster, as SciPy would
    transpose them for a sparse matrix.
    """
    model = decompress(network)
    return dataclasses.replace(model, layers=tuple(
        dataclasses.replace(layer, weight=layer.weight.toarray())
        if layer.n_rows * layer.n_cols <= _MAX_DENSE else layer for layer in model.layers))


def prune_graph(model: Graph, network: Graph) -> Graph:
    """Keep those weights of a model that a network has."""
    networks = {path: node.computation for path, node in network.walk()
                if isinstance(node.computation, CompressedNetwork)}
    return replace_layers(model, lambda path, layers: keep_weights(layers, networks[path]))
