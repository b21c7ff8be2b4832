"""Operations of ONNX between numbers and the integers that stand for them.

Integers `q` of a computed tensor are numbers like any others here, so that operations between move
them. What follows from their scales and zero points is left to :mod:`.graph_scales`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from ..graph.operations import Quantise, Sign
from .common import FrontEndError
from .onnx_constants import SMALL
from .onnx_folding import check_copy
from .onnx_site import Site
from .onnx_values import Tensor, Value, show_shape

__all__ = ["QUANTISED"]

Array = NDArray[Any]

_TYPES = onnx.TensorProto

#: Most bits of an integer of QONNX.
_MAX_BITS = 32


class _Parameters(NamedTuple):
    """Scale and zero point: one number each, or one for each element along an axis."""

    scale: Array
    zero: Array

    @property
    def numbers(self) -> tuple[float, int]:
        """Scale and zero point of a computed tensor."""
        for part in self:
            if part.size != 1:
                raise FrontEndError("scale and zero point of a computed tensor must be one number, "
                                    f"not {part.size}: quantise activations per tensor")
        return float(self.scale.item()), int(self.zero.item())


def _parameters(site: Site, shape: tuple[int, ...]) -> _Parameters:
    """Read scale and zero point, in a shape that is broadcast with a tensor of a shape."""
    if site.has(1) and site.values.tensor(site.node.input[1]):
        raise FrontEndError("scale must be a constant, not computed from an input: quantise the "
                            "model statically")
    scale = site.constant(1)
    if site.options.get("block_size", 0) or scale.ndim > 1:
        raise FrontEndError("scale must be one number, or one for each element along an axis, not "
                            f"of shape {show_shape(scale.shape)}: quantise per tensor or per "
                            "channel, without blocks")
    _check_scale(scale)
    zero = site.constant(2) if site.has(2) else np.zeros(scale.shape, np.int64)
    if zero.dtype.kind != "i" or zero.size != scale.size:
        raise FrontEndError(f"zero point must be integers of the shape of the scale, "
                            f"{show_shape(scale.shape)}, not {zero.dtype} of shape "
                            f"{show_shape(zero.shape)}")
    if scale.size == 1:
        return _Parameters(scale.reshape(()), zero.reshape(()))
    axis = site.options.get("axis", 1)
    if not -len(shape) <= axis < len(shape) or shape[axis] != scale.size:
        raise FrontEndError(f"scale must have one number for each element along axis {axis} of "
                            f"shape {show_shape(shape)}, not {scale.size}")
    sizes = [1] * len(shape)
    sizes[axis] = scale.size
    return _Parameters(scale.reshape(sizes), zero.reshape(sizes))


def _check_scale(scale: Array) -> None:
    if scale.dtype.kind != "f" or not np.isfinite(scale).all() or not (scale > 0).all():
        raise FrontEndError("scale must be finite and above 0: quantise the model again, with data "
                            "that reaches all layers")


def _quantize_linear(site: Site) -> Value:
    value = site.value()
    parameters = _parameters(site, value.shape)
    kind = site.values.data_type(site.node.input[2]) if site.has(2) \
        else site.options.get("output_dtype", 0) or _TYPES.UINT8
    if kind not in SMALL:
        name = _TYPES.DataType.Name(kind) if kind in _TYPES.DataType.values() else kind
        raise FrontEndError(f"integers must be of 2, 4, 8 or 16 bits, not of type {name}")
    low, high = SMALL[kind]
    if isinstance(value, Tensor):
        scale, zero = parameters.numbers
        integers = site.elementwise(Quantise(1 / scale, low - zero, high - zero), value)
        return site.affine(1.0, float(zero), integers)
    ratio = np.rint(_divide(value, parameters.scale))
    return np.clip(ratio + parameters.zero, low, high).astype(np.int64)


def _dequantize_linear(site: Site) -> Value:
    value = site.value()
    parameters = _parameters(site, value.shape)
    if not isinstance(value, Tensor):
        if value.dtype.kind != "i":
            raise FrontEndError(f"constant must be integers, not {value.dtype}")
        check_copy(value)
        return (value - parameters.zero) * parameters.scale
    scale, zero = parameters.numbers
    integers = site.affine(1.0, float(-zero), value)
    kind = site.values.data_type(site.node.input[2 if site.has(2) else 0])
    if kind in SMALL:
        # They are integers within these limits, whatever computed them.
        low, high = SMALL[kind]
        integers = site.elementwise(Quantise(1.0, low - zero, high - zero), integers)
    return site.affine(scale, 0.0, integers)


def _quant(site: Site) -> Value:
    """Handle Quant of QONNX, whose result is the numbers that the integers stand for."""
    value = site.value()
    scale, zero = site.constant(1), site.constant(2)
    _check_scale(scale)
    if not np.isfinite(zero).all() or (zero != np.rint(zero)).any():
        raise FrontEndError("zero point must be integers")
    mode = site.options.get("rounding_mode", b"ROUND")
    if mode not in (b"ROUND", b"round"):
        raise FrontEndError(f"rounding_mode must be ROUND, of halves to even, not {mode!r:.40}: "
                            "train with it")
    bits = site.number(3, "bitwidth", 0)
    if not 1 <= bits <= _MAX_BITS or bits != int(bits):
        raise FrontEndError(f"bitwidth must be an integer from 1 to {_MAX_BITS}, not {bits:g}")
    signed = bool(site.options.get("signed", 1))
    if bits == 1 and signed:    # has no zero
        return _bipolar(site, value, scale)
    low = -(1 << int(bits) - 1) if signed else 0
    high = low + (1 << int(bits)) - 1
    if site.options.get("narrow", 1):
        low, high = (low + 1, high) if signed else (low, high - 1)
    if isinstance(value, Tensor):
        factor, point = _Parameters(scale, zero).numbers
        integers = site.elementwise(Quantise(1 / factor, low - point, high - point), value)
        return site.affine(factor, 0.0, integers)
    ratio = _divide(value, scale)
    if zero.size != 1 and zero.shape != scale.shape:
        raise FrontEndError(f"zero point must have the shape of the scale, "
                            f"{show_shape(scale.shape)}, not {show_shape(zero.shape)}")
    zero = zero.reshape(()) if zero.size == 1 else zero
    return (np.clip(np.rint(ratio + zero), low, high) - zero) * scale


def _bipolar_quant(site: Site) -> Value:
    _check_scale(site.constant(1))
    return _bipolar(site, site.value(), site.constant(1))


def _bipolar(site: Site, value: Value, scale: Array) -> Value:
    """Take signs, of which zero has none if it is computed, times a scale."""
    if isinstance(value, Tensor):
        factor, _ = _Parameters(scale, np.zeros(1)).numbers
        return site.affine(factor, 0.0, site.elementwise(Sign(), value))
    return np.where(_divide(value, scale) >= 0, 1.0, -1.0) * scale


def _divide(value: Array, scale: Array) -> Array:
    """Divide a constant by scales in single precision, as runtimes do."""
    check_copy(value)
    if scale.ndim > value.ndim or not all(
            mine in (1, size) for mine, size in zip(scale.shape[::-1], value.shape[::-1])):
        raise FrontEndError(f"scale must have a shape that is broadcast to that of the constant, "
                            f"{show_shape(value.shape)}, not {show_shape(scale.shape)}")
    with np.errstate(all="ignore"):
        ratio = value.astype(np.float32) / scale.astype(np.float32)
    if not np.isfinite(ratio).all():
        raise FrontEndError("constant must be finite, also when it is divided by the scale")
    return ratio.astype(np.float64)


#: Operations on computed tensors and on constants.
QUANTISED: dict[str, Callable[[Site], Value]] = {
    "DequantizeLinear": _dequantize_linear, "QuantizeLinear": _quantize_linear,
    "qonnx.custom_op.general.BipolarQuant": _bipolar_quant,
    "qonnx.custom_op.general.Quant": _quant}
