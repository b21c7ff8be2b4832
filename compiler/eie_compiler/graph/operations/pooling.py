"""Operations that reduce windows of images, or whole axes."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..operation import Floats, GraphError, Monotone, Shape, Words
from .arithmetic import divide_sum
from .fields import check_integers, check_size, only

__all__ = ["AveragePool", "MaxPool", "Mean"]

#: Most elements of a mean: their sum, and what it is divided by, then fit 64 bits.
_MAX_COUNT = 1 << 18


@dataclasses.dataclass(frozen=True)
class _Pool(Monotone):
    """Reduction of the windows of each channel of an image (channels, height, width).

    Parameters
    ----------
    kernel, stride : pair of :class:`int`
        Numbers along height and width.
    padding : (top, left, bottom, right)
        Rows and columns around the image, each fewer than those of the kernel.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        check_integers("kernel", self.kernel, 1, length=2)
        check_integers("stride", self.stride, 1, length=2)
        check_integers("padding", self.padding, 0, length=4)
        if math.prod(self.kernel) > _MAX_COUNT:
            raise GraphError(f"kernel must have at most {_MAX_COUNT} elements, not {self.kernel}")
        # Each window then has an element of the image.
        if any(padding >= size for padding, size in zip(self.padding, 2 * self.kernel)):
            raise GraphError(f"padding must be less than the kernel, {self.kernel}, on each side, "
                             f"not {self.padding}")

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes, rank=3)
        top, left, bottom, right = self.padding
        padded = top + shape[1] + bottom, left + shape[2] + right
        if padded[0] < self.kernel[0] or padded[1] < self.kernel[1]:
            raise GraphError(f"kernel must fit the padded image, but {self.kernel} does not fit "
                             f"{padded}")
        height, width = ((there - size) // stride + 1
                         for there, size, stride in zip(padded, self.kernel, self.stride))
        check_size((shape[0], *padded), what="padded image")
        return check_size((shape[0], height, width))

    def _reduce(self, images: NDArray[Any], fill: Any, join: Callable[..., Any]) -> NDArray[Any]:
        """Join the elements of each window, first along the height, then along the width."""
        top, left, bottom, right = self.padding
        images = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)),
                        constant_values=fill)
        for axis, size, stride in zip((2, 3), self.kernel, self.stride):
            images = np.moveaxis(images, axis, 0)
            last = len(images) - size
            reduced = images[:last + 1:stride]
            for at in range(1, size if images.size else 1):    # formats are checked with no images
                reduced = join(reduced, images[at:last + at + 1:stride])
            images = np.moveaxis(reduced, 0, axis)
        return images


@dataclasses.dataclass(frozen=True)
class MaxPool(_Pool):
    """Maximum of each window of an image, without its padding.

    Parameters are those of all pools: `kernel`, `stride`, `padding`.
    """

    keeps_format: ClassVar[bool] = True

    def real(self, *tensors: Floats) -> Floats:
        return self._reduce(tensors[0], -np.inf, np.maximum)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return self._reduce(tensors[0], np.iinfo(np.int64).min, np.maximum)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return 0.0


@dataclasses.dataclass(frozen=True)
class AveragePool(_Pool):
    """Mean of each window of an image.

    Parameters are those of all pools: `kernel`, `stride`, `padding`; and

    Parameters
    ----------
    count_padding : :class:`bool`
        Count the padding as zeros; otherwise the mean is of the elements of the image alone.
    uncounted : (bottom, right)
        Of the padding, rows and columns at the end that are never counted, such as those that make
        a window fit whose size is rounded up.
    """

    count_padding: bool = False
    uncounted: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.count_padding) is not bool:
            raise GraphError(f"count_padding must be true or false, not {self.count_padding!r}")
        check_integers("uncounted", self.uncounted, 0, length=2)
        if any(few > many for few, many in zip(self.uncounted, self.padding[2:])):
            raise GraphError(f"uncounted must be within the padding at the bottom and the right, "
                             f"{self.padding[2:]}, not {self.uncounted}")

    def real(self, *tensors: Floats) -> Floats:
        return self._reduce(tensors[0], 0.0, np.add) / self.count(tensors[0].shape)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        return divide_sum(self._reduce(tensors[0], 0, np.add), self.count(tensors[0].shape),
                          frac=fracs[0], to=frac)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)

    def count(self, shape: Shape) -> NDArray[np.int64]:
        """Count the elements of each window of images (batch, channels, height, width).

        They are those of its rows by those of its columns.
        """
        if 0 in shape:
            return np.ones((1, 1), np.int64)
        rows, columns = (self._count_along(axis, shape[axis + 2]) for axis in (0, 1))
        return rows[:, np.newaxis] * columns

    def _count_along(self, axis: int, length: int) -> NDArray[np.int64]:
        """Count the elements of each window along the height (0) or the width (1)."""
        before, after = self.padding[axis], self.padding[axis + 2]
        size = self.kernel[axis]
        starts = np.arange(0, before + length + after - size + 1, self.stride[axis])
        # Places within the padded image that are counted.
        first, last = (0, before + length + after - self.uncounted[axis]) if self.count_padding \
            else (before, before + length)
        return np.minimum(starts + size, last) - np.maximum(starts, first)


@dataclasses.dataclass(frozen=True)
class Mean(Monotone):
    """Mean along axes.

    Parameters
    ----------
    axes : :class:`tuple` of :class:`int`
        Axes without the batch axis, in ascending order.
    keep : :class:`bool`
        Keep these axes, with one element.
    """

    axes: tuple[int, ...]
    keep: bool = False

    def __post_init__(self) -> None:
        check_integers("axes", self.axes, 0)
        if not self.axes or list(self.axes) != sorted(set(self.axes)):
            raise GraphError(f"axes must be one or more in ascending order, not {self.axes}")
        if type(self.keep) is not bool:
            raise GraphError(f"keep must be true or false, not {self.keep!r}")

    def shape(self, *shapes: Shape) -> Shape:
        shape = only(shapes)
        if self.axes[-1] >= len(shape):
            raise GraphError(f"operand must have an axis {self.axes[-1]}, not shape {shape}")
        if (count := math.prod(shape[axis] for axis in self.axes)) > _MAX_COUNT:
            raise GraphError(f"mean must be of at most {_MAX_COUNT} elements, not {count}")
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(shape)
                     if self.keep or axis not in self.axes)

    def real(self, *tensors: Floats) -> Floats:
        return tensors[0].mean(self._axes, keepdims=self.keep)

    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        count = math.prod(tensors[0].shape[axis] for axis in self._axes)
        return divide_sum(tensors[0].sum(self._axes, keepdims=self.keep), count,
                          frac=fracs[0], to=frac)

    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> float:
        return math.ldexp(0.5, -frac)

    def is_nonnegative(self, *operands: bool) -> bool:
        return all(operands)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(axis + 1 for axis in self.axes)
