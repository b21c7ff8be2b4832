"""Operations that move words."""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..operation import Floats, GraphError, Monotone, Shape, Words, rescale, rescale_error
from .fields import check_integer, check_integers, check_size, only

__all__ = ["Arrangement", "Concat", "Pad", "Reshape", "Reverse", "Slice", "Transpose"]


class Arrangement(Monotone):
    """Operation that moves the elements of one tensor, of any format."""

    keeps_format: ClassVar[bool] = True

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        # Integers, and zeros, move as real numbers do.
        return self.real(*tensors)    # type: ignore[arg-type, return-value]

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return 0.0


@dataclasses.dataclass(frozen=True)
class Reshape(Arrangement):
    """Tensor in another shape, with its elements in the same order.

    Parameters
    ----------
    to : :data:`~..operation.Shape`
        Shape of the result.
    """

    to: Shape

    def __post_init__(self) -> None:
        check_integers("to", self.to, 1)
        check_size(self.to)

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes)
        if math.prod(shape) != math.prod(self.to):
            raise GraphError(f"operand must have as many elements as {self.to}, not shape {shape}")
        return self.to

    def real(self, *tensors: Floats) -> Floats:
        (tensor,) = tensors
        return tensor.reshape(len(tensor), *self.to)


@dataclasses.dataclass(frozen=True)
class Transpose(Arrangement):
    """Tensor with its axes in another order.

    Parameters
    ----------
    order : :class:`tuple` of :class:`int`
        Axis of the operand that becomes each axis of the result, without the batch axis.
    """

    order: tuple[int, ...]

    def __post_init__(self) -> None:
        check_integers("order", self.order, 0)
        if sorted(self.order) != list(range(len(self.order))):
            raise GraphError(f"order must have each axis once, not be {self.order}")

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes, rank=len(self.order))
        return tuple(shape[axis] for axis in self.order)

    def real(self, *tensors: Floats) -> Floats:
        (tensor,) = tensors
        return tensor.transpose(0, *(axis + 1 for axis in self.order))


@dataclasses.dataclass(frozen=True)
class Slice(Arrangement):
    """Elements ``start, start + step, ...`` before `stop`, along one axis.

    Parameters
    ----------
    axis, start, stop, step : :class:`int`
        Axis without the batch axis; ``0 <= start < stop``, and `stop` is within the operand.
    """

    axis: int
    start: int
    stop: int
    step: int = 1

    def __post_init__(self) -> None:
        check_integer("axis", self.axis, 0)
        check_integer("start", self.start, 0)
        check_integer("stop", self.stop, self.start + 1)
        check_integer("step", self.step, 1)

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes)
        if not self.axis < len(shape) or self.stop > shape[self.axis]:
            raise GraphError(f"operand must have {self.stop} or more elements along axis "
                             f"{self.axis}, not shape {shape}")
        length = len(range(self.start, self.stop, self.step))
        return *shape[:self.axis], length, *shape[self.axis + 1:]

    def real(self, *tensors: Floats) -> Floats:
        (tensor,) = tensors
        return tensor[(slice(None),) * (self.axis + 1)
                      + (slice(self.start, self.stop, self.step),)]


@dataclasses.dataclass(frozen=True)
class Reverse(Arrangement):
    """Tensor with the elements along one axis in the opposite order.

    Parameters
    ----------
    axis : :class:`int`
        Axis without the batch axis.
    """

    axis: int

    def __post_init__(self) -> None:
        check_integer("axis", self.axis, 0)

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes)
        if not self.axis < len(shape):
            raise GraphError(f"operand must have {self.axis + 1} or more axes, not shape {shape}")
        return shape

    def real(self, *tensors: Floats) -> Floats:
        return np.flip(tensors[0], self.axis + 1)


@dataclasses.dataclass(frozen=True)
class Pad(Arrangement):
    """Tensor with zeros around it.

    Parameters
    ----------
    before, after : :class:`tuple` of :class:`int`
        Number of zeros before and after the elements, along each axis but that of the batch.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __post_init__(self) -> None:
        check_integers("before", self.before, 0)
        check_integers("after", self.after, 0, length=len(self.before))

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes, rank=len(self.before))
        return check_size([sum(one) for one in zip(self.before, shape, self.after)])

    def real(self, *tensors: Floats) -> Floats:
        (tensor,) = tensors
        return np.pad(tensor, [(0, 0), *zip(self.before, self.after)])


@dataclasses.dataclass(frozen=True)
class Concat(Monotone):
    """Tensors one after another along an axis, each converted to the format of the result.

    Parameters
    ----------
    axis : :class:`int`
        Axis without the batch axis.
    """

    axis: int

    def __post_init__(self) -> None:
        check_integer("axis", self.axis, 0)

    def shape(self, *shapes: Shape) -> Shape:
        around = {(*shape[:self.axis], *shape[self.axis + 1:]) for shape in shapes}
        if len(around) != 1 or min(map(len, shapes)) <= self.axis \
                or max(map(len, shapes)) != min(map(len, shapes)):
            raise GraphError(f"operands must have one shape but for axis {self.axis}, not "
                             f"{', '.join(map(str, shapes)) or 'none'}")
        first = shapes[0]
        return check_size([*first[:self.axis], sum(shape[self.axis] for shape in shapes),
                           *first[self.axis + 1:]])

    def real(self, *tensors: Floats) -> Floats:
        return np.concatenate(tensors, self.axis + 1)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return np.concatenate([rescale(tensor, one, frac) for tensor, one in zip(tensors, fracs)],
                              self.axis + 1)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return rescale_error(max(fracs), frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)
