"""Operators of TensorFlow Lite that cannot be read, all at once and each with its remedy."""

import re
from collections import Counter
from collections.abc import Container

from .common import FrontEndError
from .tflite_file import File
from .tflite_part import Part, data_inputs, label
from .tflite_records import Operator, Tensor

__all__ = ["check_part"]

_MUST_BE = "operator must be one that docs/models.md lists; "

#: Operators of one kind that a message lists.
_MAX_LISTED = 3

#: Pattern of operators -> reason with remedy.
_REASONS = {
    r"\w*(LSTM|RNN)|SVDF": "export the model to ONNX, where LSTM, GRU and RNN are read",
    r"WHILE|IF|CALL\w*|STABLEHLO_COMPOSITE": (
        "the main graph must not call others: export recurrent layers to ONNX as LSTM, GRU or "
        "RNN, and a branch by itself"),
    r"(BATCH_TO_SPACE|SPACE_TO_BATCH)_ND": (
        "it is part of a dilated convolution: convert the model again, with a dilation_rate that "
        "the converter keeps in CONV_2D"),
    "TRANSPOSE_CONV|CONV_3D_TRANSPOSE": (
        "replace it by an enlargement with mode nearest and a convolution, and export the model to "
        "ONNX"),
    "BATCH_MATMUL": "one factor must be constant, unlike in attention",
    "Flex.*": "convert the model with operators of TensorFlow Lite only, without SELECT_TF_OPS",
    r"VAR_HANDLE|\w+_VARIABLE": "tensors must not keep a state: compute the steps on the host",
    "ARG_MAX|ARG_MIN|TOPK_V2": "take the scores, and choose the class on the host",
    r"ELU|GELU|EXP|LOG_SOFTMAX|SQRT|RSQRT|SIN|COS|LOG|POW": (
        "train with RELU, LEAKY_RELU, HARD_SWISH, LOGISTIC or TANH"),
    r"DENSIFY": "constants must be stored densely: convert the model without sparsity",
    r"SPLIT\w*|\w*SLICE|PACK|UNPACK|GATHER\w*|RESIZE\w*|\w+_TO_(SPACE|DEPTH)|MIRROR_PAD|TILE": (
        "export the model to ONNX, where Split, Slice, Gather, Resize and DepthToSpace are read"),
}


def check_part(file: File, part: Part, supported: Container[str]) -> None:
    """Check that all operators of a part are supported, and the types of their tensors.

    Raises
    ------
    FrontEndError
        If one is not; the message lists all of them.
    """
    read = {index for operator in part.operators for index in operator.inputs}
    starts = set(part.starts)
    problems = [(operator, reason) for operator in part.operators
                if (reason := _problem(file, starts, operator, supported, read))]
    if not problems:
        return
    if len(problems) == 1:
        (operator, reason), = problems
        raise FrontEndError(f"{label(file, operator)}: {reason}")
    lines = [f"{_MUST_BE}{len(problems)} operators of this model cannot be run:"]
    counts: Counter[str] = Counter()
    for operator, reason in problems:
        counts[operator.kind] += 1
        if counts[operator.kind] <= _MAX_LISTED:
            lines.append(f"  {label(file, operator)}: {reason.removeprefix(_MUST_BE)}")
    lines += [f"  and {count - _MAX_LISTED} more {kind} operators"
              for kind, count in counts.items() if count > _MAX_LISTED]
    raise FrontEndError("\n".join(lines))


def _problem(file: File, starts: Container[int], operator: Operator, supported: Container[str],
             read: Container[int]) -> str:
    """Describe why an operator cannot be run; empty if it can."""
    if operator.kind in supported:
        tensors = [file.tensor(index) for index in (*data_inputs(operator), *operator.outputs[:1])]
        return next(filter(None, map(_tensor_problem, tensors)), "")
    reason = next((text for pattern, text in _REASONS.items()
                   if re.fullmatch(pattern, operator.kind)), "")
    parts = []
    before = [index for index in data_inputs(operator)
              if file.tensor(index).data is None and index not in starts]
    if before:
        parts.append(f"end before it with last={file.names[before[0]]!r}")
    if operator.outputs and operator.outputs[0] in read:
        parts.append(f"begin after it with first={file.names[operator.outputs[0]]!r}")
    return _MUST_BE + "; ".join(filter(None, (reason, ", or ".join(parts)))) if reason or parts \
        else f"{_MUST_BE}compute it on the host"


def _tensor_problem(tensor: Tensor) -> str:
    if tensor.problem:
        return f"{tensor.name!r}: {tensor.problem}"
    if tensor.data is not None:
        return ""
    if tensor.kind in ("INT16", "UINT16"):
        return (f"{tensor.name!r} must be of floating point or 8 bits, not {tensor.kind}: quantise "
                "the model with activations of 8 bits, not 16 × 8")
    if tensor.kind not in ("FLOAT32", "INT8", "UINT8"):
        return f"{tensor.name!r} must be of type FLOAT32, INT8 or UINT8, not {tensor.kind}"
    if tensor.kind != "FLOAT32" and (tensor.quantisation is None
                                     or tensor.quantisation.scale.size != 1):
        return f"{tensor.name!r} must have one scale: quantise activations per tensor"
    return ""
