"""Packing of NumPy arrays into words, and unpacking, by the layouts of :mod:`.format`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data
from numpy.typing import NDArray

from .format import BEAT_WIDTH, n_beats

__all__ = ["pack", "unpack"]


def pack(shape: ShapeLike, values: Any) -> NDArray[np.uint64]:
    """Pack field values into words, as ``shape.const(...)`` would, for whole arrays.

    `values` mirrors `shape`: a mapping for a structure, an array with the elements on its last axis
    for an array, and an array of integers for anything else. The result has one more axis than the
    fields: the :func:`~.format.n_beats` beats of a word, least significant first.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    TypeError
        If values are not integers, or `shape` contains a union instead of one of its members.
    """
    leaves = [(offset, field, _check(field, _get_path(values, path), path))
              for path, offset, field in _leaves(shape)]
    words = np.zeros((*np.broadcast_shapes(*(value.shape for *_, value in leaves)),
                      n_beats(shape)), np.uint64)
    for offset, field, value in leaves:
        if field.width == 0:    # it may be past the last beat
            continue
        bits = value.astype(np.int64).view(np.uint64) & np.uint64((1 << field.width) - 1)
        beat, low = divmod(offset, BEAT_WIDTH)
        words[..., beat] |= bits << np.uint64(low)
        if low + field.width > BEAT_WIDTH:
            words[..., beat + 1] |= bits >> np.uint64(BEAT_WIDTH - low)
    return words


def unpack(shape: ShapeLike, words: NDArray[np.uint64]) -> Any:
    """Invert :func:`pack`. The last axis of `words` is the beats of a word."""
    return _unpack(shape, words, 0)


def _leaves(shape: ShapeLike, path: tuple[str | int, ...] = (), offset: int = 0
            ) -> Iterator[tuple[tuple[str | int, ...], int, Shape]]:
    """Yield path, offset and shape of each number in a word."""
    if isinstance(shape, data.UnionLayout):
        raise TypeError(f"Word must not contain a union, such as {shape!r}")
    if isinstance(shape, data.Layout):
        for key, field in shape:
            yield from _leaves(field.shape, (*path, key), offset + field.offset)
    else:
        if (width := Shape.cast(shape).width) > BEAT_WIDTH:
            raise TypeError(f"Field must be at most {BEAT_WIDTH} bits wide, not {width}")
        yield path, offset, Shape.cast(shape)


def _get_path(values: Any, path: tuple[str | int, ...]) -> Any:
    elements: tuple[Any, ...] = (..., *(key for key in path if isinstance(key, int)))
    for key in path:
        if isinstance(key, str):
            values = values[key]
    return np.asarray(values)[elements]


def _check(shape: Shape, values: NDArray[Any], path: tuple[str | int, ...]) -> NDArray[Any]:
    low = -(1 << shape.width >> 1) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    if values.dtype.kind not in "iub":
        raise TypeError(f"{_name(path)} must be integers, not {values.dtype}")
    if values.size and not low <= values.min() <= values.max() <= high:
        raise ValueError(f"{_name(path)} must be from {low} to {high}, not from {values.min()} "
                         f"to {values.max()}")
    return values


def _name(path: tuple[str | int, ...]) -> str:
    return ".".join(str(key) for key in path if isinstance(key, str)) or "Values"


def _unpack(shape: ShapeLike, words: NDArray[np.uint64], offset: int) -> Any:
    if isinstance(shape, data.UnionLayout):
        raise TypeError(f"Word must not contain a union, such as {shape!r}")
    if isinstance(shape, data.Layout):
        fields = {key: _unpack(field.shape, words, offset + field.offset) for key, field in shape}
        return _stack(list(fields.values())) if isinstance(shape, data.ArrayLayout) else fields
    shape = Shape.cast(shape)
    if shape.width == 0:
        return np.zeros(words.shape[:-1], np.int64)
    beat, low = divmod(offset, BEAT_WIDTH)
    field = words[..., beat] >> np.uint64(low)
    if low + shape.width > BEAT_WIDTH:
        field = field | words[..., beat + 1] << np.uint64(BEAT_WIDTH - low)
    field = (field & np.uint64((1 << shape.width) - 1)).view(np.int64)
    sign = 1 << shape.width - 1
    return (field ^ sign) - sign if shape.signed else field


def _stack(elements: list[Any]) -> Any:
    if isinstance(elements[0], Mapping):
        return {name: _stack([element[name] for element in elements]) for name in elements[0]}
    return np.stack(elements, axis=-1)
