"""Operations of an ONNX graph that cannot be run, all at once and each with its remedy."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import onnx

from .common import FrontEndError
from .onnx_constants import STANDARD, Constants, attributes, label

__all__ = ["CHOOSE", "NEUTRAL", "SHAPING", "check_operations", "operation_of", "result_of"]

#: Advice in messages: how to choose a part of the model.
CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"

#: Operations with further inputs that may be computed: only the shape of the result matters.
SHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Dropout")

#: Operations that change no number.
NEUTRAL = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")

#: Operations that keep the order of the results, omitted at the end.
_ORDER_KEEPING = ("Softmax", "LogSoftmax", "Sigmoid")

#: Operations that choose the class as well as compute its scores -> place of the scores.
_SCORES = {"ai.onnx.ml.LinearClassifier": 1}

#: Operations that choose the class.
_CHOICES = r"ArgMax|TopK|ai\.onnx\.ml\.(ZipMap|ArrayFeatureExtractor|LabelEncoder)"

_MATRICES = ("Gemm", "MatMul", "Conv", "LinearClassifier", "LinearRegressor", "SVMRegressor")

#: Operations that invert the order of numbers if their constant says so.
_FLIPPING = ("Mul", "Div", "Sub")

_ACTIVATIONS = (r"Clip|Tanh|Sigmoid|(Leaky|P|Thresholded)Relu|S?[Ee]lu|Celu|(.*\.)?\w*Gelu|Hard\w+|"
                r"Mish|Softplus|Softsign|Erf|Swish|Softmax|LogSoftmax|Exp")

#: Kind of a problem that says nothing of the model.
_END = "end"

#: Nodes of one operation that a message lists.
_MAX_LISTED = 3

#: Pattern of operations -> kind of the model, empty if it says nothing, and reason with remedy.
_REASONS = {
    "LSTM|GRU|RNN|Scan|Loop": (
        "recurrent", "keeps a state between steps: run the steps on the host, with its matrices "
                     "as layers of an .npz file"),
    r".*([Qq]uantize|Integer|NBits|\.QAttention|QLinear).*|.*\bQ(Gemm|Ordered\w+)": (
        "quantised", "export the model before its quantisation, as `eie compress` quantises it"),
    "Concat|Sum|Split": ("branching", "branches are not run"),
    "If": ("branching", "control flow is not run"),
    "(Max|Average|GlobalAverage|GlobalMax|Lp)Pool|Reduce(Mean|Max)": ("", "pooling is not run"),
    r"(.*\.)?(\w+Normalization|LRN|Normalizer)|ReduceL[12]": (
        "", "its scale depends on the input, unlike that of BatchNormalization"),
    r"ai\.onnx\.ml\.TreeEnsemble\w*": ("", "trees have no matrices: fit a perceptron"),
    r"ai\.onnx\.ml\.SVM\w+": ("", "only SVMRegressor is run: fit LinearSVC, which has a score for "
                                   "each class"),
    _ACTIVATIONS: ("", "the only activation is Relu: train with it"),
    _CHOICES: ("", "take the scores, and choose the class on the host"),
    r"Gather\w*|OneHot": ("", "look up elements on the host"),
}

#: Reason of an activation that is not between layers.
_ON_HOST = "compute it on the host"

#: Operations of two computed inputs -> kind of the model, and reason.
_JOINS = {
    "Add": ("residual", "a connection around layers is not run"),
    "Sub": ("residual", "a connection around layers is not run"),
    "MatMul": ("attention", "one factor must be constant, unlike in attention"),
}


def operation_of(node: "onnx.NodeProto") -> str:
    """Name the operation of a node, after its domain unless that is the standard one."""
    return str(node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}")


def result_of(node: "onnx.NodeProto") -> str:
    """Name the tensor of the results of a node: its first output, or the scores of classes."""
    return str(node.output[_SCORES.get(operation_of(node), 0)])


def check_operations(nodes: Sequence["onnx.NodeProto"], constants: Constants, starts: Iterable[str],
                     ends: Sequence[str], supported: Iterable[str], *, choose_end: bool,
                     functions: Iterable[str] = ()) -> None:
    """Check that nodes form a chain of supported operations.

    Parameters
    ----------
    nodes : sequence of :class:`onnx.NodeProto`
        All nodes between the starts and the ends, each after those that compute its inputs.
    constants : :class:`~.onnx_constants.Constants`
        Constants of the graph.
    starts, ends : names of tensors
        Inputs and outputs of the part.
    supported : names of operations
        Operations, as :func:`operation_of` names them.
    choose_end : :class:`bool`
        True if one of the ends must be chosen.
    functions : names of operations
        Functions that the model defines.

    Raises
    ------
    FrontEndError
        If one is not; the message lists all of them.
    """
    scan = _Scan(nodes, constants, starts, ends, supported, functions)
    problems = scan.problems
    outputs = (f"graph must have one output, not {len(ends)}: {_choose_end(scan, ends)}"
               ) if choose_end else ""
    if not problems and not outputs:
        return
    if len(problems) == 1 and not outputs:
        node, kind, text = problems[0]
        model = f"model is {kind}: " if kind not in ("", _END) else ""
        raise FrontEndError(
            f"{label(node)}: {model}{scan.must_be() if scan.is_other(node, kind) else ''}{text}")
    lines = [outputs] if outputs else []
    if problems:
        kinds = [kind for kind in dict.fromkeys(kind for _, kind, _ in problems)
                 if kind not in ("", _END)]
        model = f"{' and '.join(kinds)} model" if kinds else "model"
        count = f"{len(problems)} node{'s' * (len(problems) > 1)}"
        lines.append(f"{scan.must_be()}{count} of this {model} cannot be run:")
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
                 functions: Iterable[str]) -> None:
        self._supported = sorted(supported)
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
            if self._computed & set(node.input):
                self._computed |= set(node.output)
            if node.op_type in _MATRICES or self._after_matrix & set(node.input):
                self._after_matrix |= set(node.output)
        #: Tensors that a matrix depends on, and those of which more than the order matters.
        self.before_matrix: set[str] = set()
        self._changed: set[str] = set()
        for node in reversed(nodes):
            if node.op_type in _MATRICES or self.before_matrix & set(node.output):
                self.before_matrix |= set(node.input)
            is_copy = node.op_type in NEUTRAL or re.fullmatch(_CHOICES, operation_of(node)) \
                or _keeps_order(node)
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
            is_run = found is None or operation_of(node) in _SCORES and len(
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
            names = {result_of(node)} if operation_of(node) in _SCORES else \
                {name for name in node.output if name in uses}
            if not live and names <= self.results and len(names) == 1:
                last, = names
            live |= names
        return last and self._end_of(last)

    def must_be(self) -> str:
        """Name the supported operations, at the beginning of a message."""
        return f"operation must be one of {', '.join(self._supported)}; "

    def is_other(self, node: "onnx.NodeProto", kind: str) -> bool:
        """Check if an operation is not among the supported ones, which are to be named."""
        return operation_of(node) not in self._supported and kind != _END

    def _problem(self, node: "onnx.NodeProto") -> tuple[str, str] | None:
        """Describe why a node cannot be run: kind of the model, and reason with remedy."""
        operation = operation_of(node)
        names = node.input[:1] if operation in SHAPING else node.input
        data = [name for name in names if name in self._computed]
        if operation in self._functions:
            return "", ("is a function of the model: onnx.inliner.inline_local_functions replaces "
                        "it by its operations")
        if _keeps_order(node) and data and not self._changed & set(node.output):
            return _END, self._join("must be left out; its results have the order of its inputs",
                                    node, data, ": ")
        if operation not in self._supported:
            kind, reason = next((found for pattern, found in _REASONS.items()
                                 if re.fullmatch(pattern, operation)), ("", ""))
            if kind == "quantised":    # all parts are
                return kind, reason
            is_between = self._after_matrix & set(data) and self.before_matrix & set(node.output)
            if re.fullmatch(_ACTIVATIONS, operation) and not is_between:
                reason = _ON_HOST
            return kind, self._join(reason, node, data)
        if not data:
            return "", self._join("must compute from the input", node, data)
        result = result_of(node)
        if others := [name for name in node.output if name != result and name in self._used]:
            if operation in _SCORES:
                return "", (f"{others[0]!r} must be left out: choose the class by its score on the "
                            f"host, and end with the scores, last={result!r}")
            return "", self._join(f"must be used by its output {result!r}, not {others[0]!r}",
                                  node, data)
        if len(data) > 1:
            kind, reason = _JOINS.get(operation, ("branching", "branches are not run"))
            return kind, self._join("must have one computed input besides constants, not "
                                    f"{len(data)}, as {reason}", node, data)
        if operation == "Conv" and data[0] in self._after_matrix and any(
                size != 1 for size in self._constants.shape(node.input[1])[2:]):
            parts = [f"begin at it with first={data[0]!r}"]
            if end := self._end_of(data[0]):
                parts.append(f"end before it with last={end!r}")
            return "", f"convolution after another layer must be 1 × 1; {', or '.join(parts)}"
        return None

    def _join(self, reason: str, node: "onnx.NodeProto", data: Sequence[str], joint: str = "; "
              ) -> str:
        """Add to a reason how to choose the part before or after a node."""
        if not data:
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


def _keeps_order(node: "onnx.NodeProto") -> bool:
    """Check if the results of a node have the order of its inputs."""
    operation = operation_of(node)
    if operation == "ai.onnx.ml.Normalizer":    # the norm MAX may be negative
        return attributes(node).get("norm", b"MAX") in (b"L1", b"L2")
    return operation in _ORDER_KEEPING and attributes(node).get("axis", -1) != 0
