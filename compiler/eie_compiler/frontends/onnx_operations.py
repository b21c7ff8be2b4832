"""Kinds of operations in ONNX, and those that are left out at the end."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import onnx

from .onnx_constants import STANDARD, Constants, attributes

__all__ = ["CHOICES", "CHOOSE", "NEUTRAL", "SCORES", "Shapes", "axis_of", "data_inputs",
           "find_left_out", "keeps_order", "operation_of", "result_of"]

#: Sizes of a tensor by its name, None for open ones; None if they are unknown.
Shapes = Callable[[str], Sequence[int | None] | None]

#: Advice in messages: how to choose a part of the model.
CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"

#: Operations with further inputs that may be computed: they matter to the shape or type only.
_SHAPING = ("CastLike", "Reshape", "Squeeze", "Unsqueeze", "Dropout")

#: Operations that change no number.
NEUTRAL = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")

#: Operations that keep the order of numbers, if not always their differences.
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")

#: Operations that keep the order of the results, left out at the end.
_ORDER_KEEPING = ("Softmax", "LogSoftmax")

#: Operations that choose the class as well as compute its scores -> place of the scores.
SCORES = {"ai.onnx.ml.LinearClassifier": 1}

#: Operations that choose the class.
CHOICES = r"ArgMax|TopK|ai\.onnx\.ml\.(ZipMap|ArrayFeatureExtractor|LabelEncoder)"


class Axis(NamedTuple):
    """Axis along which a node chooses, or keeps the order.

    Parameters
    ----------
    place : :class:`int`
        Its number, from 0 on if the rank is known.
    rank : :class:`int`, optional
        Number of axes; None if it is unknown.
    size, stride : :class:`int`, optional
        Number of elements along it, and within one of them. They are the same after a change of
        the shape that keeps the elements along the axis together. None if it is unknown.
    """

    place: int
    rank: int | None
    size: int | None
    stride: int | None

    def __str__(self) -> str:
        is_last = self.place == (-1 if self.rank is None else self.rank - 1)
        return "" if is_last else f" along axis {self.place}"

    def has_elements_of(self, other: "Axis") -> bool:
        """Check if the elements along it are those along another one."""
        if None in (self.stride, other.stride):
            return self[:2] == other[:2]
        return self.stride == other.stride and (None in (self.size, other.size)
                                                or self.size == other.size)


def axis_of(node: "onnx.NodeProto", shapes: Shapes) -> Axis:
    """Find the axis along which a node chooses, or keeps the order."""
    operation, sizes = operation_of(node), shapes(node.input[0])
    otherwise = 0 if operation == "ArgMax" else -1
    place = attributes(node).get("axis", otherwise) if node.domain in STANDARD else -1
    if not sizes or not -len(sizes) <= place < len(sizes):
        return Axis(place, None, None, 1 if place == -1 else None)
    place %= len(sizes)
    within = [size for size in sizes[place + 1:] if size is not None]
    stride = math.prod(within) if len(within) == len(sizes) - place - 1 else None
    return Axis(place, len(sizes), sizes[place], stride)


def operation_of(node: "onnx.NodeProto") -> str:
    """Name the operation of a node, after its domain unless that is the standard one."""
    return str(node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}")


def data_inputs(node: "onnx.NodeProto") -> Sequence[str]:
    """Name the inputs of a node that matter to more than the shape or type."""
    return node.input[:1] if operation_of(node) in _SHAPING else node.input


def result_of(node: "onnx.NodeProto") -> str:
    """Name the tensor of the results of a node: its first output, or the scores of classes."""
    return str(node.output[SCORES.get(operation_of(node), 0)])


def find_left_out(nodes: Sequence["onnx.NodeProto"], constants: Constants, ends: Iterable[str],
                  shapes: Shapes) -> dict[str, tuple["onnx.NodeProto", str]]:
    """Find the results at the end that only keep or choose by the order of those before them.

    Parameters
    ----------
    nodes : sequence of :class:`onnx.NodeProto`
        All nodes before the ends, each after those that compute its inputs.
    constants : :class:`~.onnx_constants.Constants`
        Constants of the graph.
    ends : names of tensors
        Outputs.
    shapes : function
        Sizes of tensors.

    Returns
    -------
    :class:`dict` of :class:`str` to node and :class:`str`
        Name of a result -> node that computes it, and tensor with the order.
    """
    found: dict[str, tuple[onnx.NodeProto, str]] = {}
    #: Tensors with the axes of those after them that are left out.
    at_end: dict[str, set[Axis]] = {name: set() for name in ends}
    read: set[str] = set()    # by nodes that are not left out
    for node in reversed(nodes):
        names = [name for name in node.output if name in at_end]
        data = [name for name in node.input if name and name not in constants]
        after = set().union(*(at_end[name] for name in names))
        is_at_end = bool(names and data) and not read & set(node.output)
        if is_at_end and \
                (axes := _left_out_axes(node, after, constants, shapes)) is not None:
            at_end.setdefault(data[0], set()).update(axes)
            found |= {name: (node, data[0]) for name in node.output if name}
            continue
        result = result_of(node)
        if operation_of(node) in SCORES:
            found |= {name: (node, result) for name in names if name not in {result, *read}}
        read |= set(node.input)
    # Copies remain unless a choice is before them.
    chosen: set[str] = set()
    for name, (node, before) in reversed(found.items()):
        if not _is_copy(node, constants) or before in chosen:
            chosen.add(name)
    return {name: found[name] for name in found if name in chosen}


def _left_out_axes(node: "onnx.NodeProto", after: set[Axis], constants: Constants, shapes: Shapes
                   ) -> set[Axis] | None:
    """Find the axes that are left out from a node on; None if the node itself is not left out.

    It is left out if it is a copy, chooses, or keeps the order along all axes left out after it.
    """
    if _is_copy(node, constants):
        return after
    is_choice = re.fullmatch(CHOICES, operation_of(node))
    if not is_choice and not keeps_order(node, shapes):
        return None
    axis = axis_of(node, shapes)
    return {axis} if is_choice or all(map(axis.has_elements_of, after)) else None


def _is_copy(node: "onnx.NodeProto", constants: Constants) -> bool:
    """Check if a node keeps the order of all numbers; with one scale, if it has any."""
    operation = operation_of(node)
    if operation in _ROUNDING:
        return node.input[1] in constants and math.prod(constants.shape(node.input[1])) == 1
    return operation in NEUTRAL


def keeps_order(node: "onnx.NodeProto", shapes: Shapes) -> bool:
    """Check if the results of a node have the order of its inputs along its axis."""
    operation = operation_of(node)
    if operation == "ai.onnx.ml.Normalizer":    # the norm MAX may be negative
        return attributes(node).get("norm", b"MAX") in (b"L1", b"L2")
    if operation not in _ORDER_KEEPING:
        return False
    sizes = shapes(node.input[0]) or ()
    open_axes = [axis for axis, size in enumerate(sizes) if size is None]
    batch = open_axes[0] if len(open_axes) == 1 else 0
    return axis_of(node, shapes).place != batch
