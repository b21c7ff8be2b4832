"""Operations of ONNX that move elements, on computed tensors and on constants."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..graph.operations import Concat, Pad, Reverse
from .common import FrontEndError
from .onnx_constants import permute
from .onnx_folding import check_copy, check_size
from .onnx_operations import CHOOSE
from .onnx_shapes import place_of
from .onnx_site import Site
from .onnx_values import Tensor, Value, sample_of, show_shape

__all__ = ["ARRANGEMENTS"]

#: Modes of padding.
_PAD_MODES = ("constant", "reflect", "edge", "wrap")

#: Most slices that a Gather becomes.
_MAX_SLICES = 256


def _transpose(site: Site) -> Value:
    value = site.value()
    order = permute(tuple(range(len(value.shape))), site.options.get("perm"))
    if not isinstance(value, Tensor):
        return value.transpose(order)
    if order == tuple(range(len(order))):
        return value
    site.check_apart(value)
    name = site.builder.transpose(site.name, value.name, [
        value.axis(axis) for axis in order if axis != value.batch])
    return site.result(name, value, None if value.batch is None else order.index(value.batch))


def _slice(site: Site) -> Value:
    value = site.value()
    starts, stops = site.integers(1, "starts"), site.integers(2, "ends")
    if starts is None or stops is None:
        raise FrontEndError("starts and ends must be given")
    axes = site.integers(3, "axes") or list(range(len(starts)))
    steps = site.integers(4) or [1] * len(starts)
    if not len(starts) == len(stops) == len(axes) == len(steps) or 0 in steps:
        raise FrontEndError(f"starts, ends, axes and steps must be as many, not {starts}, {stops}, "
                            f"{axes} and {steps}")
    for place, start, stop, step in zip(axes, starts, stops, steps):
        axis = place_of(place, len(value.shape))
        value = _cut(site, value, axis, slice(start, stop, step))
    return value


def _cut(site: Site, value: Value, axis: int, part: slice) -> Value:
    """Take a part of an axis."""
    if not isinstance(value, Tensor):
        return value[(slice(None),) * axis + (part,)]
    start, stop, step = part.indices(value.shape[axis])
    if (start, stop, step) == (0, value.shape[axis], 1):
        return value
    places = range(start, stop, step)
    if not places:
        raise FrontEndError(f"slice must be of one or more elements, not {start}:{stop}:{step}")
    ascending = places[::-1] if step < 0 else places
    place = value.axis(axis)
    name = site.builder.slice(site.name, value.name, place, ascending[0], ascending[-1] + 1,
                              abs(step))
    if step < 0 and len(places) > 1:
        name = site.builder.add(site.name, Reverse(place), name)
    return site.result(name, value, value.batch)


def _gather(site: Site) -> Value:
    """Take elements of an axis at constant indices; of constants: :mod:`.onnx_folding`."""
    tensor, indices = site.tensor(), site.constant(1)
    axis = tensor.place(site.options.get("axis", 0))
    places = site.integers(1) or []
    if indices.ndim > 1 or not places or not all(
            -tensor.shape[axis] <= place < tensor.shape[axis] for place in places):
        raise FrontEndError(f"indices must be one or a list within the {tensor.shape[axis]} "
                            f"elements of axis {axis}, not of shape {show_shape(indices.shape)}")
    places = [place % tensor.shape[axis] for place in places]
    if indices.ndim == 0:
        rest = [size for place, size in enumerate(tensor.shape) if place != axis]
        if axis == tensor.batch and tensor.n_samples == 1:
            return site.reshape(tensor, rest, None)
        name = site.builder.take(site.name, tensor.name, tensor.axis(axis), places[0])
        batch = tensor.batch
        return site.result(name, tensor, batch if batch is None or batch < axis else batch - 1)
    return _pick(site, tensor, axis, places)


def _pick(site: Site, tensor: Tensor, axis: int, places: Sequence[int]) -> Value:
    """Take elements of an axis at indices."""
    parts = _runs(places)
    if len(parts) > _MAX_SLICES:
        raise FrontEndError(f"indices must be at most {_MAX_SLICES} ranges, not {len(parts)}")
    return _concatenate(site, [_cut(site, tensor, axis, part) for part in parts], axis)


def _runs(places: Sequence[int]) -> list[slice]:
    """Split indices into ranges with equal steps."""
    runs, start = [], 0
    while start < len(places):
        step = places[start + 1] - places[start] if start + 1 < len(places) else 1
        stop = start + 1
        while step and stop < len(places) and places[stop] - places[stop - 1] == step:
            stop += 1
        step = step if step and stop > start + 1 else 1
        end = places[stop - 1] + (1 if step > 0 else -1)
        runs.append(slice(places[start], None if end < 0 else end, step))
        start = stop
    return runs


def _split(site: Site) -> tuple[Value, ...]:
    value = site.value()
    axis = place_of(site.options.get("axis", 0), len(value.shape))
    n, size = len(site.node.output), value.shape[axis]
    sizes = site.integers(1, "split")
    if sizes is None:
        each = -(-size // n)
        sizes = [each] * (n - 1) + [size - each * (n - 1)]
    if len(sizes) != n or sum(sizes) != size or min(sizes) < 1:
        raise FrontEndError(f"split must be {n} sizes of {size} elements in all, not {sizes}")
    ends = np.cumsum(sizes).tolist()
    return tuple(_cut(site, value, axis, slice(end - each, end))
                 for each, end in zip(sizes, ends))


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Parts of a tensor along an axis, of one size or of several."""

    value: Value
    axis: int
    sizes: int | list[int]


