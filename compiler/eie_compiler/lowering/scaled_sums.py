"""Sums that are quantised, of tensors that may have scales: residual connections of integer models.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..graph.graph import Graph, Node
from ..graph.operations import Add, Affine, Quantise, Subtract
from ..graph.uses import count_uses

__all__ = ["ScaledSum", "find_sums"]


class ScaledSum(NamedTuple):
    """Sum of two tensors, each with a scale.

    Attributes
    ----------
    operands : pair of :class:`str`
        Tensors that are scaled and added.
    scales : pair of :class:`float`
        Factor of each.
    absorbed : :class:`tuple` of :class:`str`
        Nodes that scale them, which nothing else reads.
    """

    operands: tuple[str, str]
    scales: tuple[float, float]
    absorbed: tuple[str, ...]


def find_sums(graph: Graph) -> dict[str, ScaledSum]:
    """Find the sums of two different tensors that only a quantisation reads, by their names."""
    nodes = {node.name: node for node in graph.nodes}
    uses = count_uses(graph.nodes, graph.outputs)
    found = {}
    for node in graph.nodes:
        total = nodes.get(node.inputs[0])
        if isinstance(node.computation, Quantise) and total is not None \
                and isinstance(total.computation, (Add, Subtract)) and uses[total.name] == 1 \
                and len({graph.shapes[name] for name in total.inputs}) == 1 \
                and (scaled := _find_scales(total, nodes, uses)):
            found[total.name] = scaled
    return found


def _find_scales(total: Node, nodes: Mapping[str, Node], uses: Counter[str]) -> ScaledSum | None:
    """Find the scales of the operands of a sum; None if it adds a tensor to itself."""
    operands, scales, absorbed = list[str](), list[float](), list[str]()
    for name in total.inputs:
        before = nodes.get(name)
        factor = None if before is None or uses[name] > 1 else _factor_of(before)
        if before is not None and factor is not None:
            operands.append(before.inputs[0])
            scales.append(factor)
            absorbed.append(name)
        else:
            operands.append(name)
            scales.append(1.0)
    if operands[0] == operands[1]:
        return None
    if isinstance(total.computation, Subtract):
        scales[1] = -scales[1]
    return ScaledSum((operands[0], operands[1]), (scales[0], scales[1]), tuple(absorbed))


def _factor_of(node: Node) -> float | None:
    """Factor by which a node multiplies all elements alike; None if it does anything else."""
    operation = node.computation
    if not isinstance(operation, Affine) or np.any(operation.shift) or np.size(operation.scale) > 1:
        return None
    return float(np.asarray(operation.scale).item())
