"""Layers of a graph as those of its model: decompressed, or pruned."""

import dataclasses

import numpy as np

from ..graph.graph import Graph
from ..graph.layers import find_layers, replace_layers
from ..model import Model
from ..network import CompressedNetwork
from .decompress import decompress
from .losses import keep_weights

__all__ = ["decompress_dense", "decompress_graph", "densify", "prune_graph"]

#: Most weights of a matrix that is dense; bounds the memory.
_MAX_DENSE = 1 << 22


def decompress_graph(graph: Graph) -> Graph:
    """Convert a compressed network to a model, with the layers of :func:`decompress_dense`."""
    return replace_layers(graph, lambda path, network: decompress_dense(network))


def decompress_dense(network: CompressedNetwork) -> Model:
    """Convert layers to a model with their shared weights, as of :func:`densify`."""
    return densify(decompress(network))


def densify(model: Model) -> Model:
    """Make matrices dense unless they are large.

    For many vectors this is faster, as SciPy would transpose them for a sparse matrix.
    """
    return dataclasses.replace(model, layers=tuple(
        layer if isinstance(layer.weight, np.ndarray) or layer.n_rows * layer.n_cols > _MAX_DENSE
        else dataclasses.replace(layer, weight=layer.weight.toarray()) for layer in model.layers))


def prune_graph(model: Graph, network: Graph) -> Graph:
    """Keep those weights of a model that a network has."""
    networks = find_layers(network, CompressedNetwork)
    return replace_layers(model, lambda path, layers: keep_weights(layers, networks[path]))
