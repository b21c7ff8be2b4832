"""Kinds of operations in ONNX, and those that are left out at the end."""

import re
from collections.abc import Iterable, Sequence

import onnx

from .onnx_constants import STANDARD, Constants, attributes

__all__ = ["CHOICES", "CHOOSE", "NEUTRAL", "SCORES", "SHAPING", "find_left_out", "keeps_order",
           "operation_of", "result_of"]

#: Advice in messages: how to choose a part of the model.
CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"

#: Operations with further inputs that may be computed: only the shape of the result matters.
SHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Dropout")

#: Operations that change no number.
NEUTRAL = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")

#: Operations that keep the order of the results, left out at the end.
_ORDER_KEEPING = ("Softmax", "LogSoftmax")

#: Operations that choose the class as well as compute its scores -> place of the scores.
SCORES = {"ai.onnx.ml.LinearClassifier": 1}

#: Operations that choose the class.
CHOICES = r"ArgMax|TopK|ai\.onnx\.ml\.(ZipMap|ArrayFeatureExtractor|LabelEncoder)"


def operation_of(node: "onnx.NodeProto") -> str:
    """Name the operation of a node, after its domain unless that is the standard one."""
    return str(node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}")


def result_of(node: "onnx.NodeProto") -> str:
    """Name the tensor of the results of a node: its first output, or the scores of classes."""
    return str(node.output[SCORES.get(operation_of(node), 0)])


def find_left_out(nodes: Sequence["onnx.NodeProto"], constants: Constants, ends: Iterable[str]
                  ) -> dict[str, tuple["onnx.NodeProto", str]]:
    """Find the results at the end that only keep or choose by the order of those before them.

    Parameters
    ----------
    nodes : sequence of :class:`onnx.NodeProto`
        All nodes before the ends, each after those that compute its inputs.
    constants : :class:`~.onnx_constants.Constants`
        Constants of the graph.
    ends : names of tensors
        Outputs.

    Returns
    -------
    :class:`dict` of :class:`str` to node and :class:`str`
        Name of a result -> node that computes it, and tensor with the order.
    """
    found: dict[str, tuple[onnx.NodeProto, str]] = {}
    at_end = set(ends)
    read: set[str] = set()    # by nodes that are not left out
    for node in reversed(nodes):
        names = [name for name in node.output if name in at_end]
        data = [name for name in node.input if name and name not in constants]
        if names and data and not read & set(node.output) and (_chooses(node) or _is_copy(node)):
            at_end.add(data[0])
            found |= {name: (node, data[0]) for name in node.output if name}
            continue
        result = result_of(node)
        if operation_of(node) in SCORES:
            found |= {name: (node, result) for name in names if name not in {result, *read}}
        read |= set(node.input)
    # Copies remain unless a choice is before them.
    chosen: set[str] = set()
    for name, (node, before) in reversed(found.items()):
        if not _is_copy(node) or before in chosen:
            chosen.add(name)
    return {name: found[name] for name in found if name in chosen}


def _chooses(node: "onnx.NodeProto") -> bool:
    return bool(re.fullmatch(CHOICES, operation_of(node))) or keeps_order(node)


def _is_copy(node: "onnx.NodeProto") -> bool:
    return operation_of(node) in NEUTRAL


def keeps_order(node: "onnx.NodeProto") -> bool:
    """Check if the results of a node have the order of its inputs."""
    operation = operation_of(node)
    if operation == "ai.onnx.ml.Normalizer":    # the norm MAX may be negative
        return attributes(node).get("norm", b"MAX") in (b"L1", b"L2")
    return operation in _ORDER_KEEPING and attributes(node).get("axis", -1) != 0
