"""Axis of the batch of each input of an ONNX graph."""

from collections.abc import Sequence

import onnx

from .onnx_constants import INTEGERS, attributes
from .onnx_graph import Graph
from .onnx_operations import operation_of

__all__ = ["batch_axes"]

#: Operations of images, whose first axis is the batch.
_IMAGES = ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
           "BatchNormalization")

_RECURRENT = ("LSTM", "GRU", "RNN")

#: Operations that move axes in other ways.
_MOVING = ("Reshape", "Flatten", "Shape", "Size", "MatMul", "Gemm", "Expand")


def batch_axes(graph: Graph, nodes: Sequence["onnx.NodeProto"], names: Sequence[str]
               ) -> dict[str, int | None]:
    """Find the axis of the batch of inputs; None if an input has none.

    It is the only axis of open size; else the one that reaches an operation as the batch; else the
    first of two or more.
    """
    reached = _trace(graph, nodes)
    axes: dict[str, int | None] = {}
    for name in names:
        shape = graph.shape(name) or []
        open_axes = [axis for axis, size in enumerate(shape) if size is None]
        if len(open_axes) == 1:
            axes[name], = open_axes
        elif name in reached:
            axes[name] = reached[name]
        else:
            axes[name] = 0 if open_axes or len(shape) > 1 else None
    return axes


def _trace(graph: Graph, nodes: Sequence["onnx.NodeProto"]) -> dict[str, int | None]:
    """Trace the axis of the batch from the operations that need it to tensors before them."""
    found: dict[str, int | None] = {}
    for node in reversed(nodes):
        operation, inputs = operation_of(node), list(node.input)
        if operation in _IMAGES:
            found.setdefault(inputs[0], 0)
        elif operation in _RECURRENT:
            first = attributes(node).get("layout", 0)
            found.setdefault(inputs[0], 0 if first else 1)
            for name in filter(None, inputs[5:7]):    # states before the first step
                found.setdefault(name, 0 if first else 1)
        elif node.output[0] in found and operation not in _MOVING:
            axis = found[node.output[0]]
            if operation in ("Transpose", "Squeeze", "Unsqueeze", "Gather"):
                found.setdefault(inputs[0], _before(graph, node, axis))
                continue
            rank = len(graph.shape(node.output[0]) or [])
            for name in filter(None, inputs):
                if name == inputs[0] or len(graph.shape(name) or []) == rank:
                    found.setdefault(name, axis)
    return found


def _before(graph: Graph, node: "onnx.NodeProto", axis: int | None) -> int | None:
    """Find the axis of the operand of a node that becomes an axis of its result."""
    options = attributes(node)
    if axis is None:
        return None
    if node.op_type == "Transpose":
        rank = len(graph.shape(node.input[0]) or [])
        order = list(options.get("perm", range(rank)[::-1]))
        return order[axis] if axis < len(order) else None
    if node.op_type == "Gather":
        if node.input[1] not in graph.constants:
            return None
        place = options.get("axis", 0) % max(len(graph.shape(node.input[0]) or []), 1)
        is_one = not graph.constants.shape(node.input[1])
        return axis + 1 if is_one and axis >= place else axis
    moved = options.get("axes", [])
    if len(node.input) > 1 and node.input[1] in graph.constants:
        moved = graph.constants.array(node.input[1], INTEGERS).ravel().tolist()
    wide = node.output[0] if node.op_type == "Unsqueeze" else node.input[0]
    rank = len(graph.shape(wide) or [])
    places = {int(place) % rank if rank else int(place) for place in moved}
    kept = [place for place in range(max(rank, axis + 1)) if place not in places]
    if node.op_type == "Unsqueeze":
        return kept.index(axis) if axis in kept else None
    return kept[axis] if axis < len(kept) else None
