"""Operations of ONNX that change the shape, on computed tensors and on constants."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .common import FrontEndError
from .onnx_folding import check_copy
from .onnx_site import Site
from .onnx_values import Tensor, Value, is_uniform, show_shape

__all__ = ["SHAPES", "place_of"]


def _rearrange(site: Site, shape: Sequence[int], batch: int | None) -> Value:
    """Change the shape of the first operand; that of a constant has no batch."""
    value = site.value()
    if isinstance(value, Tensor):
        return site.reshape(value, shape, batch)
    if value.size and is_uniform(value):
        return np.broadcast_to(value[(0,) * value.ndim], shape)
    if [size for size in value.shape if size != 1] != [size for size in shape if size != 1]:
        check_copy(value)
    return value.reshape(shape)


def _reshape(site: Site) -> Value:
    value, target = site.value(), site.integers(1) or []
    if isinstance(value, Tensor):
        return _reshape_tensor(site, value, target)
    return _rearrange(site, _resolve(_copy_sizes(site, target, value.shape), value.shape), None)


def _copy_sizes(site: Site, target: list[int], shape: Sequence[int]) -> list[int]:
    """Replace each size of 0 by that of the operand."""
    if not site.options.get("allowzero", 0):
        if any(size == 0 for size in target[len(shape):]):
            raise FrontEndError(f"shape must copy sizes of {show_shape(shape)}, not be "
                                f"{show_shape(target, '[]')}")
        target = [shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    return target


def _reshape_tensor(site: Site, value: Tensor, target: list[int]) -> Tensor:
    target = _copy_sizes(site, target, value.shape)
    value = value.apart
    shape, n = value.shape, value.n_samples
    if value.batch is None:
        return site.reshape(value, _resolve(target, shape), None)
    for sizes in _candidates(target, n):
        if _count(sizes, shape):
            resolved = _resolve(sizes, shape)
            batch = _batch_of(resolved, shape, value.batch)
            if batch is not None:
                return site.reshape(value, resolved, batch)
            if n == 1:
                return site.reshape(value, resolved, None)
            if value.batch == 0 and resolved[0] % n == 0:
                # Such as (batch · steps, features), for layers on vectors.
                inner = (resolved[0] // n,)
                name = site.builder.reshape(site.name, value.name, inner + resolved[1:])
                return Tensor(name, resolved, 0, inner)
    raise FrontEndError(f"shape must keep the batch, and no other, in an axis, and the "
                        f"{math.prod(value.sizes)} elements of each sample, not be "
                        f"{show_shape(target, '[]')}")


def _candidates(target: list[int], n: int) -> list[list[int]]:
    """List a target, then those where a batch of 1, stored by an exporter, is the batch."""
    return [target] + [[*target[:axis], n, *target[axis + 1:]]
                       for axis, size in enumerate(target) if size == 1 != n]


def _count(target: Sequence[int], shape: Sequence[int]) -> bool:
    """Check if a target has the number of elements of a shape."""
    known = math.prod(size for size in target if size != -1)
    total = math.prod(shape)
    if -1 in target:
        return known > 0 and total % known == 0
    return known == total


def _resolve(target: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    if not _count(target, shape) or list(target).count(-1) > 1 or min(target, default=0) < -1:
        raise FrontEndError(f"shape must have the {math.prod(shape)} elements of {tuple(shape)}, "
                            f"not be {tuple(target)}")
    known = math.prod(size for size in target if size != -1)
    return tuple(math.prod(shape) // known if size == -1 else size for size in target)


def _batch_of(target: Sequence[int], shape: Sequence[int], batch: int) -> int | None:
    """Find the axis of the batch after a change of the shape."""
    before = math.prod(shape[:batch])
    axes = [axis for axis, size in enumerate(target)
            if size == shape[batch] and math.prod(target[:axis]) == before]
    return batch if batch in axes else axes[0] if axes else None


def _flatten(site: Site) -> Value:
    value = site.value()
    axis = site.options.get("axis", 1)
    axis = axis + len(value.shape) if axis < 0 else axis
    target = [math.prod(value.shape[:axis]), math.prod(value.shape[axis:])]
    batch = None
    if isinstance(value, Tensor) and value.batch is not None:
        batch = _batch_of(target, value.shape, value.batch)
        if batch is None and value.n_samples != 1:
            raise FrontEndError(f"axis must separate the batch from all others, not be {axis}")
    return _rearrange(site, target, batch)


def _squeeze(site: Site) -> Value:
    value, places = site.value(), site.integers(1, "axes")
    shape = value.shape
    axes = {axis for axis, size in enumerate(shape) if size == 1} if places is None \
        else {place_of(axis, len(shape)) for axis in places}
    if any(shape[axis] != 1 for axis in axes):
        raise FrontEndError(f"axes must be of size 1, not {sorted(axes)} of {show_shape(shape)}")
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    batch = value.batch if isinstance(value, Tensor) else None
    return _rearrange(site, [shape[axis] for axis in kept],
                      kept.index(batch) if batch in kept else None)


def _unsqueeze(site: Site) -> Value:
    value, places = site.value(), site.integers(1, "axes") or []
    rank = len(value.shape) + len(places)
    axes = {place_of(axis, rank) for axis in places}
    kept = [axis for axis in range(rank) if axis not in axes]
    shape = [1] * rank
    for axis, size in zip(kept, value.shape):
        shape[axis] = size
    batch = value.batch if isinstance(value, Tensor) else None
    return _rearrange(site, shape, None if batch is None else kept[batch])


def place_of(axis: int, rank: int) -> int:
    """Get an axis, counted from the end if it is negative, as one from 0 on."""
    if not -rank <= axis < rank:
        raise FrontEndError(f"axes must be within {rank}, not {axis}")
    return axis % rank


def _shape(site: Site) -> Value:
    shape = np.array(site.value().shape, np.int64)
    return shape[site.options.get("start", 0):site.options.get("end", len(shape))]


def _size(site: Site) -> Value:
    return np.array(math.prod(site.value().shape), np.int64)


#: Operations on tensors and constants.
SHAPES: dict[str, Callable[[Site], Value]] = {
    "Flatten": _flatten, "Reshape": _reshape, "Shape": _shape, "Size": _size, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze}
