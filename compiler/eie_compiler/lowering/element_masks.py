"""Masks of the elements of tensors, and their way through operations of graphs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.operation import Operation, Shape
from ..graph.operations.activation import Activation
from ..graph.operations.arrangement import Arrangement, Concat, Reshape, Slice
from ..graph.operations.elementwise import Affine, Pair
from ..graph.operations.pooling import AveragePool, MaxPool, Mean

__all__ = ["Link", "Mask", "along", "fill", "is_known", "link", "select", "shape_of"]

#: Elements of a tensor, without the batch.
Mask = NDArray[np.bool_]


class Link:
    """Elements of an operand from which each element of a result is computed.

    Parameters
    ----------
    shape : :data:`~..graph.operation.Shape`
        Shape of the operand.
    sources : integers, of the shape of the result
        For each element of the result, the element of the operand, or the first of those along
        `axes`, in order of memory; -1 if it is computed from none.
    axes : :class:`tuple` of :class:`int`
        Axes of the operand along which a result depends on all elements.
    padding : :class:`bool`
        True if elements that are computed from none are part of every result.
    """

    def __init__(self, shape: Shape, sources: NDArray[Any], axes: tuple[int, ...] = (), *,
                 padding: bool = False) -> None:
        self._shape, self._sources = shape, sources
        self._axes, self._padding = axes, padding

    def forward(self, kept: Mask) -> Mask:
        """Find the elements of the result that are computed from elements of the operand."""
        found = self._widen(kept).reshape(-1)[self._sources]
        return np.where(self._sources < 0, self._padding, found)

    def backward(self, kept: Mask) -> Mask:
        """Find the elements of the operand from which elements of the result are computed."""
        found = np.zeros(self._shape, bool)
        sources = self._sources[kept]
        found.reshape(-1)[sources[sources >= 0]] = True
        return self._widen(found)

    def _widen(self, mask: Mask) -> Mask:
        return np.broadcast_to(mask.any(self._axes, keepdims=True), self._shape) if self._axes \
            else mask


def is_known(operation: Operation, shapes: Sequence[Shape]) -> bool:
    """Return true if an operation is known to map the elements of operands of these shapes.

    Elements can then be removed from operands and result alike, as :func:`select` does.
    """
    if isinstance(operation, Affine):    # constants may repeat the operand
        return shapes[0] == operation.shape(*shapes)
    return isinstance(operation, (Activation, Arrangement, AveragePool, Concat, MaxPool, Mean,
                                  Pair))


def link(operation: Operation, shapes: Sequence[Shape]) -> list[Link] | None:
    """Link each operand to the result; None unless :func:`is_known`."""
    if not is_known(operation, shapes):
        return None
    numbers = [np.arange(math.prod(shape), dtype=np.int32).reshape(shape) for shape in shapes]
    result = operation.shape(*shapes)
    if isinstance(operation, Concat):
        return [Link(shape, np.concatenate([one if at == number else np.full_like(one, -1)
                                            for at, one in enumerate(numbers)], operation.axis))
                for number, shape in enumerate(shapes)]
    if isinstance(operation, Arrangement):
        from_one = (numbers[0][np.newaxis] + 1).astype(np.float64)    # padding is 0
        return [Link(shapes[0], operation.real(from_one)[0].astype(np.int32) - 1, padding=True)]
    if isinstance(operation, (AveragePool, MaxPool)):
        return [Link(shapes[0], np.broadcast_to(numbers[0][:, :1, :1], result), (1, 2))]
    if isinstance(operation, Mean):
        first = numbers[0][tuple(slice(1) if axis in operation.axes else slice(None)
                                 for axis in range(len(shapes[0])))]
        return [Link(shapes[0], first.reshape(result), operation.axes)]
    return [Link(shape, np.broadcast_to(one, result)) for shape, one in zip(shapes, numbers)]


def fill(mask: Mask) -> Mask:
    """Add the elements that make a mask one of whole rows along each axis."""
    filled = np.full(mask.shape, mask.any())
    for axis in range(mask.ndim):
        filled &= np.expand_dims(along(mask, axis), _others(mask, axis))
    return filled


def along(mask: Mask, axis: int) -> Mask:
    """Find the elements along an axis that a mask as of :func:`fill` has."""
    return np.asarray(mask.any(_others(mask, axis)))


def _others(mask: Mask, axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(mask.ndim) if other != axis)


def shape_of(mask: Mask) -> Shape:
    """Shape of the elements that a mask as of :func:`fill` has."""
    return tuple(int(along(mask, axis).sum()) for axis in range(mask.ndim))


def select(operation: Operation, kept: Mask, result: Mask) -> Operation | None:
    """Make an operation for the elements that remain; None if there is none.

    Parameters
    ----------
    kept, result : masks as of :func:`fill`
        Elements of the first operand, and of the result, that remain.
    """
    if isinstance(operation, Reshape):
        return Reshape(shape_of(result))
    if isinstance(operation, Slice):
        chosen = np.arange(operation.start, operation.stop, operation.step)
        there = along(kept, operation.axis)
        places = (np.cumsum(there) - 1)[chosen[there[chosen]]]
        steps = np.unique(np.diff(places)) if len(places) > 1 else np.ones(1, np.int64)
        if len(steps) > 1:
            return None
        return Slice(operation.axis, int(places[0]), int(places[-1]) + 1, int(steps[0]))
    # Fields that are arrays are constants, which are broadcast with the result.
    return type(operation)(**{
        name: _select_constant(value, result) if isinstance(value, np.ndarray) else value
        for name, value in vars(operation).items()})


def _select_constant(constant: NDArray[Any], kept: Mask) -> NDArray[Any]:
    """Select the elements of a constant that is broadcast with a tensor."""
    for axis in range(-constant.ndim, 0):
        if constant.shape[axis] > 1:
            constant = constant.compress(along(kept, kept.ndim + axis), axis)
    return constant
