"""Operations of ONNX on constants, such as the arithmetic of shapes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import FrontEndError
from .onnx_constants import BOOLS, FLOATS, INTEGERS, SMALL

__all__ = ["FOLDED", "check_copy", "check_size", "collapse", "fold"]

Array = NDArray[Any]

#: Most elements of a constant that takes memory; a small file can ask for any shape.
_MAX_ELEMENTS = 1 << 22


def check_size(shape: Sequence[int]) -> None:
    """Check that a constant is not too large."""
    if math.prod(map(int, shape)) > _MAX_ELEMENTS or min(shape, default=0) < 0:
        raise FrontEndError(f"constant must have at most {_MAX_ELEMENTS} elements, not shape "
                            f"{tuple(shape)}: store it in the model")


def check_copy(array: Array) -> None:
    """Check that a constant that is broadcast without taking memory is small enough to take it."""
    if any(not stride and size > 1 for stride, size in zip(array.strides, array.shape)):
        check_size(array.shape)


def fold(operation: str, operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    """Compute an operation of :data:`FOLDED` on constants."""
    try:
        if operation in _ELEMENTWISE:
            return _broadcast(_ELEMENTWISE[operation], operands)
        return np.asarray(_OTHERS[operation](operands, options))
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError) as error:
        if isinstance(error, FrontEndError):
            raise
        raise FrontEndError(f"constants must fit the operation: {error}") from error


def _broadcast(function: Callable[..., Any], operands: Sequence[Array]) -> Array:
    """Compute elements, once along axes that are broadcast, such as a batch of open size."""
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    small = [collapse(operand) for operand in operands]
    check_size(np.broadcast_shapes(*(each.shape for each in small)))
    return np.broadcast_to(np.asarray(function(*small)), shape)


def collapse(array: Array, *, but: int = 0) -> Array:
    """Take one element of each axis that is broadcast; not of the last ones, `but`."""
    return array[tuple(slice(0, 1) if stride == 0 and size > 1 and axis < array.ndim - but
                       else slice(None)
                       for axis, (stride, size) in enumerate(zip(array.strides, array.shape)))]


def _product_of(one: Array, other: Array) -> Array:
    """Multiply matrices of constants."""
    if min(one.ndim, other.ndim) < 2:
        raise FrontEndError(f"constants must be matrices, not of shapes {one.shape} and "
                            f"{other.shape}")
    rows = collapse(one, but=1)
    for shape in (rows.shape, other.shape, (*rows.shape[:-1], other.shape[-1])):
        check_size(shape)
    return np.broadcast_to(rows @ other, (*one.shape[:-1], other.shape[-1]))


def _gemm(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    one, other, *bias = operands
    one = one.T if options.get("transA", 0) else one
    other = other.T if options.get("transB", 0) else other
    check_size(other.shape)
    product = _product_of(one, options.get("alpha", 1.0) * other)
    beta = options.get("beta", 1.0)
    return _broadcast(lambda first, *terms: first + beta * sum(terms), [product, *bias])


def _divide(one: Array, other: Array) -> Array:
    if one.dtype.kind == "f":
        return one / other
    return np.trunc(one / other).astype(np.int64)


def _to_small(array: Array, low: int, high: int) -> Array:
    """Convert numbers to integers within limits."""
    integers = np.trunc(array)
    if not ((low <= integers) & (integers <= high)).all():
        raise FrontEndError(f"numbers must be from {low} to {high}, as their type has no others")
    return integers.astype(np.int64)


def _cast(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    if (limits := SMALL.get(options["to"])) is not None:
        return _broadcast(lambda one: _to_small(one, *limits), operands)
    kinds = {**dict.fromkeys(FLOATS, np.float64), **dict.fromkeys(INTEGERS, np.int64),
             **dict.fromkeys(BOOLS, np.bool_)}
    if options["to"] not in kinds:
        raise FrontEndError("must be a cast to floating-point numbers, integers or booleans")
    return _broadcast(lambda one: one.astype(kinds[options["to"]]), operands)


def _constant_of_shape(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    import onnx

    value: Any = onnx.numpy_helper.to_array(options["value"]) if "value" in options \
        else np.zeros(1, np.float32)
    kind = {"f": np.float64, "i": np.int64, "b": np.bool_}.get(value.dtype.kind)
    if value.size != 1 or kind is None:
        raise FrontEndError("value must be one number")
    return np.broadcast_to(value.astype(kind).reshape(()), tuple(operands[0].tolist()))


def _expand(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    one, target = operands
    shape = np.broadcast_shapes(one.shape, tuple(target.tolist()))
    return np.broadcast_to(one, shape)


def _gather(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    one, indices = operands
    axis = options.get("axis", 0)
    if indices.ndim == 0:
        return np.moveaxis(one, axis, 0)[int(indices)]
    check_size(one.shape)    # it may be copied
    check_size([*indices.shape, one.size // max(one.shape[axis], 1)])
    return np.take(one, indices, axis)


def _range(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    start, stop, step = (operand.item() for operand in operands)
    check_size([max(int((stop - start) / step) + 1, 0)])
    return np.arange(start, stop, step)


def _product(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    check_size(operands[0].shape)
    axes = operands[1].tolist() if len(operands) > 1 else options.get("axes")
    return np.prod(operands[0], None if axes is None else tuple(axes),
                   keepdims=bool(options.get("keepdims", 1)))


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Add": np.add, "And": np.logical_and, "Ceil": np.ceil, "Div": _divide, "Equal": np.equal,
    "Floor": np.floor, "Greater": np.greater, "Identity": np.array, "Less": np.less,
    "Max": lambda *each: np.max(np.broadcast_arrays(*each), 0),
    "Min": lambda *each: np.min(np.broadcast_arrays(*each), 0),
    "Mod": np.mod, "Mul": np.multiply, "Neg": np.negative, "Not": np.logical_not, "Pow": np.power,
    "Reciprocal": np.reciprocal, "Relu": lambda one: np.maximum(one, 0),
    "Sigmoid": lambda one: 0.5 + 0.5 * np.tanh(0.5 * one), "Sqrt": np.sqrt, "Sub": np.subtract,
    "Tanh": np.tanh, "Where": np.where}

_OTHERS: dict[str, Callable[[Sequence[Array], Mapping[str, Any]], Any]] = {
    "Cast": _cast, "ConstantOfShape": _constant_of_shape, "Expand": _expand, "Gather": _gather,
    "Gemm": _gemm, "MatMul": lambda operands, options: _product_of(*operands), "Range": _range,
    "ReduceProd": _product}

#: Operations that are computed while a graph is read, if all their operands are constants.
FOLDED = {*_ELEMENTWISE, *_OTHERS}
