"""Uses of the tensors of graphs."""

from collections import Counter
from collections.abc import Iterable

from .graph import Node

__all__ = ["count_uses"]


def count_uses(nodes: Iterable[Node], outputs: Iterable[str]) -> Counter[str]:
    """Count how often each tensor is an operand or an output.

    Parameters
    ----------
    nodes : iterable of :class:`~.graph.Node`
    outputs : iterable of :class:`str`
        Names of the results.
    """
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(outputs)
    return uses
