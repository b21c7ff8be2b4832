"""Assembly of a graph from named nodes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graph.graph import Computation, Graph, Node, Scan
from ..graph.operation import Floats, Operation, Shape
from ..graph.operations import Affine, Reshape, Slice, Transpose
from ..graph.operations.fields import broadcast
from ..model import Model, ModelLayer
from ..patches import Patches
from .common import plain_name
from .graph_fusion import fuse
from .graph_scales import move_scales
from .input_scaling import absorb_scales

__all__ = ["GraphBuilder"]


class GraphBuilder:
    """Builder of a :class:`~..graph.graph.Graph`, in order of computation.

    Nodes have plain names, unique also where the given ones are not. An arrangement that changes
    nothing adds no node.

    Parameters
    ----------
    inputs : mapping of :class:`str` to :data:`~..graph.operation.Shape`, optional
        Shape of each input, without the batch.

    Raises
    ------
    GraphError
        In all methods, if a node cannot take its operands.
    """

    def __init__(self, inputs: Mapping[str, Shape] = {}) -> None:    # noqa: B006
        self.inputs = dict(inputs)
        self._nodes: dict[str, Node] = {}
        #: Nodes that no layer absorbs.
        self._kept: set[str] = set()
        #: Shape of each input and node, without the batch.
        self.shapes: dict[str, Shape] = dict(inputs)
        self._layer_names: set[str] = set()

    def add_input(self, name: str, shape: Shape) -> str:
        """Add an input; return its plain name."""
        name = plain_name(name, self.shapes, f"input{len(self.inputs) + 1}")
        self.inputs[name] = self.shapes[name] = shape
        return name

    def add(self, name: str, computation: Computation, *operands: str, keep: bool = False) -> str:
        """Add a node; return its name. True for `keep`: no layer absorbs it."""
        name = plain_name(name, self.shapes, f"node{len(self._nodes) + 1}")
        node = Node(name, computation, operands)
        self.shapes[name] = node.shape(*(self.shapes[operand] for operand in operands))
        self._nodes[name] = node
        if keep:
            self._kept.add(name)
        return name

    def node(self, name: str) -> Node | None:
        """Get a node; None for an input."""
        return self._nodes.get(name)

    def add_layer(self, name: str, weight: object, bias: object, operand: str,
                  patches: Patches | None = None, *, relu: bool = False) -> str:
        """Add a layer of a matrix (n_out, n_in) on vectors, or on the pixels of `patches`."""
        name = plain_name(name, self._layer_names, f"layer{len(self._layer_names) + 1}")
        self._layer_names.add(name)
        return self.add(name, Model((ModelLayer(name, weight, bias, relu),), patches), operand)

    def apply(self, name: str, operation: Operation, operand: str) -> str:
        """Add an operation of each element, before a change of the shape, so that layers absorb it.
        """
        node = self._nodes.get(operand)
        if node is None or not isinstance(node.computation, Reshape):
            return self.add(name, operation, operand)
        return self.reshape(name, self.add(name, operation, *node.inputs), self.shapes[operand])

    def scale(self, name: str, scale: Floats | float, shift: Floats | float, operand: str, *,
              keep: bool = False) -> str:
        """Multiply by a constant and add another, as :meth:`apply` where they broadcast as before.
        """
        shape = self.shapes[operand]
        enlarges = broadcast(shape, np.shape(scale), np.shape(shift)) != shape
        if np.all(np.equal(scale, 1)) and not np.any(shift) and not enlarges:
            return operand
        node = self._nodes.get(operand)
        if node is not None and isinstance(node.computation, Reshape) and not enlarges:
            before = self.shapes[node.inputs[0]]
            parts = [_reshape_constant(part, shape, before) for part in (scale, shift)]
            if all(part is not None for part in parts):
                made = self.add(name, Affine(*parts), *node.inputs, keep=keep)
                return self.reshape(name, made, shape)
        return self.add(name, Affine(scale, shift), operand, keep=keep)

    def reshape(self, name: str, operand: str, shape: Sequence[int]) -> str:
        """Change the shape, not the order of the elements."""
        node = self._nodes.get(operand)
        if node is not None and isinstance(node.computation, Reshape):
            operand, = node.inputs    # the latter of two counts
        if self.shapes[operand] == tuple(shape):
            return operand
        return self.add(name, Reshape(tuple(shape)), operand)

    def transpose(self, name: str, operand: str, order: Sequence[int]) -> str:
        """Permute the axes: axis ``order[n]`` becomes axis n."""
        if list(order) == sorted(order):
            return operand
        return self.add(name, Transpose(tuple(order)), operand)

    def slice(self, name: str, operand: str, axis: int, start: int, stop: int, step: int = 1
              ) -> str:
        """Take elements `start` to `stop` of an axis."""
        if (start, step) == (0, 1) and stop == self.shapes[operand][axis]:
            return operand
        return self.add(name, Slice(axis, start, stop, step), operand)

    def take(self, name: str, operand: str, axis: int, index: int) -> str:
        """Take one element of an axis, which is then no more."""
        part = self.slice(f"{name}.slice", operand, axis, index, index + 1)
        shape = self.shapes[operand]
        return self.reshape(name, part, shape[:axis] + shape[axis + 1:])

    def graph(self, outputs: Iterable[str], notes: Iterable[str] = ()) -> Graph:
        """Make the graph of all nodes that the outputs depend on; layers and preprocessing absorb
        constants.
        """
        nodes, outputs, needed = self._fused(outputs)
        inputs = {name: shape for name, shape in self.inputs.items() if name in needed}
        inputs = inputs or self.inputs
        nodes, preprocessing = absorb_scales(inputs, nodes, outputs)
        return Graph(inputs, nodes, outputs, notes=tuple(notes), preprocessing=preprocessing)

    def scan(self, result: str, states: Mapping[str, str], *, reverse: bool) -> Scan:
        """Make a scan of this graph: its result, and the node of the next value of each state."""
        nodes, (result, *sources), _ = self._fused([result, *states.values()])
        return Scan(Graph(self.inputs, nodes, (result,)), tuple(zip(states, sources)), reverse)

    def _fused(self, outputs: Iterable[str]
               ) -> tuple[tuple[Node, ...], tuple[str, ...], set[str]]:
        """Fuse all nodes that the outputs depend on; return names of what was needed, too."""
        outputs = tuple(outputs)
        needed, nodes = set(outputs), []
        for name, node in reversed(self._nodes.items()):
            if name in needed:
                needed.update(node.inputs)
                nodes.append(node)
        moved, outputs, shapes = move_scales(nodes[::-1], outputs, self._kept, self.shapes)
        fused, outputs = fuse(moved, outputs, self._kept, shapes)
        return tuple(fused), outputs, needed


def _reshape_constant(constant: Floats | float, shape: Shape, before: Shape) -> Any:
    """Reshape a constant that broadcasts to a shape as that shape was before; None if impossible.

    The shapes may differ in axes of one element.
    """
    if np.size(constant) == 1:
        return float(np.asarray(constant).item())
    constant = np.asarray(constant)
    sizes = (1,) * (len(shape) - constant.ndim) + constant.shape
    if len(sizes) > len(shape) or [size for size in shape if size > 1] \
            != [size for size in before if size > 1]:
        return None
    kept = iter([mine for mine, size in zip(sizes, shape) if size > 1])
    return constant.reshape([next(kept) if size > 1 else 1 for size in before])
