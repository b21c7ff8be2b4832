"""Scales of rows that are moved from the weights of a graph to operations of the host."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from scipy.sparse import diags_array

from ..graph.graph import Graph, Node, Scan
from ..graph.operation import Floats
from ..graph.operations import Affine
from ..model import Model, ModelLayer
from .equalisation import bits_lost, greatest_weights, is_shared

__all__ = ["repeat_scales", "scale_rows"]

#: Least bits by which rows are on average below the greatest one for which scales are moved.
_MIN_LOST = 3.0

#: Name of the operation after a node, after the name of that.
_SUFFIX = "_scaled"


def scale_rows(graph: Graph, n_shared: int) -> Graph:
    """Scale rows of different magnitudes by powers of two, and their results back.

    A codebook that holds the weights of one great row has few values for all others. After the
    last layer of a node the host multiplies the results, which do not change: a positive factor
    passes through a ReLU. Layers whose results are outputs of a graph, or next values of states,
    stay as they are, and those that have no more than `n_shared` distinct weights.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model before compression.
    n_shared : :class:`int`
        Number of shared weights.

    Returns
    -------
    :class:`~..graph.graph.Graph`
        Model with an operation `NAME_scaled` after each such node `NAME`.
    """
    return _scale(graph, lambda path, layer: _find_factors(layer, n_shared))


def repeat_scales(model: Graph, network: Graph) -> Graph:
    """Scale the rows of a model as :func:`scale_rows` did when it was compressed.

    Parameters
    ----------
    model, network : :class:`~..graph.graph.Graph`
        Model, before or after that, and its network.

    Returns
    -------
    :class:`~..graph.graph.Graph`
        Model with the nodes of the network.
    """
    known = {path for path, _ in model.walk()}
    factors = {path.removesuffix(_SUFFIX): np.ravel(node.computation.scale)
               for path, node in network.walk()
               if path not in known and isinstance(node.computation, Affine)}
    return _scale(model, lambda path, layer: factors.get(path)) if factors else model


def _scale(graph: Graph, find: Callable[[str, ModelLayer], Floats | None], prefix: str = ""
           ) -> Graph:
    """Scale the rows of the last layers of nodes by the factors found for them, if any."""
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        if isinstance(computation, Scan):
            computation = computation.change_body(
                functools.partial(_scale, find=find, prefix=f"{path}/"))
        node = dataclasses.replace(node, computation=computation,
                                   inputs=tuple(renamed.get(name, name) for name in node.inputs))
        name = node.name + _SUFFIX
        factors = None if not isinstance(computation, Model) or node.name in graph.outputs \
            or name in graph.shapes else find(path, computation.layers[-1])
        if factors is None:
            nodes.append(node)
            continue
        assert isinstance(computation, Model)
        *before, last = computation.layers
        scaled = dataclasses.replace(last, weight=diags_array(1 / factors) @ last.weight,
                                     bias=last.bias / factors)
        # Rows of an image are its channels.
        shape = (-1, 1, 1) if computation.patches is not None else (-1,)
        nodes += [dataclasses.replace(node, computation=dataclasses.replace(
                      computation, layers=(*before, scaled))),
                  Node(name, Affine(factors.reshape(shape), 0.0), (node.name,))]
        renamed[node.name] = name
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _find_factors(layer: ModelLayer, n_shared: int) -> Floats | None:
    """Find powers of two that bring great rows to the magnitude of the median one."""
    greatest = greatest_weights(layer, 1)
    if not greatest.any() or is_shared(layer, n_shared):
        return None
    logarithms = np.log2(greatest[greatest > 0])
    if bits_lost(logarithms) < _MIN_LOST:
        return None
    factors = np.ones(layer.n_rows)
    # Smaller rows stay: their biases, which have a limit beside their weights, would grow.
    factors[greatest > 0] = np.exp2(np.maximum(np.rint(logarithms - np.median(logarithms)), 0))
    return factors
