"""Part of a TensorFlow Lite model: the operators between tensors."""

import difflib
from typing import NamedTuple

from .common import FrontEndError
from .tflite_file import File
from .tflite_records import Operator

__all__ = ["Part", "data_inputs", "find_part", "label"]

#: Operators whose further inputs say what the shape of the result says, also if it is computed.
_SHAPING = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")

#: Inputs or outputs of an operator that a message names.
_MAX_LISTED = 8


class Part(NamedTuple):
    """Operators in order, and the numbers of the tensors that they begin and end with."""

    operators: list[Operator]
    starts: list[int]
    ends: list[int]


def data_inputs(operator: Operator) -> tuple[int, ...]:
    """Return the inputs of an operator that matter to more than the shape."""
    inputs = operator.inputs[:1] if operator.kind in _SHAPING else operator.inputs
    return tuple(index for index in inputs if index >= 0)


def label(file: File, operator: Operator) -> str:
    """Describe an operator and its computed tensors in messages."""
    ends = []
    for indices in (operator.inputs, operator.outputs):
        names = [file.names[index] for index in indices[:_MAX_LISTED + 1] if index >= 0
                 and file.tensor(index).data is None]
        ends.append(", ".join([*names[:_MAX_LISTED], *["…"] * (len(indices) > _MAX_LISTED)]))
    return f"{operator.kind} operator ({ends[0]} -> {ends[1]})"


def find_part(file: File, first: str | None, last: str | None) -> Part:
    """Find the operators that compute tensor `last` from tensor `first`; None: all.

    Raises
    ------
    FrontEndError
        If there is no such tensor, or an operator reads what none before it computes.
    """
    begin = None if first is None else _find(file, "first", first)
    ends = list(file.outputs) if last is None else [_find(file, "last", last)]
    if not ends:
        raise FrontEndError("graph must have outputs")
    needed = set(ends)
    operators: list[Operator] = []
    for operator in reversed(file.operators):
        if needed & set(operator.outputs) - {begin}:
            needed.update(data_inputs(operator))
            operators.append(operator)
    operators.reverse()
    if begin is not None and begin not in needed:
        raise FrontEndError(f"first must be on the path to "
                            f"{', '.join(repr(file.names[end]) for end in ends)}, not {first!r}")
    starts = [index for index in dict.fromkeys((begin, *file.inputs))
              if index is not None and index in needed]
    known = set(starts)
    for operator in operators:
        for index in data_inputs(operator):
            tensor = file.tensor(index)
            if index not in known and tensor.data is None and not tensor.problem:
                raise FrontEndError(f"{label(file, operator)}: input {file.names[index]!r} must be "
                                    "computed before it")
        if len(operator.outputs) < 1 or known & set(operator.outputs) - {begin}:
            raise FrontEndError(f"{label(file, operator)}: outputs must be computed once")
        known.update(operator.outputs)
    if missing := [file.names[end] for end in ends if end not in known]:
        raise FrontEndError(f"output {missing[0]!r} must be computed")
    return Part(operators, starts, ends)


def _find(file: File, option: str, name: str) -> int:
    computed = [file.names[index] for index in (
        *file.inputs, *(index for operator in file.operators for index in operator.outputs))]
    if name not in computed:
        near = [other for other in computed if name in other] \
            or difflib.get_close_matches(name, computed) or computed
        raise FrontEndError(f"{option} must be a computed tensor of the model, such as "
                            f"{', '.join(map(repr, near[-5:]))}, not {name!r}")
    return file.names.index(name)
