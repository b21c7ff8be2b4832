"""Operations of a network as steps of the C driver, with their integer constants."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from eie_compiler.graph.operation import GraphError, Operation, Shape
from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Quantise,
    Reverse,
    Sigmoid,
    Sign,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from eie_compiler.graph.operations.arithmetic import Scaling, fix_constants, fix_limit

from .c_arena import Tensor
from .c_elements import broadcast_strides, elements, strides_of
from .c_step import Operand, Step, copy

__all__ = ["operation_steps"]

#: Functions of the driver, in eie_arithmetic.h.
_UNARY: dict[type[Operation], str] = {
    HardSwish: "hard_swish", Sigmoid: "sigmoid", Sign: "sign", Tanh: "tanh"}
_BINARY: dict[type[Operation], str] = {
    Add: "sum", Magnitude: "magnitude", Maximum: "maximum", Multiply: "product",
    Subtract: "difference"}

#: Limits that no result of a scaling exceeds.
_NO_LIMITS = -1 << 62, 1 << 62

#: Function that makes a tensor for elements between two steps.
Make = Callable[[Shape], Tensor]


def operation_steps(operation: Operation, operands: Sequence[Operand], result: Operand,
                    make: Make) -> list[Step]:
    """Make the steps of an operation, other than a reshape, which moves no word.

    Raises
    ------
    GraphError
        If the driver cannot compute it.
    """
    return _steps(operation, operands, result, make)


@functools.singledispatch
def _steps(operation: Operation, operands: Sequence[Operand], result: Operand, make: Make
           ) -> list[Step]:
    raise GraphError(f"{type(operation).__name__} must be an operation of the C driver")


@_steps.register(Transpose)
def _(operation: Transpose, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    strides = strides_of(operands[0].shape)
    return [copy(operands[0], result, result.shape, [
        tuple(strides[axis] for axis in operation.order), strides_of(result.shape)])]


@_steps.register(Slice)
def _(operation: Slice, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    strides = list(strides_of(operands[0].shape))
    source = operands[0].part(operation.start * strides[operation.axis])
    strides[operation.axis] *= operation.step
    return [copy(source, result, result.shape, [tuple(strides), strides_of(result.shape)])]


@_steps.register(Reverse)
def _(operation: Reverse, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    strides = list(strides_of(result.shape))
    last = operands[0].part((result.shape[operation.axis] - 1) * strides[operation.axis])
    strides[operation.axis] *= -1
    return [copy(last, result, result.shape, [tuple(strides), strides_of(result.shape)])]


@_steps.register(Pad)
def _(operation: Pad, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    (operand,), strides = operands, strides_of(result.shape)
    inside = result.part(sum(map(math.prod, zip(operation.before, strides))))
    return [Step("zeros", f".counts = {{{result.size}, 0}}", result=result),
            copy(operand, inside, operand.shape, [strides_of(operand.shape), strides])]


@_steps.register(Concat)
def _(operation: Concat, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    steps, offset, strides = [], 0, strides_of(result.shape)
    for operand in operands:
        part = result.part(offset)._replace(shape=operand.shape)
        if operand.frac != result.frac and math.prod(result.shape[:operation.axis]) == 1:
            steps.append(_map("convert", operand, part))
        elif operand.frac != result.frac:
            converted = Operand(make(operand.shape), operand.shape, result.frac)
            steps += [_map("convert", operand, converted), _insert(converted, part, strides)]
        else:
            steps.append(_insert(operand, part, strides))
        offset += operand.shape[operation.axis] * strides[operation.axis]
    return steps


def _insert(operand: Operand, part: Operand, strides: tuple[int, ...]) -> Step:
    return copy(operand, part, operand.shape, [strides_of(operand.shape), strides])


def _map(function: str, operand: Operand, result: Operand) -> Step:
    return Step("unary", f".unary = {{eie_{function}, {result.size}}}", [operand], result,
                in_place=True)


@_steps.register(Sign)
@_steps.register(HardSwish)
@_steps.register(Sigmoid)
@_steps.register(Tanh)
def _(operation: Operation, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    return [_map(_UNARY[type(operation)], operands[0], result)]


@_steps.register(Add)
@_steps.register(Subtract)
@_steps.register(Multiply)
@_steps.register(Magnitude)
@_steps.register(Maximum)
def _(operation: Operation, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    places = elements(result.shape, *(broadcast_strides(operand.shape, result.shape)
                                      for operand in operands))
    return [Step("binary", f".binary = {{eie_{_BINARY[type(operation)]}, {places}}}", operands,
                 result, in_place=True)]


@_steps.register(Clip)
def _(operation: Clip, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    low, high = (fix_limit(limit, result.frac) for limit in (operation.low, operation.high))
    return [Step("clip", f".limits = {{{result.size}, {low}, {high}}}", operands, result,
                 in_place=True)]


def _scale(run: str, scaling: Scaling, operands: Sequence[Operand], result: Operand,
           limits: tuple[int, int] = _NO_LIMITS) -> list[Step]:
    places = elements(result.shape, *(broadcast_strides(shape, result.shape) for shape in (
        operands[0].shape, np.shape(scaling.shift))))
    return [Step(run, f".scalings = {{{places}, {{scalings}}, {limits[0]}, {limits[1]}}}", operands,
                 result, scaling, in_place=True)]


@_steps.register(Affine)
def _(operation: Affine, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    return _scale("scale", fix_constants(operation.scale, operation.shift, frac=operands[0].frac,
                                         to=result.frac), operands, result)


@_steps.register(HardSigmoid)
def _(operation: HardSigmoid, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    scaling = fix_constants(operation.alpha, operation.beta, frac=operands[0].frac, to=result.frac)
    return _scale("scale", scaling, operands, result, (0, fix_limit(1.0, result.frac)))


@_steps.register(LeakyRelu)
def _(operation: LeakyRelu, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    return _scale("leaky_relu", fix_constants(operation.slope, 0.0, frac=operands[0].frac,
                                              to=result.frac), operands, result)


@_steps.register(Quantise)
def _(operation: Quantise, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    return _scale("to_integers", fix_constants(operation.scale, 0.0, frac=operands[0].frac, to=0),
                  operands, result, (operation.low, operation.high))


@_steps.register(MaxPool)
@_steps.register(AveragePool)
def _(operation: MaxPool | AveragePool, operands: Sequence[Operand], result: Operand, make: Make
      ) -> list[Step]:
    run, counts, uncounted = "max_pool", "false", (0, 0)
    if isinstance(operation, AveragePool):
        run, uncounted = "average_pool", operation.uncounted
        counts = str(operation.count_padding).lower()
    pairs = ", ".join(f"{{{', '.join(map(str, pair))}}}" for pair in (
        operation.kernel, operation.stride, operation.padding))
    pool = (f".pool = {{{', '.join(map(str, operands[0].shape))}, {pairs}, {counts}, "
            f"{{{uncounted[0]}, {uncounted[1]}}}}}")
    return [Step(run, pool, operands, result)]


@_steps.register(Mean)
def _(operation: Mean, operands: Sequence[Operand], result: Operand, make: Make) -> list[Step]:
    (operand,) = operands
    steps = []
    order = [axis for axis in range(len(operand.shape)) if axis not in operation.axes]
    order += operation.axes
    if order != sorted(order):      # the elements of a mean must be one after another
        shape = tuple(operand.shape[axis] for axis in order)
        turned = Operand(make(shape), shape, operand.frac)
        steps = operation_steps(Transpose(tuple(order)), operands, turned, make)
        operand = turned
    counts = f".counts = {{{result.size}, {operand.size // result.size}}}"
    return [*steps, Step("mean", counts, [operand], result)]