def _split_to_sequence(site: Site) -> _Parts:
    """Handle SplitToSequence, whose parts SequenceAt takes."""
    value = site.value()
    axis = place_of(site.options.get("axis", 0), len(value.shape))
    sizes = site.integers(1)
    if sizes is None or min(sizes, default=0) < 1:
        raise FrontEndError(f"split must be one or more sizes, not {sizes}")
    return _Parts(value, axis, sizes if site.constant(1).ndim else sizes[0])


def _sequence_at(site: Site) -> Value:
    parts: Any = site.value()
    place = int(site.number(1, "", 0))
    if not isinstance(parts, _Parts):
        raise FrontEndError("sequence must be that of SplitToSequence")
    sizes, length = parts.sizes, parts.value.shape[parts.axis]
    n = -(-length // sizes) if isinstance(sizes, int) else len(sizes)
    if not -n <= place < n:
        raise FrontEndError(f"place must be within the {n} parts of the sequence, not {place}")
    place %= n
    start, size = (sizes * place, sizes) if isinstance(sizes, int) \
        else (sum(sizes[:place]), sizes[place])
    return _cut(site, parts.value, parts.axis, slice(start, start + size))


def _cast_like(site: Site) -> Value:
    """Handle CastLike to the type of a constant, or to floating point."""
    value, like = site.value(), site.value(1)
    kind = "f" if isinstance(like, Tensor) else like.dtype.kind
    if isinstance(value, Tensor):
        if kind != "f":
            raise FrontEndError("must be a cast to floating-point numbers, to keep their values; "
                                f"{CHOOSE}")
        return value
    check_copy(value)
    return value.astype({"f": np.float64, "i": np.int64, "b": np.bool_}[kind])


def _concat(site: Site) -> Value:
    values = [site.value(place) for place in range(len(site.node.input))]
    axis = place_of(site.options["axis"], len(values[0].shape))
    return _concatenate(site, values, axis)


def _concatenate(site: Site, values: Sequence[Value], axis: int) -> Value:
    if len(values) == 1:
        return values[0]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        arrays = [value for value in values if not isinstance(value, Tensor)]
        check_size([sum(array.size for array in arrays)])
        if len({(*array.shape[:axis], *array.shape[axis + 1:]) for array in arrays}) != 1 \
                or len({array.ndim for array in arrays}) != 1:
            raise FrontEndError(f"constants must have one shape but for axis {axis}")
        return np.concatenate(arrays, axis)
    first = tensors[0]
    if any((tensor.batch, tensor.inner) != (first.batch, first.inner) for tensor in tensors):
        raise FrontEndError("operands must have the batch in the same axis, not in "
                            f"{sorted({str(tensor.batch) for tensor in tensors})}")
    made = [value if isinstance(value, Tensor) else _computed(site, value, first)
            for value in values]
    return site.emit(Concat(first.axis(axis)), *made, batch=first.batch)


def _computed(site: Site, constant: np.ndarray, like: Tensor) -> Tensor:
    """Make a computed tensor of a constant, which is the same for all samples."""
    if constant.ndim != len(like.shape):
        raise FrontEndError(f"constant must have {len(like.shape)} axes, not shape "
                            f"{show_shape(constant.shape)}")
    made = site.filled(sample_of(constant, like, like.batch), like)
    return site.result(made.name, like, like.batch)


def _pad(site: Site) -> Value:
    tensor = site.tensor()
    mode = site.options.get("mode", b"constant").decode("utf-8", "replace")
    value = site.number(2, "value", 0)
    if mode not in _PAD_MODES or not np.isfinite(value):
        raise FrontEndError(f"padding must be with a finite number, or of mode reflect, edge or "
                            f"wrap, not by {mode} with {value}: pad on the host")
    rank = len(tensor.shape)
    axes = [place_of(axis, rank) for axis in site.integers(3) or range(rank)]
    pads = site.integers(1, "pads") or []
    if len(pads) != 2 * len(axes):
        raise FrontEndError(f"pads must be {2 * len(axes)} numbers, not {len(pads)}")
    before, after = [0] * rank, [0] * rank
    for axis, low, high in zip(axes, pads, pads[len(axes):]):
        before[axis], after[axis] = low, high
    if tensor.batch is not None and (before.pop(tensor.batch) or after.pop(tensor.batch)):
        raise FrontEndError("padding must not add samples to the batch")
    if not any(before) and not any(after):
        return tensor
    if mode != "constant":
        return _mirror(site, tensor, list(zip(before, after)), mode)
    sizes = tensor.sizes
    for axis, (low, high) in enumerate(zip(before, after)):    # a negative number crops
        if low < 0 or high < 0:
            name = site.builder.slice(site.name, tensor.name, axis, max(-low, 0),
                                      sizes[axis] + min(high, 0))
            tensor = site.result(name, tensor, tensor.batch)
    # A number around a tensor is zero around their difference.
    made = site.like(Pad(tuple(max(n, 0) for n in before), tuple(max(n, 0) for n in after)),
                     site.affine(1.0, -value, tensor))
    return site.affine(1.0, value, made)


def _mirror(site: Site, tensor: Tensor, pads: Sequence[tuple[int, int]], mode: str) -> Value:
    """Pad each axis without the batch with elements of its own."""
    made: Value = tensor
    kept = [axis for axis in range(len(tensor.shape)) if axis != tensor.batch]
    for axis, (low, high) in zip(kept, pads):
        size = tensor.shape[axis]
        if max(low, high) >= size or min(low, high) < 0:
            raise FrontEndError(f"padding of mode {mode} must be from 0 to less than the {size} "
                                f"elements of axis {axis}, not {low} and {high}")
        if low or high:
            assert isinstance(made, Tensor)
            places = np.pad(np.arange(size), (low, high), mode)    # type: ignore[call-overload]
            made = _pick(site, made, axis, places.tolist())
    return made


#: Operations on tensors and constants.
ARRANGEMENTS: dict[str, Callable[[Site], Any]] = {
    "CastLike": _cast_like, "Concat": _concat, "Gather": _gather, "Pad": _pad,
    "SequenceAt": _sequence_at, "Slice": _slice, "Split": _split,
    "SplitToSequence": _split_to_sequence, "Transpose": _transpose}
