"""Activations of ONNX, and arithmetic of two computed tensors."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..graph.operation import Operation
from ..graph.operations import (
    Add,
    Affine,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Maximum,
    Multiply,
    Sigmoid,
    Sign,
    Subtract,
    Tanh,
)
from .common import FrontEndError
from .onnx_folding import check_copy, check_size, fold
from .onnx_operations import CHOOSE
from .onnx_site import Site
from .onnx_values import Tensor, Value, sample_of, show_shape, without

__all__ = ["ELEMENTWISE", "PAIRS", "activation", "constant_of", "join"]


def activation(name: str, options: Mapping[str, Any]) -> Operation:
    """Make the operation of an activation without tensors of its own."""
    return _ACTIVATIONS[name](options)


def _clip(site: Site) -> Tensor:
    low = site.number(1, "min", -math.inf)
    high = site.number(2, "max", math.inf)
    # Runtimes take the greatest number of a type for no limit.
    low, high = (math.copysign(math.inf, limit) if abs(limit) > 3e38 else limit
                 for limit in (low, high))
    return site.elementwise(Clip(low, high), site.tensor())


def _activate(site: Site) -> Tensor:
    return site.elementwise(activation(site.node.op_type, site.options), site.tensor())


def _prelu(site: Site) -> Tensor:
    tensor = site.tensor()
    return site.like(LeakyRelu(constant_of(site.constant(1), tensor)), tensor)


def constant_of(constant: Any, tensor: Tensor, *, enlarge: bool = False) -> Any:
    """Broadcast a constant to a tensor without its batch; one number is a float.

    Only with `enlarge`, the constant may have several elements along an axis where the tensor has
    one.
    """
    given = constant = np.asarray(constant)
    if constant.size == 1:
        return float(constant.item())
    rank = len(tensor.shape)
    if constant.ndim > rank or not constant.size:
        raise FrontEndError(f"constant must have elements along at most {rank} axes, not shape "
                            f"{show_shape(constant.shape)}")
    constant = constant[(np.newaxis,) * (rank - constant.ndim)]
    if tensor.batch is not None:
        one = sample_of(constant, tensor, tensor.batch)
        constant = one[(np.newaxis,) * len(tensor.inner)]
    sizes = tensor.sizes
    pairs = list(zip(constant.shape, sizes))
    if any(1 not in pair and pair[0] != pair[1] for pair in pairs):
        raise FrontEndError(f"constant must broadcast with the tensor of shape "
                            f"{show_shape(tensor.shape)}, not be of shape "
                            f"{show_shape(given.shape)}")
    if not enlarge and any(mine > size for mine, size in pairs):
        raise FrontEndError(f"constant must not make the tensor of shape "
                            f"{show_shape(tensor.shape)} larger, as one of shape "
                            f"{show_shape(given.shape)} does: expand the tensor before")
    check_copy(constant)
    return constant.astype(np.float64, copy=False)


def join(site: Site, operation: Operation, one: Tensor, other: Tensor) -> Tensor:
    """Compute an operation of two tensors that are broadcast together."""
    from_end = {tensor.batch - len(tensor.shape) for tensor in (one, other)
                if tensor.batch is not None}
    if len(from_end) > 1:
        raise FrontEndError("operands must have the batch in the same axis, counted from the last, "
                            f"not of shapes {show_shape(one.shape)} and {show_shape(other.shape)}")
    if one.inner != other.inner:
        raise FrontEndError("operands must have the same axes joined with the batch, not "
                            f"{one.inner} and {other.inner}")
    rank = max(len(one.shape), len(other.shape))
    batch = from_end.pop() + rank if from_end else None
    made = []
    for tensor in (one, other):
        shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
        if tensor.batch is None and batch is not None and shape[batch] != 1:
            raise FrontEndError(f"operand of shape {show_shape(tensor.shape)} must have the batch "
                                f"in axis {batch}, as the other")
        made.append(site.reshape(tensor, shape, batch, end=".operand"))
    samples = max(made, key=lambda tensor: tensor.n_samples)
    name = site.builder.add(site.name, operation, made[0].name, made[1].name)
    return site.result(name, samples, batch)


def _pairs(site: Site, operation: Operation) -> Tensor:
    """Compute an operation of two or more tensors from the first on."""
    values = [site.value(place) for place in range(len(site.node.input))]
    return functools.reduce(lambda one, other: _pair(site, operation, one, other),
                            values)    # type: ignore[return-value]


def _pair(site: Site, operation: Operation, one: Value, other: Value) -> Value:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return join(site, operation, one, other)
    tensor, constant = (one, other) if isinstance(one, Tensor) else (other, one)
    if not isinstance(tensor, Tensor):
        arrays = [value for value in (one, other) if not isinstance(value, Tensor)]
        return fold("Add" if isinstance(operation, Add) else "Max", arrays, {})
    number = constant_of(constant, tensor, enlarge=isinstance(operation, Add))
    if isinstance(operation, Add):
        return site.like(Affine(1.0, number), tensor)
    if not isinstance(number, float):
        raise FrontEndError(f"constant must be one number, not of shape "
                            f"{show_shape(number.shape)}; {CHOOSE}")
    return site.elementwise(Clip(number, math.inf), tensor)    # Maximum


def _sum(site: Site) -> Tensor:
    return _pairs(site, Add())


def _max(site: Site) -> Tensor:
    return _pairs(site, Maximum())


def _min(site: Site) -> Tensor:
    """Handle Min, as that of two is less than none of their negatives' maximum."""
    values = [site.value(place) for place in range(len(site.node.input))]
    tensors = [value for value in values if isinstance(value, Tensor)]
    constants = [value for value in values if not isinstance(value, Tensor)]
    result = _negate(site, tensors[0])
    for tensor in tensors[1:]:
        result = join(site, Maximum(), result, _negate(site, tensor))
    result = _negate(site, result) if len(tensors) > 1 else tensors[0]
    for constant in constants:
        if constant.size != 1:
            raise FrontEndError(f"constant must be one number, not of shape "
                                f"{show_shape(constant.shape)}; {CHOOSE}")
        result = site.elementwise(Clip(-math.inf, float(constant.item())), result)
    return result


