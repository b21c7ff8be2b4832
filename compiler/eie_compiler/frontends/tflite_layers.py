"""Convolutions, fully connected layers and pools of TensorFlow Lite, translated to ONNX."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tflite

from .common import FrontEndError
from .tflite_constants import Constant
from .tflite_layout import is_mixed
from .tflite_site import Site

__all__ = ["LAYERS"]

#: Reader of the options of an operator by field.
Options = Callable[[str], Any]

#: Padding -> that of ONNX: of an odd number of zeros, TensorFlow has the more at the end.
_PADDING = {tflite.Padding.SAME: "SAME_UPPER", tflite.Padding.VALID: "VALID"}

#: Orders of the axes of weights in ONNX: outputs, channels of a group, height, width.
_CONV = (0, 3, 1, 2)
_DEPTHWISE = (3, 0, 1, 2)


def _convolution(site: Site) -> str:
    options = site.options("Conv2DOptions")
    return _convolve(site, options, _weights(site, 4), _CONV)


def _depthwise(site: Site) -> str:
    options = site.options("DepthwiseConv2DOptions")
    weights = _weights(site, 4, axis=3)
    if weights.array.shape[0] != 1:
        raise FrontEndError("weights of a depthwise convolution must be of shape (1, height, "
                            f"width, outputs), not {weights.array.shape}")
    return _convolve(site, options, weights, _DEPTHWISE)


def _convolve(site: Site, options: Options, weights: Constant, order: tuple[int, ...]) -> str:
    value, channels = site.value(), _image_shape(site)[3]
    weights = weights.transpose(order)
    per_group = weights.array.shape[1]
    if per_group < 1 or channels % per_group:
        raise FrontEndError(f"weights must be of the {channels} channels of the images, or of "
                            f"groups of them, not of {per_group}")
    value = site.node("Conv", value, site.parameter(1, weights), *_bias(site, weights),
                      group=channels // per_group, **_geometry(options),
                      dilations=[options("DilationHFactor"), options("DilationWFactor")])
    return site.activate(value, options("FusedActivationFunction"))


def _pool(site: Site) -> str:
    options = site.options("Pool2DOptions")
    _image_shape(site)
    operation = {"AVERAGE_POOL_2D": "AveragePool", "MAX_POOL_2D": "MaxPool"}[site.operator.kind]
    value = site.node(operation, site.value(), **_geometry(options),
                      kernel_shape=[options("FilterHeight"), options("FilterWidth")])
    return site.activate(value, options("FusedActivationFunction"))


def _image_shape(site: Site) -> tuple[int, ...]:
    shape = site.tensor().shape
    if len(shape) != 4:
        raise FrontEndError(f"operand must have four axes, not shape {shape}")
    return shape


def _geometry(options: Options) -> dict[str, Any]:
    padding = options("Padding")
    if padding not in _PADDING:
        raise FrontEndError(f"padding must be SAME or VALID, not {padding}")
    return {"auto_pad": _PADDING[padding], "strides": [options("StrideH"), options("StrideW")]}


def _fully_connected(site: Site) -> str:
    options = site.options("FullyConnectedOptions")
    if options("WeightsFormat") != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise FrontEndError("weights must be in their default order: convert the model again")
    weights, tensor = _weights(site, 2), site.tensor()
    n_outputs, n_inputs = weights.array.shape
    size = math.prod(tensor.shape)
    if n_inputs < 1 or size % n_inputs or not tensor.shape:
        raise FrontEndError(f"weights must have columns for the elements of {tensor.shape}, not "
                            f"{n_inputs}")
    rows = (size // n_inputs, n_inputs)
    is_kept = options("KeepNumDims") and len(tensor.shape) > 2
    if is_kept and len(tensor.shape) == 4:    # the channels of each pixel
        weights = weights.with_pixel()
        value = site.node("Conv", site.value(), site.parameter(1, weights), *_bias(site, weights))
    elif is_kept:
        value = site.node("MatMul", site.value(), site.parameter(1, weights.transpose((1, 0))))
        value = site.node("Add", value, *_bias(site, weights)) if site.has(2) else value
    else:
        name, shape = site.writer.images.get(tensor.index, ("", tensor.shape))
        if is_mixed(shape) and math.prod(shape[1:]) == n_inputs:
            # The columns are put in the order of the elements in ONNX.
            places = np.arange(n_inputs).reshape(shape[1:]).transpose(2, 0, 1).ravel()
            weights = weights.take_columns(places)
            value = site.writer.reshape_as_it_is(name or site.value(), rows,
                                                 f"{site.output.name}.vectors")
        else:
            value = site.writer.reshape(site.value(), tensor.shape, rows,
                                        f"{site.output.name}.vectors")
        value = site.node("Gemm", value, site.parameter(1, weights), *_bias(site, weights),
                          transB=1)
        value = site.writer.reshape(value, (rows[0], n_outputs), site.output.shape,
                                    site.output.name)
    return site.activate(value, options("FusedActivationFunction"))


def _weights(site: Site, rank: int, axis: int = 0) -> Constant:
    """Get the weights, with the outputs along an axis.

    A note says if they are integers whose operands the interpreter rounds by itself.
    """
    if site.is_constant():
        raise FrontEndError("operand must be computed, not a constant")
    weights = site.constant(1)
    if weights.array.ndim != rank:
        raise FrontEndError(f"weights must have {rank} axes, not shape {weights.array.shape}")
    quantisation = weights.quantisation
    if quantisation is not None and quantisation.scale.size > 1 and quantisation.axis != axis:
        raise FrontEndError(f"weights must have a scale for each output, along axis {axis}, not "
                            f"{quantisation.axis}")
    if site.tensor(1).quantisation is not None and site.tensor().quantisation is None:
        site.note("weights are integers and activations numbers: TensorFlow Lite rounds the "
                  "activations of layers by a scale of each inference, which is left out")
    return weights


def _bias(site: Site, weights: Constant) -> list[str]:
    """Add the bias, if there is one; integers have the scale of the products."""
    if not site.has(2):
        return []
    bias, operand = site.constant(2), site.tensor().quantisation
    n_outputs = len(weights.array)
    if bias.array.size != n_outputs:
        raise FrontEndError(f"bias must have {n_outputs} elements, not {bias.array.size}")
    bias = bias.flatten()
    if bias.quantisation is not None and operand is not None and weights.quantisation is not None:
        with np.errstate(over="ignore", under="ignore"):    # 0 and infinity are refused later
            bias = bias.with_scale(operand.scale * weights.quantisation.scale)
    return [site.parameter(2, bias)]


#: Operators with a geometry or weights.
LAYERS: dict[str, Callable[[Site], str]] = {
    "AVERAGE_POOL_2D": _pool, "CONV_2D": _convolution, "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected, "MAX_POOL_2D": _pool}
