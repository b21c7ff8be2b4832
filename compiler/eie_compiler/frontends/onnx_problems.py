"""Operations of an ONNX graph that cannot be run, all at once and each with its remedy."""

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence

import onnx

from .common import FrontEndError
from .onnx_constants import STANDARD, Constants, label
from .onnx_operations import (
    CHOICES,
    CHOOSE,
    NEUTRAL,
    SCORES,
    Shapes,
    data_inputs,
    find_left_out,
    keeps_order,
    operation_of,
    result_of,
)
from .onnx_reasons import ACTIVATIONS, ONE_INPUT, REASONS

__all__ = ["check_operations"]

_MATRICES = ("Gemm", "MatMul", "Conv", "LSTM", "GRU", "RNN", "LinearClassifier",
             "LinearRegressor", "SVMRegressor")

#: Operations that invert the order of numbers if their constant says so.
_FLIPPING = ("Mul", "Div", "Sub")

#: Operations whose shape depends on the input, but not the numbers.
_SHAPES = ("Shape", "Size")

#: Operations with graphs of their own, which read any tensor of this one.
_CONTROL = ("If", "Loop", "Scan")

#: Operations of which any output may be used.
_MANY_OUTPUTS = ("Split", "LSTM", "GRU", "RNN")

#: Beginning of messages about operations that are not supported.
_MUST_BE = "operation must be one that docs/models.md lists; "

#: Nodes of one operation that a message lists.
_MAX_LISTED = 3

#: Reason of an activation that is not between layers.
_ON_HOST = "compute it on the host"


def check_operations(nodes: Sequence["onnx.NodeProto"], constants: Constants, starts: Iterable[str],
                     ends: Sequence[str], supported: Iterable[str], folded: Container[str], *,
                     functions: Iterable[str], shapes: Shapes) -> None:
    """Check that all operations of nodes are supported.

    Parameters
    ----------
    nodes : sequence of :class:`onnx.NodeProto`
        All nodes between the starts and the ends, each after those that compute its inputs.
    constants : :class:`~.onnx_constants.Constants`
        Constants of the graph.
    starts, ends : names of tensors
        Inputs and outputs of the part.
    supported, folded : names of operations
        Operations on computed tensors and on constants, as :func:`operation_of` names them.
    functions : names of operations
        Functions that the model defines.
    shapes : function
        Sizes of tensors.

    Raises
    ------
    FrontEndError
        If one is not; the message lists all of them.
    """
    scan = _Scan(nodes, constants, starts, ends, supported, folded, functions, shapes)
    problems = scan.problems
    if not problems:
        return
    outputs = (f"outputs must be those that can be run: {_choose_end(scan, ends)}"
               ) if len(ends) > 1 else ""
    if len(problems) == 1 and not outputs:
        node, kind, text = problems[0]
        model = f"model is {kind}: " if kind else ""
        raise FrontEndError(
            f"{label(node)}: {model}{_MUST_BE if scan.is_other(node) else ''}{text}")
    lines = [outputs] if outputs else []
    kinds = [kind for kind in dict.fromkeys(kind for _, kind, _ in problems) if kind]
    model = f"{' and '.join(kinds)} model" if kinds else "model"
    count = f"{len(problems)} node{'s' * (len(problems) > 1)}"
    lines.append(f"{_MUST_BE}{count} of this {model} cannot be run:")
    counts: Counter[str] = Counter()
    for node, _, text in problems:
        counts[node.op_type] += 1
        if counts[node.op_type] <= _MAX_LISTED:
            lines.append(f"  {label(node)}: {text}")
    lines += [f"  and {count - _MAX_LISTED} more {operation} nodes"
              for operation, count in counts.items() if count > _MAX_LISTED]
    raise FrontEndError("\n".join(lines))


