"""Operations of an ONNX graph that cannot be run, all at once and each with its remedy."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import onnx

from .common import FrontEndError
from .onnx_constants import STANDARD, Constants, label

__all__ = ["CHOOSE", "SHAPING", "check_operations", "operation_of"]

#: Advice in messages: how to choose a part of the model.
CHOOSE = "choose a part of the graph with first=TENSOR and last=TENSOR"

#: Operations with further inputs that may be computed: only the shape of the result matters.
SHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Dropout")

#: Operations that change no number.
_NEUTRAL = ("Identity", "Cast", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze")

#: Operations that keep the order of the results, omitted at the end.
_ORDER_KEEPING = ("Softmax", "LogSoftmax", "Sigmoid")

#: Operations that choose the class.
_CHOICES = r"ArgMax|TopK|ai\.onnx\.ml\.(ZipMap|ArrayFeatureExtractor|LabelEncoder)"

_MATRICES = ("Gemm", "MatMul", "Conv")

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
    r"Clip|Tanh|Sigmoid|(Leaky|P|Thresholded)Relu|S?[Ee]lu|Celu|(.*\.)?\w*Gelu|Hard\w+|Mish|Softplus|"
    "Softsign|Erf|Swish": ("", "the only activation is Relu: train with it"),
    r"(.*\.)?(\w+Normalization|LRN|Normalizer)|ReduceL[12]": (
        "", "its scale depends on the input, unlike that of BatchNormalization"),
    _CHOICES: ("", "take the scores, and choose the class on the host"),
    r"Gather\w*|OneHot": ("", "look up elements on the host"),
}

#: Operations of two computed inputs -> kind of the model, and reason.
_JOINS = {
    "Add": ("residual", "a connection around layers is not run"),
    "Sub": ("residual", "a connection around layers is not run"),
    "MatMul": ("attention", "one factor must be constant, unlike in attention"),
}


def operation_of(node: "onnx.NodeProto") -> str:
    """Name the operation of a node, after its domain unless that is the standard one."""
    return str(node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}")


def check_operations(nodes: Sequence["onnx.NodeProto"], constants: Constants, starts: Iterable[str],
                     ends: Sequence[str], supported: Iterable[str], *, choose_end: bool) -> None:
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

    Raises
    ------
    FrontEndError
        If one is not; the message lists all of them.
    """
    scan = _Scan(nodes, constants, starts, ends, supported)
    problems = [(node, *found) for node in nodes if (found := scan.problem(node)) is not None]
    outputs = (f"graph must have one output, not {len(ends)}: "
               f"{_choose_end(scan, ends, [node for node, *_ in problems])}") if choose_end else ""
    if not problems and not outputs:
        return
    if len(problems) == 1 and not outputs:
        node, kind, text = problems[0]
        is_other = operation_of(node) not in scan.supported and kind != _END
        model = f"model is {kind}: " if kind not in ("", _END) else ""
        raise FrontEndError(f"{label(node)}: {model}{scan.must_be() if is_other else ''}{text}")
    lines = [outputs] if outputs else []
    if problems:
        kinds = [kind for kind in dict.fromkeys(kind for _, kind, _ in problems)
                 if kind not in ("", _END)]
        model = f"{' and '.join(kinds)} model" if kinds else "model"
        lines.append(f"{scan.must_be()}{len(problems)} nodes of this {model} cannot be run:")
    counts: Counter[str] = Counter()
    for node, _, text in problems:
        counts[node.op_type] += 1
        if counts[node.op_type] <= _MAX_LISTED:
            lines.append(f"  {label(node)}: {text}")
    lines += [f"  and {count - _MAX_LISTED} more {operation} nodes"
              for operation, count in counts.items() if count > _MAX_LISTED]
    raise FrontEndError("\n".join(lines))


