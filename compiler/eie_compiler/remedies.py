"""Remedies for inputs of a wrong type or shape."""

import math
from typing import Any

from numpy.typing import NDArray

__all__ = ["advise", "same_order"]


def advise(array: NDArray[Any], shape: tuple[int, ...], *, words: bool = False) -> str:
    """End an error about inputs: how to make inputs of `shape` of an array, if it shows.

    Parameters
    ----------
    array : array
        Inputs of a wrong type or shape.
    shape : :class:`tuple` of :class:`int`
        Shape of one input.
    words : :class:`bool`
        True if inputs are fixed-point words, which are integers.
    """
    if array.dtype.kind == "b":
        return f": convert them with x.astype(np.{'int64' if words else 'float32'})"
    if not array.size or array.dtype.kind not in "iuf" or array.shape[1:] == shape:
        return ""
    if len(shape) == 1 and array.shape == (*shape, array.size // shape[0]):
        return ": transpose them, with x.T"
    if array.ndim == 4 and (*array.shape[3:], *array.shape[1:3]) == shape:
        return ": move the channels forward, with x.transpose(0, 3, 1, 2)"
    sizes = ", ".join(map(str, shape))
    if any(same_order(given, shape) for given in (array.shape[1:], array.shape)):
        return f": reshape them to (n, {sizes}), with x.reshape(-1, {sizes})"
    return ""


def same_order(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Check if an array of one shape, reshaped to another, has its elements along the same axes.

    Another order of the same lengths, as of a transposed image, is no matter of the shape.
    """
    return math.prod(given) == math.prod(shape) and (
        1 in (len(shape), len(_long(given))) or _long(given) == _long(shape))


def _long(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length > 1]