def _choose_end(scan: "_Scan", ends: Sequence[str]) -> str:
    """Advise which tensor to end with: an output that can be computed, or one before problems."""
    lost = scan.after([name for node, *_ in scan.problems for name in node.output
                       if name not in scan.results or name != result_of(node)])
    possible = [name for name in ends if name not in lost]
    last = scan.last_of_all(ends)
    if len(possible) == 1:
        return f"take {possible[0]!r} with last={possible[0]!r}"
    if not possible and last in lost:
        return f"end with last={last!r}, and begin after what cannot be run before it"
    if not possible and last is not None and not lost & scan.before_matrix:
        return f"end before all that cannot be run, with last={last!r}"
    return f"choose one of {', '.join(map(repr, possible or ends))} with last=TENSOR"


class _Scan:
    """Properties of the tensors of a part of a graph, and the nodes that cannot be run.

    Attributes
    ----------
    problems : list of (node, :class:`str`, :class:`str`)
        Nodes, kind of the model, and reason with remedy.
    results : set of names
        Tensors that can be computed from the start, or from the last node that cannot be run, with
        at least one matrix: parts can end with them.
    """

    def __init__(self, nodes: Sequence["onnx.NodeProto"], constants: Constants,
                 starts: Iterable[str], ends: Sequence[str], supported: Iterable[str],
                 folded: Container[str], functions: Iterable[str], shapes: Shapes) -> None:
        self._supported = set(supported)
        self._folded = folded
        self._left_out = find_left_out(nodes, constants, ends, shapes)
        self._functions = set(functions)
        self._constants = constants
        self._nodes = nodes
        self._starts = set(starts)
        self._producers = {name: node for node in nodes for name in node.output}
        self._used = {name for node in nodes for name in node.input} | set(ends)
        #: Tensors that depend on the input, and those that depend on a matrix.
        self._computed = set(self._starts)
        self._after_matrix: set[str] = set()
        for node in nodes:
            if node.op_type in _CONTROL or \
                    self._computed & set(data_inputs(node)) and node.op_type not in _SHAPES:
                self._computed |= set(node.output)
            if node.op_type in _MATRICES or self._after_matrix & set(node.input):
                self._after_matrix |= set(node.output)
        #: Tensors that a matrix depends on, and those of which more than the order matters.
        self.before_matrix: set[str] = set()
        self._changed: set[str] = set()
        for node in reversed(nodes):
            if node.op_type in _MATRICES or self.before_matrix & set(node.output):
                self.before_matrix |= set(node.input)
            is_copy = node.op_type in NEUTRAL or re.fullmatch(CHOICES, operation_of(node)) \
                or keeps_order(node, shapes)
            if not is_copy or self._changed & set(node.output):
                self._changed |= set(node.input)
        self.results: set[str] = set()
        #: Tensors after a node that cannot be run, without a matrix between.
        self._spoilt: set[str] = set()
        self.problems: list[tuple[onnx.NodeProto, str, str]] = []
        for node in nodes:
            found = self._problem(node)
            if found is not None:
                self.problems.append((node, *found))
            # The scores of a classifier remain if only its choice of the class cannot be run.
            is_run = found is None or operation_of(node) in SCORES and len(
                self._computed & set(node.input)) == 1
            if is_run and (node.op_type in _MATRICES or self.results & set(node.input)):
                self.results.add(result_of(node))
            elif found is not None or self._spoilt & set(node.input):
                self._spoilt |= set(node.output)

    def after(self, names: Iterable[str]) -> set[str]:
        """Find tensors that depend on one of these, and these."""
        found = set(names)
        for node in self._nodes:
            if found & set(node.input):
                found |= set(node.output)
        return found

    def last_of_all(self, ends: Sequence[str]) -> str | None:
        """Find the last result on which all ends depend, and nothing else of the input."""
        uses = Counter(name for node in self._nodes for name in set(node.input) & self._computed)
        uses.update(ends)
        live = self._starts & set(uses)
        last = None
        for node in self._nodes:
            inputs = set(node.input) & self._computed
            if not inputs:
                continue
            uses.subtract(inputs)
            live -= {name for name in inputs if not uses[name]}
            # The class is chosen by the scores.
            names = {result_of(node)} if operation_of(node) in SCORES else \
                {name for name in node.output if name in uses}
            if not live and names <= self.results and len(names) == 1:
                last, = names
            live |= names
        return last and self._end_of(last)

    def is_other(self, node: "onnx.NodeProto") -> bool:
        """Check if an operation is not among the supported ones."""
        return operation_of(node) not in self._supported

    def _problem(self, node: "onnx.NodeProto") -> tuple[str, str] | None:
        """Describe why a node cannot be run: kind of the model, and reason with remedy."""
        operation = operation_of(node)
        data = [name for name in data_inputs(node) if name in self._computed]
        if operation in self._functions:
            return "", ("it is a function of the model: onnx.inliner.inline_local_functions "
                        "replaces it by its operations")
        if set(filter(None, node.output)) <= set(self._left_out) or not data and (
                operation in self._folded or self._is_constant(node)):
            return None
        if operation not in self._supported:
            kind, reason = next((found for pattern, found in REASONS.items()
                                 if re.fullmatch(pattern, operation)), ("", ""))
            if kind == "quantised":    # all parts are
                return kind, reason
            if not data and operation not in _CONTROL:
                return kind, self._join("", node, data)
            is_between = self._after_matrix & set(data) and self.before_matrix & set(node.output)
            if re.fullmatch(ACTIVATIONS, operation) and not is_between:
                reason = _ON_HOST
            return kind, self._join(reason, node, data)
        if not data:
            return "", self._join("must compute from the input", node, data)
        result = result_of(node)
        others = [name for name in node.output
                  if name in self._used and name != result and name not in self._left_out]
        if others and operation not in _MANY_OUTPUTS:
            if operation in SCORES:
                return "", (f"{others[0]!r} must be left out: choose the class by its score on the "
                            f"host, and end with the scores, last={result!r}")
            return "", self._join(f"must be used by its output {result!r}, not {others[0]!r}",
                                  node, data)
        if operation == "Gather" and node.input[0] not in data:
            return "", self._join("look up elements on the host", node, data)
        if len(data) > 1 and operation in ONE_INPUT:
            kind, reason = ONE_INPUT[operation]
            return kind, self._join("must have one computed input besides constants, not "
                                    f"{len(data)}, as {reason}", node, data)
        return None

    def _is_constant(self, node: "onnx.NodeProto") -> bool:
        """Check if a node without a computed input gives a constant of the graph."""
        return node.output[0] in self._constants or operation_of(node) in _SHAPES

    def _join(self, reason: str, node: "onnx.NodeProto", data: Sequence[str], joint: str = "; "
              ) -> str:
        """Add to a reason how to choose the part before or after a node."""
        if not data and operation_of(node) in _CONTROL:
            advice = ""
        elif not data:
            advice = "it computes a constant: onnxruntime's basic optimisations store some of them"
        else:
            parts = []
            if end := next(filter(None, map(self._end_of, data)), None):
                parts.append(f"end before it with last={end!r}")
            if outputs := [name for name in node.output if name in self.before_matrix]:
                parts.append(f"begin after it with first={outputs[0]!r}")
            # A node before it that cannot be run either has advice of its own.
            advice = ", or ".join(parts) or ("" if reason and self._spoilt & set(data) else CHOOSE)
        return joint.join(filter(None, (reason, advice)))

    def _end_of(self, name: str) -> str | None:
        """Find a tensor to end with, from `name` on towards the start: one of unchanged order."""
        while name in self.results and self._flips(self._producers[name]):
            name = next(each for each in self._producers[name].input if each in self._computed)
        return name if name in self.results else None

    def _flips(self, node: "onnx.NodeProto") -> bool:
        """Check if a node negates numbers, so that the greatest result would be the least."""
        if node.op_type not in _FLIPPING or node.domain not in STANDARD:
            return False
        constant = next((name for name in node.input if name in self._constants), None)
        if constant is None:
            return False
        if node.op_type == "Sub":
            return bool(node.input[0] == constant)
        return bool((self._constants.array(constant) < 0).any())
