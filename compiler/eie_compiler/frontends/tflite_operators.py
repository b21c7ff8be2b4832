"""Operators of TensorFlow Lite, translated to operations of ONNX."""

import math
from collections.abc import Callable

import numpy as np

from .common import FrontEndError
from .tflite_layers import LAYERS
from .tflite_layout import axis_of, is_mixed, order_of
from .tflite_site import Site

__all__ = ["OPERATORS", "translate"]

#: Operators that compute on integers without their scales.
_UNSCALED = ("AVERAGE_POOL_2D", "EXPAND_DIMS", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "PAD", "PADV2",
             "REDUCE_MAX", "RESHAPE", "SQUEEZE", "TRANSPOSE")


def translate(site: Site) -> None:
    """Add the nodes of an operator."""
    kind = site.operator.kind
    if kind == "DEQUANTIZE" and site.is_constant():
        site.writer.copy_constant(site.output.index, site.constant(0))
        return
    if kind in _UNSCALED:
        site.check_scales()
    site.writer.finish(site.output.index, OPERATORS[kind](site))


def _copy(site: Site) -> str:
    """Handle QUANTIZE and DEQUANTIZE: tensors are real numbers, rounded where they arise."""
    return site.value()


def _reshape(site: Site) -> str:
    """Handle RESHAPE, SQUEEZE and EXPAND_DIMS, whose result has the shape."""
    tensor, output = site.tensor(), site.output
    if is_mixed(tensor.shape) and output.shape == (tensor.shape[0], math.prod(tensor.shape[1:])):
        site.writer.images[output.index] = site.value(), tensor.shape
    return site.writer.reshape(site.value(), tensor.shape, output.shape, output.name)


def _transpose(site: Site) -> str:
    rank, order = len(site.tensor().shape), site.integers(1)
    if sorted(order) != list(range(rank)):
        raise FrontEndError(f"order must have each of the {rank} axes once, not be {order}")
    return site.node("Transpose", site.value(),
                     perm=[axis_of(order[axis], rank) for axis in order_of(rank)])


def _pad(site: Site) -> str:
    rank, pads = len(site.tensor().shape), site.integers(1)
    if len(pads) != 2 * rank or min(pads) < 0:
        raise FrontEndError(f"padding must be two sizes for each of {rank} axes, not {pads}")
    if site.has(2) and site.constant(2).numbers.any():
        raise FrontEndError("padding must be with zeros: pad with other numbers on the host")
    ends = [pads[2 * axis + end] for end in (0, 1) for axis in order_of(rank)]
    return site.node("Pad", site.value(), site.array("pads", np.array(ends)))


def _concatenate(site: Site) -> str:
    options, rank = site.options("ConcatenationOptions"), len(site.output.shape)
    values = [site.value(place) for place in range(len(site.operator.inputs))]
    value = site.node("Concat", *values, axis=_place(options("Axis"), rank))
    return site.activate(value, options("FusedActivationFunction"))


def _softmax(site: Site) -> str:
    if not site.options("SoftmaxOptions")("Beta") > 0:
        raise FrontEndError("beta must be above 0")
    return site.node("Softmax", site.value(), axis=_place(-1, len(site.tensor().shape)))


def _reduce(site: Site) -> str:
    """Handle MEAN, SUM and REDUCE_MAX."""
    operation = {"MEAN": "ReduceMean", "REDUCE_MAX": "ReduceMax", "SUM": "ReduceSum"}
    shape, output = site.tensor().shape, site.output
    rank = len(shape)
    axes = sorted({_place(axis, rank) for axis in site.integers(1)})
    places = {order_of(rank)[axis] for axis in axes}
    is_kept = bool(site.options("ReducerOptions")("KeepDims"))
    # Without the height and width, the other axes of images remain in their order.
    is_plain = is_kept or rank != 4 or {1, 2} <= places
    value = site.node(operation[site.operator.kind], site.value(),
                      site.array("axes", np.array(axes)), keepdims=int(is_kept or not is_plain))
    if is_plain:
        return value
    kept = [1 if axis in places else size for axis, size in enumerate(shape)]
    return site.writer.reshape(value, kept, output.shape, output.name)


def _place(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise FrontEndError(f"axis must be within the {rank} of the tensor, not {axis}")
    return axis_of(axis, rank)


def _pair(operation: str, options: str | None = None) -> Callable[[Site], str]:
    """Make the handler of an operation of two tensors, or of a tensor and a constant."""
    def handle(site: Site) -> str:
        value = site.node(operation, *(site.broadcast(place) for place in (0, 1)))
        return value if options is None else site.activate(
            value, site.options(options)("FusedActivationFunction"))
    return handle


def _single(operation: str) -> Callable[[Site], str]:
    """Make the handler of an operation of one tensor."""
    return lambda site: site.node(operation, site.value())


def _negate(site: Site) -> str:
    if site.output.quantisation is not None:
        raise FrontEndError("operand must be of floating point, as TensorFlow Lite negates "
                            "integers without their zero point: subtract from 0 by SUB")
    return site.node("Neg", site.value())


def _limited(low: float, high: float | None = None) -> Callable[[Site], str]:
    """Make the handler of limits."""
    return lambda site: site.clip(site.value(), low, high)


def _leaky_relu(site: Site) -> str:
    return site.node("LeakyRelu", site.value(), alpha=site.options("LeakyReluOptions")("Alpha"))


def _prelu(site: Site) -> str:
    return site.node("PRelu", site.value(), site.broadcast(1))


#: Operators that are read.
OPERATORS: dict[str, Callable[[Site], str]] = {
    **LAYERS, "ABS": _single("Abs"), "ADD": _pair("Add", "AddOptions"),
    "CONCATENATION": _concatenate, "DEQUANTIZE": _copy, "DIV": _pair("Div", "DivOptions"),
    "EXPAND_DIMS": _reshape, "HARD_SWISH": _single("HardSwish"), "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _single("Sigmoid"), "MAXIMUM": _pair("Max"), "MEAN": _reduce,
    "MINIMUM": _pair("Min"), "MUL": _pair("Mul", "MulOptions"), "NEG": _negate,
    "PAD": _pad, "PADV2": _pad, "PRELU": _prelu, "QUANTIZE": _copy, "REDUCE_MAX": _reduce,
    "RELU": _limited(0.0), "RELU6": _limited(0.0, 6.0), "RELU_0_TO_1": _limited(0.0, 1.0),
    "RELU_N1_TO_1": _limited(-1.0, 1.0), "RESHAPE": _reshape, "SOFTMAX": _softmax,
    "SQUEEZE": _reshape, "SUB": _pair("Sub", "SubOptions"), "SUM": _reduce,
    "TANH": _single("Tanh"), "TRANSPOSE": _transpose}