def _choose_end(scan: "_Scan", ends: Sequence[str], problems: Sequence["onnx.NodeProto"]) -> str:
    """Advise which tensor to end with: an output that can be computed, or one before problems."""
    lost = scan.after([name for node in problems for name in node.output])
    possible = [name for name in ends if name not in lost]
    if not possible and not lost & scan.before_matrix:
        last = next(name for name in problems[0].input if name in scan.computed)
        if last in scan.after_matrix and all(
                scan.after([last]) & set(node.input) for node in problems):
            return f"end before all that cannot be run, with last={last!r}"
    return f"choose one of {', '.join(map(repr, possible or ends))} with last=TENSOR"


class _Scan:
    """Properties of the tensors of a part of a graph."""

    def __init__(self, nodes: Sequence["onnx.NodeProto"], constants: Constants,
                 starts: Iterable[str], ends: Sequence[str], supported: Iterable[str]) -> None:
        self.supported = sorted(supported)
        self._constants = constants
        self._nodes = nodes
        self._used = {name for node in nodes for name in node.input} | set(ends)
        #: Tensors that depend on the input, and those that depend on a matrix.
        self.computed = set(starts)
        self.after_matrix: set[str] = set()
        for node in nodes:
            if self.computed & set(node.input):
                self.computed |= set(node.output)
            if node.op_type in _MATRICES or self.after_matrix & set(node.input):
                self.after_matrix |= set(node.output)
        #: Tensors that a matrix depends on, and those of which more than the order matters.
        self.before_matrix: set[str] = set()
        self._changed: set[str] = set()
        for node in reversed(nodes):
            if node.op_type in _MATRICES or self.before_matrix & set(node.output):
                self.before_matrix |= set(node.input)
            is_copy = node.op_type in _NEUTRAL or re.fullmatch(_CHOICES, operation_of(node))
            if not is_copy or self._changed & set(node.output):
                self._changed |= set(node.input)

    def after(self, names: Iterable[str]) -> set[str]:
        """Find tensors that depend on one of these, and these."""
        found = set(names)
        for node in self._nodes:
            if found & set(node.input):
                found |= set(node.output)
        return found

    def must_be(self) -> str:
        """Name the supported operations, at the beginning of a message."""
        return f"operation must be one of {', '.join(self.supported)}; "

    def problem(self, node: "onnx.NodeProto") -> tuple[str, str] | None:
        """Describe why a node cannot be run: kind of the model, and reason with remedy."""
        operation = operation_of(node)
        names = node.input[:1] if operation in SHAPING else node.input
        data = [name for name in names if name in self.computed]
        if operation in _ORDER_KEEPING and data and not self._changed & set(node.output):
            return _END, ("must be left out; its results have the order of its inputs: end before "
                           f"it with last={data[0]!r}")
        if operation not in self.supported:
            kind, reason = next((found for pattern, found in _REASONS.items()
                                 if re.fullmatch(pattern, operation)), ("", ""))
            if kind == "quantised":    # all parts are
                return kind, reason
            return kind, f"{reason}{'; ' * bool(reason)}{self._part(node, data)}"
        if not data:
            return "", f"must compute from the input; {self._part(node, data)}"
        if self._used & set(node.output[1:]):
            return "", (f"must be used by its first output, not {node.output[1]!r}; "
                        f"{self._part(node, data)}")
        if len(data) > 1:
            kind, reason = _JOINS.get(operation, ("branching", "branches are not run"))
            return kind, (f"must have one computed input besides constants, not {len(data)}, as "
                          f"{reason}; {self._part(node, data)}")
        if operation == "Conv" and data[0] in self.after_matrix and any(
                size != 1 for size in self._constants.shape(node.input[1])[2:]):
            return "", ("convolution after another layer must be 1 × 1; begin at it with "
                        f"first={data[0]!r}, or end before it with last={data[0]!r}")
        return None

    def _part(self, node: "onnx.NodeProto", data: Sequence[str]) -> str:
        """Advise how to choose the part before or after a node."""
        if not data:
            return "it computes a constant: onnxruntime's basic optimisations store some of them"
        parts = []
        if data[0] in self.after_matrix:
            parts.append(f"end before it with last={data[0]!r}")
        if outputs := [name for name in node.output if name in self.before_matrix]:
            parts.append(f"begin after it with first={outputs[0]!r}")
        return ", or ".join(parts) or CHOOSE
