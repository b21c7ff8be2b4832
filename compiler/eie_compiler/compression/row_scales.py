"""Scales of rows that are moved from the weights of a graph to what follows them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import diags_array

from ..graph.graph import Graph, Node, Scan
from ..graph.operation import Floats
from ..graph.operations import Affine, Quantise
from ..graph.uses import count_uses
from ..model import Model, ModelLayer
from .equalisation import bits_lost, greatest_weights, is_shared
from .row_steps import find_steps

__all__ = ["repeat_scales", "scale_rows"]

#: Least bits by which rows are on average below the greatest one for which scales are moved.
_MIN_LOST = 3.0

#: Name of the operation after a node, after the name of that.
_SUFFIX = "_scaled"


class _Factors(NamedTuple):
    """Factor of each row, by which weights and biases are divided; if `whole`, to integers."""

    rows: Floats
    whole: bool = False


#: Function of the path of a node, its last layer, and the operation that takes the factors, if
#: there is one, to factors.
_Find = Callable[[str, ModelLayer, Affine | Quantise | None], _Factors | None]


def scale_rows(graph: Graph, n_shared: int) -> Graph:
    """Scale rows of different magnitudes, and their results back.

    A codebook that holds the weights of one great row has few values for all others. After the
    last layer of a node the host multiplies the results, which do not change: a positive factor
    passes through a ReLU. Factors are then powers of two. Layers whose results are outputs of a
    graph, or next values of states, stay as they are, and those that have no more than `n_shared`
    distinct weights.

    Results that are quantised, or scaled by an :class:`~..graph.operations.Affine`, as by a
    normalisation, have a scale in any case, which takes the factors of the rows. Those of a
    quantisation are from :func:`~.row_steps.find_steps`, which make all weights integers, if there
    are such of no more than `n_shared`; otherwise the greatest magnitudes of the rows. A negative
    scale becomes positive, and a row with the scale 0 stays.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model before compression.
    n_shared : :class:`int`
        Number of shared weights.

    Returns
    -------
    :class:`~..graph.graph.Graph`
        Model with an operation `NAME_scaled` after each such node `NAME`, unless its results have a
        scale. A note says which layers have too many integers.
    """
    beyond: dict[str, int] = {}

    def find(path: str, layer: ModelLayer, after: Affine | Quantise | None) -> _Factors | None:
        if isinstance(after, Quantise):
            factors, n_integers = _normalise(layer)
            if n_integers <= n_shared:
                return factors
            if factors.whole:
                beyond[path] = n_integers
            return _Factors(_magnitudes(layer))
        found = _find_factors(layer, n_shared)
        if after is None:
            return found
        scale = np.broadcast_to(np.ravel(after.scale), layer.bias.shape)
        rows = np.ones(layer.n_rows) if found is None else found.rows
        if not layer.relu:
            rows = np.where(scale < 0, -rows, rows)
        rows = np.where(scale == 0, 1.0, rows)    # 0 does not say by which factor it was multiplied
        return _Factors(rows) if (rows != 1).any() else None

    scaled = _scale(graph, find)
    if not beyond:
        return scaled
    width = max(beyond.values()).bit_length()
    note = f"weights of {', '.join(map(repr, beyond))} are integers, times a scale of each row: " \
        f"they are exact with v_width = {width} (`eie compress --v-width {width}`), on a " \
        f"machine with v_width = {width}"
    return dataclasses.replace(scaled, notes=(*scaled.notes, note))


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
    known = dict(model.walk())
    factors = {}
    for path, node in network.walk():
        before, computation = known.get(path), node.computation
        if before is None and isinstance(computation, Affine):
            factors[path.removesuffix(_SUFFIX)] = np.ravel(computation.scale)
        elif before is not None and isinstance(computation, (Affine, Quantise)):
            assert isinstance(before.computation, (Affine, Quantise))
            one, other = (np.ravel(each.scale) for each in (computation, before.computation))
            ratio = np.divide(one, other, out=np.ones_like(one), where=other != 0)
            factors[path.removesuffix(node.name) + node.inputs[0]] = ratio
    factors = {path: ratio for path, ratio in factors.items() if (ratio != 1).any()}

    def find(path: str, layer: ModelLayer, after: Affine | Quantise | None) -> _Factors | None:
        return _Factors(factors[path]) if path in factors else None

    return _scale(model, find) if factors else model


def _scale(graph: Graph, find: _Find, prefix: str = "") -> Graph:
    """Scale the rows of the last layers of nodes by the factors found for them, if any."""
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    absorbed: dict[str, Floats] = {}
    scaled_by = _find_scales(graph)
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        if isinstance(computation, Scan):
            computation = computation.change_body(
                functools.partial(_scale, find=find, prefix=f"{path}/"))
        elif isinstance(computation, (Affine, Quantise)) and node.inputs[0] in absorbed:
            computation = dataclasses.replace(
                computation, scale=computation.scale * absorbed[node.inputs[0]])
        node = dataclasses.replace(node, computation=computation,
                                   inputs=tuple(renamed.get(name, name) for name in node.inputs))
        name, after = node.name + _SUFFIX, scaled_by.get(node.name)
        factors = None if not isinstance(computation, Model) or node.name in graph.outputs \
            or name in graph.shapes else find(path, computation.layers[-1], after)
        if factors is None:
            nodes.append(node)
            continue
        assert isinstance(computation, Model)
        *before, last = computation.layers
        scaled = dataclasses.replace(last, weight=_divide(last.weight, factors),
                                     bias=last.bias / factors.rows)
        nodes.append(dataclasses.replace(node, computation=dataclasses.replace(
            computation, layers=(*before, scaled))))
        # Rows of an image are its channels.
        shape = (-1, 1, 1) if computation.patches is not None else (-1,)
        if after is not None:
            absorbed[node.name] = factors.rows.reshape(shape)
        else:
            nodes.append(Node(name, Affine(factors.rows.reshape(shape), 0.0), (node.name,)))
            renamed[node.name] = name
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _find_scales(graph: Graph) -> dict[str, Affine | Quantise]:
    """Find what scales the results of layers that nothing else reads, by a number for each row."""
    uses = count_uses(graph.nodes, graph.outputs)
    layers = {node.name: node.computation for node in graph.nodes
              if isinstance(node.computation, Model)}
    found = {}
    for node in graph.nodes:
        computation, operand = node.computation, node.inputs[0]
        if not isinstance(computation, (Affine, Quantise)) or operand not in layers \
                or uses[operand] > 1 or graph.shapes[node.name] != graph.shapes[operand]:
            continue
        rank = len(graph.shapes[operand])
        axis = rank - 1 if layers[operand].patches is None else 0
        sizes = (1,) * (rank - np.ndim(computation.scale)) + np.shape(computation.scale)
        if all(size == 1 for place, size in enumerate(sizes) if place != axis):
            found[operand] = computation
    return found


def _divide(weight: Any, factors: _Factors) -> Any:
    """Divide the rows of a matrix by their factors."""
    divided = diags_array(1 / factors.rows) @ weight
    if not factors.whole:
        return divided
    if isinstance(divided, np.ndarray):
        return np.rint(divided)
    divided.data = np.rint(divided.data)
    return divided


def _find_factors(layer: ModelLayer, n_shared: int) -> _Factors | None:
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
    return _Factors(factors)


def _normalise(layer: ModelLayer) -> tuple[_Factors, int]:
    """Find factors that make all weights of a layer integers, if there are any, and count these.
    """
    steps = find_steps(layer.weight)
    factors = _Factors(_magnitudes(layer) if steps is None else steps, whole=steps is not None)
    weights = _divide(layer.weight, factors)
    numbers = weights if isinstance(weights, np.ndarray) else weights.data
    return factors, len(np.unique(numbers[numbers != 0]))


def _magnitudes(layer: ModelLayer) -> Floats:
    """Greatest weight of each row; 1 of rows without weights."""
    greatest = greatest_weights(layer, 1)
    return np.where(greatest > 0, greatest, 1.0)
