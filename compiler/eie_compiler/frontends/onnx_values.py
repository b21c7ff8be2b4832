"""Tensors of an ONNX graph while it is read: computed ones, and constants."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.operation import Shape
from .common import FrontEndError
from .onnx_constants import BOOLS, FLOATS, INTEGERS, Constants
from .onnx_folding import check_copy, collapse

__all__ = ["BATCH", "Tensor", "Value", "Values", "is_uniform", "sample_of", "show_shape",
           "without"]

#: Size of a batch of open size, in shapes: a prime, so that products keep it apart.
BATCH = (1 << 31) - 1

#: Kind of NumPy's types for types of constants.
_KINDS = {**dict.fromkeys(FLOATS, "f"), **dict.fromkeys(INTEGERS, "i"),
          **dict.fromkeys(BOOLS, "b")}

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Computed tensor.

    Parameters
    ----------
    name : :class:`str`
        Node or input of the graph under construction, whose axes are these without the batch.
    shape : :class:`tuple` of :class:`int`
        Size of each axis in ONNX.
    batch : :class:`int`, optional
        Axis of the batch; None if there is none, as a graph runs for each sample.
    inner : :class:`tuple` of :class:`int`
        Axes of each sample that ONNX joins with the batch, which is then the first axis.
    """

    name: str
    shape: tuple[int, ...]
    batch: int | None
    inner: tuple[int, ...] = ()

    @property
    def sizes(self) -> Shape:
        """Shape without the batch."""
        return self.inner + without(self.shape, self.batch)

    @property
    def n_samples(self) -> int:
        """Size of the batch."""
        return 1 if self.batch is None else self.shape[self.batch] // math.prod(self.inner)

    @property
    def apart(self) -> "Tensor":
        """The same tensor with the axes apart that are joined with the batch."""
        return Tensor(self.name, (self.n_samples, *self.sizes), 0) if self.inner else self

    def place(self, axis: int) -> int:
        """Get an axis, counted from the end if it is negative, as one from 0 on."""
        rank = len(self.shape)
        if not -rank <= axis < rank:
            raise FrontEndError(f"axis must be within the {rank} of the tensor, not {axis}")
        return axis % rank

    def axis(self, axis: int) -> int:
        """Convert an axis of ONNX, not that of the batch, to one of the graph."""
        place = self.place(axis)
        if place == self.batch:
            raise FrontEndError(f"axis must not be {place}, that of the batch, whose samples are "
                                "computed one by one")
        return place if self.batch is None or place < self.batch \
            else place - 1 + len(self.inner)


#: Computed tensor or constant.
Value = Tensor | Array


def without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """Leave out an axis of a shape."""
    return shape if axis is None else shape[:axis] + shape[axis + 1:]


def sample_of(constant: Array, tensor: Tensor, axis: int | None) -> Array:
    """Take what a constant is for any sample of a tensor, without a copy.

    Parameters
    ----------
    constant : array
        Constant with an axis of the batch.
    tensor : :class:`Tensor`
        Operand that has the batch.
    axis : :class:`int`, optional
        Axis of the batch of both; None if there is none.

    Raises
    ------
    FrontEndError
        If the constant differs by sample, or is for another number of samples.
    """
    if axis is None:
        return constant
    size, n = constant.shape[axis], tensor.shape[axis]
    if not constant.size:
        raise FrontEndError(f"constant must have elements, not shape {show_shape(constant.shape)}")
    if size not in (1, n) and n % BATCH:
        raise FrontEndError(f"constant must be for a batch of {n}, or of any size, not of shape "
                            f"{show_shape(constant.shape)}: declare the axis of the batch as of "
                            "open size")
    # Axes along which it is broadcast are compared once.
    small = collapse(constant)
    if (small != small.take([0], axis)).any():
        raise FrontEndError("constant must be the same for all samples of the batch, not of "
                            f"shape {show_shape(constant.shape)}: let it be an input of the model")
    return constant[(slice(None),) * axis + (0,)]


def is_uniform(array: Array) -> bool:
    """Check if a constant is one number, broadcast to its shape without taking memory."""
    return not any(stride for stride, size in zip(array.strides, array.shape) if size > 1)


class Values:
    """Values of tensors by name: computed tensors, folded constants, and those of the graph.

    It is the source of constants and shapes for :data:`~.onnx_steps.STEPS`.
    """

    def __init__(self, constants: Constants, data_type: Callable[[str], int]) -> None:
        self._constants = constants
        #: Type of the elements of a tensor, a number of :class:`onnx.TensorProto`; 0 if unknown.
        self.data_type = data_type
        self._values: dict[str, Value] = {}

    @property
    def constants(self) -> "Values":
        """Constants by name."""
        return self

    def __contains__(self, name: object) -> bool:
        return isinstance(self._values.get(name), np.ndarray) if name in self._values \
            else name in self._constants

    def __setitem__(self, name: str, value: Value) -> None:
        self._values[name] = value

    def __getitem__(self, name: str) -> Value:
        if name not in self._values:
            return self._constants.value(name)
        return self._values[name]

    def tensor(self, name: str) -> Tensor | None:
        """Get a computed tensor; None if it is a constant."""
        value = self._values.get(name)
        return value if isinstance(value, Tensor) else None

    def shape(self, name: str) -> list[int | None] | None:
        """Get the sizes of a tensor, None for the batch; None if it is not known yet."""
        value = self._values.get(name)
        if value is None:
            return list(self._constants.shape(name)) if name in self._constants else None
        batch = value.batch if isinstance(value, Tensor) else None
        return [None if axis == batch else size for axis, size in enumerate(value.shape)]

    def array(self, name: str, types: tuple[int, ...] = FLOATS) -> Array:
        """Get a constant of one of the types; its elements are those of any sample."""
        if name not in self._values:
            return self._constants.array(name, types)
        value = self._values[name]
        if isinstance(value, Tensor):
            raise FrontEndError(f"input {name!r} must be a constant")
        if value.dtype.kind not in {_KINDS[each] for each in types}:
            raise FrontEndError(f"constant {name!r}: type must not be {value.dtype}")
        value = value[tuple(slice(0, 1 if size == BATCH else None) for size in value.shape)]
        check_copy(value)
        return value

    def matrix(self, name: str) -> Any:
        """Get a matrix of floating-point numbers."""
        if name not in self._values:
            return self._constants.matrix(name)
        value = self.array(name)
        if value.ndim != 2:
            raise FrontEndError(f"constant {name!r} must be a matrix, not of shape "
                                f"{show_shape(value.shape)}")
        return value


def show_shape(shape: Sequence[int], brackets: str = "()") -> str:
    """Format a shape for messages, with the batch of open size by its name."""
    sizes = [str(size) if size < BATCH or size % BATCH else
             "batch" if size == BATCH else f"{size // BATCH} × batch" for size in shape]
    comma = "," if len(sizes) == 1 and brackets == "()" else ""
    return f"{brackets[0]}{', '.join(sizes)}{comma}{brackets[1]}"
