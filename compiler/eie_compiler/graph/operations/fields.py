"""Checks of the fields and operands of operations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..operation import GraphError, Shape

__all__ = ["MAX_AXES", "MAX_NUMBERS", "broadcast", "check_constant", "check_integer",
           "check_integers", "check_number", "check_size", "expand", "only"]

#: Most elements of a tensor, as of the patches of an image; a small file can ask for any shape.
MAX_NUMBERS = 1 << 26

#: Most axes of a tensor, of which NumPy supports 64.
MAX_AXES = 8

#: Greatest magnitude of a number that is given as an integer; all of these are exact in float64.
_MAX_INTEGER = 1 << 53


def check_integer(name: str, value: Any, low: int) -> None:
    """Check an integer of `low` or more."""
    if type(value) is not int or not low <= value < 1 << 31:
        raise GraphError(f"{name} must be an integer of {low} or more, not {value!r}")


def check_integers(name: str, values: Any, low: int, *, length: int | None = None) -> None:
    """Check a tuple of integers of `low` or more."""
    if type(values) is not tuple or length not in (None, len(values)) \
            or not all(type(value) is int and low <= value < 1 << 31 for value in values):
        count = "" if length is None else f"{length} "
        raise GraphError(f"{name} must be a tuple of {count}integers of {low} or more, not "
                         f"{values!r}")


def check_number(name: str, value: Any, *, finite: bool = True) -> None:
    """Check a number, which may be infinite if `finite` is false."""
    if type(value) is int and abs(value) > _MAX_INTEGER:
        raise GraphError(f"{name} must be at most 2 ** 53 if it is an integer, not "
                         f"{str(value):.40}: write it with a decimal point")
    if not isinstance(value, (int, float)) or isinstance(value, bool) \
            or math.isnan(value) or finite and math.isinf(value):
        kind = "finite number" if finite else "number"
        raise GraphError(f"{name} must be a {kind}, not {value!r}")


def check_constant(name: str, value: Any) -> None:
    """Check a finite number, or an array of float64 with finite numbers."""
    if not isinstance(value, np.ndarray):
        check_number(name, value)
    elif value.dtype != np.float64:
        raise GraphError(f"{name} must be an array of float64, not of {value.dtype}")
    elif not np.isfinite(value).all():
        at = np.argwhere(~np.isfinite(value))[0].tolist()
        raise GraphError(f"{name} must be finite, but element {at} is {value[tuple(at)]}")


def check_size(shape: Sequence[int], *, what: str = "result") -> Shape:
    """Check that a result, or `what`, is not too large; return its shape."""
    if len(shape) > MAX_AXES:
        raise GraphError(f"{what} must have at most {MAX_AXES} dimensions, not {len(shape)}")
    if math.prod(shape) > MAX_NUMBERS:
        raise GraphError(f"{what} must have at most {MAX_NUMBERS} elements, not shape "
                         f"{tuple(shape)}: use a smaller input")
    return tuple(shape)


def only(shapes: Sequence[Shape], *, rank: int | None = None) -> Shape:
    """Return the shape of the only operand, of `rank` dimensions if they are given."""
    if len(shapes) != 1:
        raise GraphError(f"there must be one operand, not {len(shapes)}")
    if rank not in (None, len(shapes[0])):
        raise GraphError(f"operand must have {rank} dimensions, not shape {shapes[0]}")
    return shapes[0]


def broadcast(*shapes: Sequence[int]) -> Shape:
    """Compute the shape of tensors that are broadcast together, as NumPy does."""
    try:
        return check_size(np.broadcast_shapes(*shapes))
    except ValueError as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"operands must have shapes that broadcast together, not "
                         f"{' and '.join(map(str, map(tuple, shapes)))}") from None


def expand(tensor: Any, rank: int) -> Any:
    """Insert axes of one element after the batch, so that a tensor has `rank` others."""
    return tensor.reshape(len(tensor), *(1,) * (rank + 1 - tensor.ndim), *tensor.shape[1:])
