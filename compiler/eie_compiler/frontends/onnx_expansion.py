"""Operations of ONNX on integers, as those on numbers between QuantizeLinear and DequantizeLinear.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import onnx

from .onnx_operations import operation_of

__all__ = ["EXPANDED", "expand"]

#: Domain of quantisation in QONNX, and its former names.
_QONNX = "qonnx.custom_op.general"
_FORMER = ("onnx.brevitas", "finn.custom_op.general")

#: Operations of other names or domains -> the same ones, and their domain.
_RENAMED = {
    **{f"com.microsoft.{name}": (name, "") for name in ("QuantizeLinear", "DequantizeLinear")},
    **{f"{domain}.{name}": (name, _QONNX) for domain in _FORMER for name in ("Quant",
                                                                             "BipolarQuant")},
    f"{_QONNX}.IntQuant": ("Quant", _QONNX)}


class _Form(NamedTuple):
    """Inputs of an operation on integers.

    Attributes
    ----------
    operation : :class:`str`
        Operation on numbers.
    operands : sequence of :class:`int`
        Place of each operand, which its scale and zero point follow; empty: all from 2 on.
    scale : :class:`int`
        Place of the scale of the result, which its zero point follows.
    axis : :class:`int`
        Axis of the second operand along which it has scales.
    bias : :class:`int`, optional
        Place of a bias in integers, whose scale is the product of those of both operands.
    """

    operation: str
    operands: Sequence[int]
    scale: int
    axis: int = 1
    bias: int | None = None


_FORMS = {
    "QLinearConv": _Form("Conv", (0, 3), 6, 0, 8),
    "QLinearMatMul": _Form("MatMul", (0, 3), 6, -1),
    "com.microsoft.QGemm": _Form("Gemm", (0, 3), 7, -1, 6),
    **{f"com.microsoft.QLinear{name}": _Form(name, (0, 3), 6) for name in ("Add", "Mul")},
    **{f"com.microsoft.QLinear{name}": _Form(name, (0,), 3) for name in (
        "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid")},
    "com.microsoft.QLinearConcat": _Form("Concat", (), 0)}

#: Attributes that are not given.
_NONE, _ONE = onnx.AttributeProto(i=0), onnx.AttributeProto(f=1)

#: Operations that :func:`expand` replaces.
EXPANDED = {*_RENAMED, *_FORMS}


def expand(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Replace operations on integers, and former names of operations.

    Parameters
    ----------
    model : :class:`onnx.ModelProto`
        Model from any source; it is not trusted. It is not modified.
    """
    functions = {f"{each.domain}.{each.name}" for each in model.functions}
    replaced = EXPANDED - functions
    if not any(operation_of(node) in replaced for node in model.graph.node):
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    names = _Names(model.graph)
    for node in model.graph.node:
        operation = operation_of(node)
        if operation not in replaced:
            result.graph.node.append(node)
        elif operation in _RENAMED:
            result.graph.node.append(_renamed(node, *_RENAMED[operation]))
        else:
            result.graph.node.extend(_expanded(node, _FORMS[operation], names))
    versions = {each.domain: each.version for each in model.opset_import}
    if _QONNX not in versions and any(domain in versions for domain in _FORMER):
        result.opset_import.append(onnx.helper.make_opsetid(_QONNX, 1))
    return result


class _Names:
    """Names for new tensors."""

    def __init__(self, graph: "onnx.GraphProto") -> None:
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*graph.input, *graph.initializer)}

    def new(self, name: str) -> str:
        """Make a name that no other tensor has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _renamed(node: "onnx.NodeProto", operation: str, domain: str) -> "onnx.NodeProto":
    result = onnx.NodeProto()
    result.CopyFrom(node)
    result.op_type, result.domain = operation, domain
    return result


def _expanded(node: "onnx.NodeProto", form: _Form, names: _Names) -> Iterator["onnx.NodeProto"]:
    """Write an operation on integers as one on numbers; as itself if that is not possible."""
    options = {each.name: each for each in node.attribute}
    places = form.operands or range(2, len(node.input), 3)
    inputs = {place: name for place, name in enumerate(node.input) if name}
    bias = inputs.get(form.bias or -1)
    needed = {form.scale, *places, *(place + 1 for place in places)}
    # Images with channels last, and a scaled product with a bias, have no such form.
    is_scaled = bias and options.get("alpha", _ONE).f != 1
    if not needed <= inputs.keys() or options.pop("channels_last", _NONE).i or is_scaled \
            or not any(node.output[:1]):
        yield node
        return
    result = node.output[0]
    axes = [1, 0 if options.get("transB", _NONE).i else form.axis]
    operands = []
    for number, place in enumerate(places):
        operands.append(names.new(f"{result}.operand{number}"))
        yield _make("DequantizeLinear", node, inputs, range(place, place + 3), operands[-1],
                    axes[min(number, 1)])
    if bias:
        factors = {at: inputs[place + 1] for at, place in enumerate(places)}
        scale = names.new(f"{result}.scale")
        operands.append(names.new(f"{result}.bias"))
        yield _make("Mul", node, factors, range(2), scale)
        yield _make("DequantizeLinear", node, {0: bias, 1: scale}, range(2), operands[-1], 0)
    exact = names.new(f"{result}.exact")
    made = _make(form.operation, node, dict(enumerate(operands)), range(3 + len(operands)), exact)
    made.attribute.extend(options.values())
    yield made
    yield _make("QuantizeLinear", node, {form.scale - 1: exact, **{
        place: inputs[place] for place in (form.scale, form.scale + 1) if place in inputs}},
        range(form.scale - 1, form.scale + 2), result)


def _make(operation: str, node: "onnx.NodeProto", inputs: Mapping[int, str], places: range,
          output: str, axis: int = 1) -> "onnx.NodeProto":
    """Make a node of the standard domain with the name of another one."""
    options = {} if axis == 1 else {"axis": axis}
    return onnx.helper.make_node(operation, [inputs[place] for place in places if place in inputs],
                                 [output], node.name, **options)