def _mean(site: Site) -> Tensor:
    return site.elementwise(Affine(1 / len(site.node.input), 0.0), _pairs(site, Add()))


def _negate(site: Site, tensor: Tensor) -> Tensor:
    return site.elementwise(Affine(-1.0, 0.0), tensor)


def _neg(site: Site) -> Tensor:
    return _negate(site, site.tensor())


def _abs(site: Site) -> Tensor:
    negative = site.builder.apply(f"{site.name}.negative", Affine(-1.0, 0.0), site.tensor().name)
    return join(site, Maximum(), site.tensor(), site.result(negative, site.tensor(),
                                                            site.tensor().batch))


def _pow(site: Site) -> Tensor:
    """Handle Pow with exponent 2."""
    if (exponent := site.number(1, "", 1)) != 2:
        raise FrontEndError(f"exponent must be 2, not {exponent:g}: {CHOOSE}")
    return join(site, Multiply(), site.tensor(), site.tensor())


def _expand(site: Site) -> Tensor:
    """Handle Expand to a shape that a tensor has already, or broadcasts to."""
    tensor, target = site.tensor(), site.integers(1) or []
    rank = max(len(tensor.shape), len(target))
    batch = None if tensor.batch is None else tensor.batch + rank - len(tensor.shape)
    shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    target = [1] * (rank - len(target)) + target
    if any(1 not in (mine, size) and mine != size or size < 1
           for mine, size in zip(shape, target)):
        raise FrontEndError(f"shape must be one to which {show_shape(shape)} broadcasts, not "
                            f"{show_shape(target)}")
    wide = tuple(max(pair) for pair in zip(shape, target))
    tensor = site.reshape(tensor, shape, batch)
    if wide == shape:
        return tensor
    sizes = without(wide, batch)
    check_size(sizes)
    return site.like(Affine(np.ones(sizes), 0.0), tensor)


_ACTIVATIONS: dict[str, Callable[[Mapping[str, Any]], Operation]] = {
    "HardSigmoid": lambda options: HardSigmoid(options.get("alpha", 0.2), options.get("beta", 0.5)),
    "HardSwish": lambda options: HardSwish(),
    "LeakyRelu": lambda options: LeakyRelu(options.get("alpha", 0.01)),
    "Relu": lambda options: Clip(0.0, math.inf),
    "Sigmoid": lambda options: Sigmoid(),
    "Sign": lambda options: Sign(),
    "Tanh": lambda options: Tanh()}

#: Operations of two computed tensors, which those of one and a constant replace.
PAIRS: dict[str, Operation] = {"Add": Add(), "Mul": Multiply(), "Sub": Subtract()}

#: Operations on one computed tensor or more.
ELEMENTWISE: dict[str, Callable[[Site], Tensor]] = {
    **dict.fromkeys(("HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid", "Sign", "Tanh"),
                    _activate),
    "Abs": _abs, "Clip": _clip, "Expand": _expand, "Max": _max, "Mean": _mean, "Min": _min,
    "Neg": _neg, "Pow": _pow, "PRelu": _prelu, "Sum": _sum}
