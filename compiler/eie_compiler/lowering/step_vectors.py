"""Vectors of a step of a recurrence: where tensors are cut into parts that stay together."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..errors import CompileError
from ..graph.graph import Graph, Node
from ..graph.operations.arrangement import Concat, Reshape, Slice
from ..network import CompressedNetwork

__all__ = ["MOST_PARTS", "Part", "StepVector", "find_cuts"]


#: Parts of a tensor, each of which takes whole rows and stages of its own.
MOST_PARTS = 64


class StepVector(NamedTuple):
    """Vector in the activation SRAMs, from its first row on.

    Attributes
    ----------
    number : :class:`int`
        Its number; 0 is the input of a step.
    size : :class:`int`
        Elements.
    frac : :class:`int`
        Fraction bits.
    """

    number: int
    size: int
    frac: int


class Part(NamedTuple):
    """Part of a tensor: a vector, in the format of the tensor.

    A vector of another format is to be converted.
    """

    vector: StepVector
    frac: int


class _Link(NamedTuple):
    """Elements `first … first + size − 1` of a tensor that are those of another one."""

    whole: str
    part: str
    first: int
    size: int


def find_cuts(body: Graph, states: Iterable[tuple[str, str]]) -> dict[str, list[int]]:
    """Find where the tensors of a step are cut, so that each operation reads whole parts.

    Parameters
    ----------
    body : :class:`~..graph.graph.Graph`
        Graph of a step.
    states : pairs of :class:`str`
        Each state, and its next value, which is cut in the same places.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`list` of :class:`int`
        Bounds of the parts of each tensor, in ascending order, from 0 to its size.

    Raises
    ------
    CompileError
        If a tensor is no vector, or has too many parts, or an operation combines elements of
        different places.
    """
    for name, shape in body.shapes.items():
        if len(shape) != 1:
            raise CompileError(f"tensor {name!r} must be a vector, not of shape {shape}")
    links = [_Link(source, state, 0, body.shapes[state][0]) for state, source in states]
    for node in body.nodes:
        links += _link(body, node)
    cuts = {name: {0, shape[0]} for name, shape in body.shapes.items()}
    while True:
        before = sum(map(len, cuts.values()))
        for whole, part, first, size in links:
            cuts[whole].update(cut + first for cut in cuts[part])
            cuts[part].update(cut - first for cut in cuts[whole] if first <= cut <= first + size)
        if len(most := max(cuts.values(), key=len)) > MOST_PARTS + 1:    # as of a shift register
            name = next(name for name, each in cuts.items() if each is most)
            raise CompileError(f"tensor {name!r} must have at most {MOST_PARTS} parts")
        if before == sum(map(len, cuts.values())):
            return {name: sorted(each) for name, each in cuts.items()}


def _link(body: Graph, node: Node) -> Sequence[_Link]:
    """List the elements of operands that are at the places of those of the result."""
    computation, sizes = node.computation, [body.shapes[name][0] for name in node.inputs]
    if isinstance(computation, CompressedNetwork):
        return []
    if isinstance(computation, Slice):
        if computation.step != 1:
            raise CompileError(f"node {node.name!r}: step of a slice must be 1, not "
                               f"{computation.step}")
        return [_Link(node.inputs[0], node.name, computation.start,
                      computation.stop - computation.start)]
    if isinstance(computation, Concat):
        return [_Link(node.name, name, sum(sizes[:at]), sizes[at])
                for at, name in enumerate(node.inputs)]
    if not isinstance(computation, Reshape) and len({*sizes, body.shapes[node.name][0]}) > 1:
        raise CompileError(f"node {node.name!r}: operands must have as many elements as the result")
    return [_Link(name, node.name, 0, size) for name, size in zip(node.inputs, sizes)]
