"""Operations on integers of a graph, and on numbers that are integers times a scale."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ..graph.graph import Computation, Node
from ..graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    LeakyRelu,
    Maximum,
    MaxPool,
    Mean,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Slice,
    Subtract,
    Transpose,
)
from ..graph.uses import count_uses

__all__ = ["TOLERANCE", "commutes", "join_limits", "limits_of", "repeats"]

#: Greatest error of a scale, or of a shift, that does not change how integers within the limits of
#: a quantisation are rounded.
TOLERANCE = 2.0 ** -26

#: Operations that move or keep integers.
_MOVING = (MaxPool, Reshape, Reverse, Slice, Transpose)


def commutes(computation: Computation, shift: float) -> bool:
    """Check if an operation can come before a positive scale and a shift of all its operands."""
    if isinstance(computation, (*_MOVING, Concat, Maximum, Mean)) or repeats(computation):
        return True
    if isinstance(computation, AveragePool):
        return not shift or not computation.count_padding
    return not shift and isinstance(computation, (Add, Clip, LeakyRelu, Pad, Subtract))


def repeats(computation: Computation) -> bool:
    """Check if an operation repeats elements, or changes nothing."""
    return isinstance(computation, Affine) and bool(np.all(np.equal(computation.scale, 1))) \
        and not np.any(computation.shift)


def _is_relu(computation: Computation) -> bool:
    return isinstance(computation, Clip) and (computation.low, computation.high) == (0, np.inf)


def limits_of(computation: Computation, limits: Sequence[tuple[int, int] | None]
            ) -> tuple[int, int] | None:
    """Find the limits of the results of an operation; None if they are no integers."""
    known = [each for each in limits if each is not None]
    if len(known) < len(limits):
        return None
    low, high = min(each[0] for each in known), max(each[1] for each in known)
    if _is_relu(computation):
        return max(low, 0), max(high, 0)
    if not isinstance(computation, (*_MOVING, Concat, Maximum, Pad)) and not repeats(computation):
        return None
    if isinstance(computation, Pad):
        return min(low, 0), max(high, 0)
    return low, high


def join_limits(nodes: Iterable[Node], outputs: Sequence[str]) -> list[Node]:
    """Let quantisations have the limits of what alone reads them and limits integers further.

    Parameters
    ----------
    nodes : iterable of :class:`~..graph.graph.Node`
        In an order of computation.
    outputs : sequence of :class:`str`
        Names of the results.
    """
    made = {node.name: node for node in nodes}
    uses = count_uses(made.values(), outputs)
    for node in list(made.values()):
        before = made.get(node.inputs[0])
        if before is None or uses[before.name] != 1 \
                or not isinstance(quantise := before.computation, Quantise) \
                or (limits := _integer_limits(node.computation)) is None:
            continue
        low, high = (int(np.clip(limit, *limits)) for limit in (quantise.low, quantise.high))
        if low < high:
            limited = dataclasses.replace(quantise, low=low, high=high)
            made[node.name] = Node(node.name, limited, before.inputs)
            del made[before.name]
    return list(made.values())


def _integer_limits(computation: Computation) -> tuple[float, float] | None:
    """Find the limits of an operation that only limits integers; None if it is another."""
    if _is_relu(computation):
        return 0, np.inf
    if isinstance(computation, Quantise) and np.all(np.abs(computation.scale - 1) <= TOLERANCE):
        return computation.low, computation.high
    return None
