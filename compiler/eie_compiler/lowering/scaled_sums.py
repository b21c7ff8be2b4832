"""Sums that are quantised, of tensors that may have scales: residual connections of integer models.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from ..graph.graph import Graph, Node
from ..graph.operations import Add, Affine, Quantise, Subtract

__all__ = ["ScaledSum", "count_uses", "find_sum"]


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


def count_uses(graph: Graph) -> Counter[str]:
    """Count the operands that are each tensor, and outputs."""
    return Counter([name for node in graph.nodes for name in node.inputs] + [*graph.outputs])


def find_sum(graph: Graph, node: Node, uses: Counter[str]) -> ScaledSum | None:
    """Find the sum of two other tensors that a node quantises, if there is one.

    Parameters
    ----------
    uses : :class:`collections.Counter` of :class:`str`
        As from :func:`count_uses`.
    """
    nodes = {one.name: one for one in graph.nodes}
    total = nodes.get(node.inputs[0])
    if not isinstance(node.computation, Quantise) or total is None \
            or not isinstance(total.computation, (Add, Subtract)) or uses[total.name] > 1 \
            or len({graph.shapes[name] for name in total.inputs}) > 1:
        return None
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
