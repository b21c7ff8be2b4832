"""Scales of integers in graphs: moved past what they commute with, and into quantisations."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from ..graph.graph import Computation, Node
from ..graph.operation import Shape
from ..graph.operations import Affine, Clip, Concat, Quantise, Reshape, Transpose
from ..graph.uses import count_uses
from .common import plain_name
from .graph_integers import TOLERANCE, commutes, join_limits, limits_of, repeats

__all__ = ["move_scales"]


class _Value(NamedTuple):
    """Tensor of the graph that is read, as ``scale * tensor + shift`` of one that is made.

    Attributes
    ----------
    limits : pair of :class:`int`, optional
        Least and greatest element of the tensor, if all are integers.
    is_quantised : :class:`bool`
        True if it is computed from quantised tensors in such a way that scales could move to here.
    """

    name: str
    scale: float = 1.0
    shift: float = 0.0
    limits: tuple[int, int] | None = None
    is_quantised: bool = False


def move_scales(nodes: Sequence[Node], outputs: Sequence[str], kept: Set[str],
                shapes: Mapping[str, Shape]
                ) -> tuple[list[Node], tuple[str, ...], dict[str, Shape]]:
    """Move scales of quantised tensors as far as they commute, so that integers are what remains.

    A scale and a shift of a quantised tensor, each one number, move past what they commute with.
    Each reader has its own: the layer after it absorbs it (:mod:`.graph_fusion`), and so does a
    quantisation. One that changes no number is left out. The scale of an input that is quantised
    becomes an operation before it, which can be its preprocessing (:mod:`.input_scaling`).

    Parameters
    ----------
    nodes : sequence of :class:`~..graph.graph.Node`
        In an order of computation; all are needed.
    outputs : sequence of :class:`str`
        Names of the results.
    kept : set of :class:`str`
        Nodes that do not move.
    shapes : mapping of :class:`str` to :data:`~..graph.operation.Shape`
        Shapes of all inputs and nodes.

    Returns
    -------
    nodes : :class:`list` of :class:`~..graph.graph.Node`
        The nodes themselves if there is no quantisation.
    outputs : :class:`tuple` of :class:`str`
        Names of the nodes that compute the results.
    shapes : :class:`dict` of :class:`str` to :data:`~..graph.operation.Shape`
        Shapes of the new nodes, too.
    """
    if not any(isinstance(node.computation, Quantise) for node in nodes):
        return list(nodes), tuple(outputs), dict(shapes)
    return _Scales(nodes, outputs, kept, shapes).result(outputs)


class _Scales:

    def __init__(self, nodes: Sequence[Node], outputs: Sequence[str], kept: Set[str],
                 shapes: Mapping[str, Shape]) -> None:
        self._kept = kept
        self._shapes = dict(shapes)
        self._uses = count_uses(nodes, outputs)
        self._nodes: dict[str, Node] = {}
        self._values: dict[str, _Value] = {}
        #: Concatenation of tensors with scales of their own -> these.
        self._joined: dict[str, Sequence[_Value]] = {}
        #: Operand, scale and limits of a quantisation -> its result.
        self._quantised: dict[tuple[Any, ...], _Value] = {}
        for node in nodes:
            self._values[node.name] = self._take(node)

    def result(self, outputs: Sequence[str]
               ) -> tuple[list[Node], tuple[str, ...], dict[str, Shape]]:
        """Return the nodes, the outputs and all shapes."""
        ends = tuple(self._settle(self._value(name)) for name in outputs)
        # Readers of a tensor are known when all scales are where they stay.
        self._uses = count_uses(self._nodes.values(), ends)
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            if isinstance(node.computation, Quantise):
                node = self._absorb(node, node.computation)
            self._nodes[node.name] = node
        return join_limits(self._nodes.values(), ends), ends, self._shapes

    def _value(self, name: str) -> _Value:
        return self._values.get(name, _Value(name))

    def _take(self, node: Node) -> _Value:
        """Add a node, or what it becomes."""
        values = [self._value(name) for name in node.inputs]
        found: _Value | None = None
        if node.name in self._kept:
            pass
        elif isinstance(node.computation, Affine) and not repeats(node.computation):
            found = self._affine(node, node.computation, values[0])
        elif isinstance(node.computation, Quantise):
            found = self._quantise(node, node.computation, values[0])
        elif all(value.is_quantised for value in values):
            found = self._move(node, values)
        return found or self._add(node, map(self._settle, values))

    def _add(self, node: Node, operands: Iterable[str], **properties: Any) -> _Value:
        """Add a node with other operands."""
        self._nodes[node.name] = dataclasses.replace(node, inputs=tuple(operands))
        return _Value(node.name, **properties)

    def _new(self, name: str, computation: Computation, operand: str) -> str:
        """Add a new node that keeps the shape of its operand."""
        name = plain_name(name, self._shapes, "scaled")
        self._shapes[name] = self._shapes[operand]
        self._uses[name] = 1
        return self._add(Node(name, computation, ()), [operand]).name

    def _settle(self, value: _Value) -> str:
        """Name the node that computes a value, for one reader."""
        if (value.scale, value.shift) == (1, 0):
            return value.name
        return self._new(f"{value.name}.scaled", Affine(value.scale, value.shift), value.name)

    def _affine(self, node: Node, affine: Affine, value: _Value) -> _Value | None:
        """Let a scale and a shift move, if they are one number each."""
        if not value.is_quantised or np.size(affine.scale) != 1 or np.size(affine.shift) != 1 \
                or self._shapes[node.name] != self._shapes[node.inputs[0]]:
            return None
        scale, shift = (float(np.asarray(part).item()) for part in (affine.scale, affine.shift))
        product, total = value.scale * scale, value.shift * scale + shift
        if not 0 < product < np.inf or not np.isfinite(total):
            return None
        return value._replace(scale=product, shift=total)

    def _quantise(self, node: Node, quantise: Quantise, value: _Value) -> _Value:
        """Let a quantisation absorb a scale, or leave it out."""
        if (unchanged := _unchanged(quantise, value)) is not None:
            return unchanged
        if value.name in self._joined and self._uses[value.name] == 1 \
                and np.size(quantise.scale) == 1:
            return self._quantise_parts(node, quantise, value.name)
        operand = value.name
        if value.shift:
            operand = self._settle(value)
        else:
            quantise = dataclasses.replace(quantise, scale=quantise.scale * value.scale)
        scale = np.asarray(quantise.scale)
        key = operand, scale.shape, scale.tobytes(), quantise.low, quantise.high
        if key not in self._quantised:
            self._quantised[key] = self._add(
                dataclasses.replace(node, computation=quantise), [operand],
                limits=(quantise.low, quantise.high), is_quantised=True)
        return self._quantised[key]

    def _quantise_parts(self, node: Node, quantise: Quantise, name: str) -> _Value:
        """Quantise each operand of a concatenation, as they have scales of their own."""
        concat = self._nodes.pop(name)
        parts = []
        for operand, value in zip(concat.inputs, self._joined.pop(name)):
            if operand != value.name:    # scaled for this reader
                del self._nodes[operand]
            part = plain_name(f"{node.name}.part", self._shapes, "part")
            self._shapes[part] = self._shapes[value.name]
            self._uses[part] = 1
            parts.append(self._quantise(Node(part, quantise, (value.name,)), quantise, value))
        return self._add(concat, map(self._settle, parts),
                         limits=(quantise.low, quantise.high), is_quantised=True)

    def _absorb(self, node: Node, quantise: Quantise) -> Node:
        """Let a quantisation absorb what is before it, but not the scale of an input."""
        operand, = node.inputs
        while (joined := self._join(quantise, operand)) is not None:
            quantise, (operand,) = joined, self._nodes.pop(operand).inputs
        if self._is_input(operand) and np.any(np.not_equal(quantise.scale, 1)):
            # A host converts numbers of an input in floating point.
            operand = self._new(f"{node.name}.scaled", Affine(quantise.scale, 0.0), operand)
            quantise = dataclasses.replace(quantise, scale=1.0)
        return Node(node.name, quantise, (operand,))

    def _join(self, quantise: Quantise, name: str) -> Quantise | None:
        """Join a quantisation and the node before it that scales or limits; None if it is another.
        """
        node = self._nodes.get(name)
        if node is None or name in self._kept or self._uses[name] != 1 \
                or self._shapes[name] != self._shapes[node.inputs[0]]:
            return None
        before = node.computation
        if isinstance(before, Affine) and not np.any(before.shift) \
                and np.all(np.greater(before.scale, 0)):
            return dataclasses.replace(quantise, scale=quantise.scale * before.scale)
        # A layer before it has a ReLU; other limits are those of the integers.
        if isinstance(before, Clip) and before.high < np.inf and np.size(quantise.scale) == 1:
            low, high = (int(quantise.real(np.full((1, *np.shape(quantise.scale)), limit)).item())
                         for limit in (before.low, before.high))
            return dataclasses.replace(quantise, low=low, high=high) if low < high else None
        return None

    def _is_input(self, name: str) -> bool:
        """Check if a tensor is an input, scaled or rearranged, that nothing else reads."""
        while self._uses[name] == 1 and name in self._nodes and name not in self._kept \
                and isinstance(self._nodes[name].computation, (Affine, Reshape, Transpose)):
            name, = self._nodes[name].inputs
        return self._uses[name] == 1 and name not in self._nodes

    def _move(self, node: Node, values: Sequence[_Value]) -> _Value | None:
        """Move a scale past an operation; None if it does not commute with it."""
        one = values[0]
        if any((value.scale, value.shift) != (one.scale, one.shift) for value in values) \
                or not commutes(node.computation, one.shift):
            if isinstance(node.computation, Concat):
                self._joined[node.name] = values
            return None
        if isinstance(node.computation, Clip):
            limits = (limit / one.scale for limit in (node.computation.low, node.computation.high))
            node = dataclasses.replace(node, computation=Clip(*limits))
        return self._add(node, [value.name for value in values], scale=one.scale, shift=one.shift,
                         limits=limits_of(node.computation, [value.limits for value in values]),
                         is_quantised=True)


def _unchanged(quantise: Quantise, value: _Value) -> _Value | None:
    """Find the result of a quantisation that changes no number; None if it may change one."""
    shift = value.shift * quantise.scale
    if value.limits is None or np.any(np.abs(value.scale * quantise.scale - 1) > TOLERANCE) \
            or np.size(shift) != 1 or np.any(np.abs(shift - np.rint(shift)) > TOLERANCE):
        return None
    whole = int(np.rint(shift).item())
    if value.limits[0] + whole < quantise.low or value.limits[1] + whole > quantise.high:
        return None
    return value._replace(scale=1.0, shift=float(whole))
