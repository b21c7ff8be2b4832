"""Pooling and means of ONNX."""

from collections.abc import Callable

from ..graph.operations import Affine, AveragePool, MaxPool, Mean
from .common import FrontEndError
from .onnx_site import Site
from .onnx_steps import geometry_of
from .onnx_values import Tensor, show_shape

__all__ = ["POOLING"]


def _pool(site: Site) -> Tensor:
    """Handle MaxPool and AveragePool."""
    if any(site.node.output[1:]):
        raise FrontEndError("places of the maxima must not be used")
    kernel = tuple(site.options["kernel_shape"])
    images, shape = site.image(site.tensor(), len(kernel))
    geometry = geometry_of(site.node, kernel)
    patches = geometry.patches(shape)
    if patches.dilation != (1, 1):
        raise FrontEndError(f"dilation of a pool must be 1, not {patches.dilation}: pool without "
                            "it")
    top, left, bottom, right = patches.padding
    # A window that begins in the image counts, also if it ends beyond its padding.
    rounded = [0, 0]
    is_ceil = site.options.get("ceil_mode", 0) == 1
    if is_ceil and geometry.padding == "VALID":
        raise FrontEndError("ceil_mode must be 0 with auto_pad VALID, as runtimes differ: give "
                            "pads")
    if is_ceil and not isinstance(geometry.padding, str):
        for axis, (first, size, last) in enumerate(((top, shape[1], bottom),
                                                    (left, shape[2], right))):
            width, step = patches.kernel[axis], patches.stride[axis]
            windows = -(-(first + size + last - width) // step) + 1
            if (windows - 1) * step >= first + size:
                windows -= 1
            rounded[axis] = max((windows - 1) * step + width - (first + size + last), 0)
    padding = (top, left, bottom + rounded[0], right + rounded[1])
    pool: MaxPool | AveragePool
    if site.node.op_type == "MaxPool":
        pool = MaxPool(patches.kernel, patches.stride, padding)
    else:
        pool = AveragePool(patches.kernel, patches.stride, padding,
                           bool(site.options.get("count_include_pad", 0)),
                           (rounded[0], rounded[1]))
    return site.rows(site.like(pool, images), len(kernel))


def _global_max(site: Site) -> Tensor:
    n = len(site.tensor().shape) - 2
    images, shape = site.image(site.tensor(), n)
    return site.rows(site.like(MaxPool(shape[1:], (1, 1)), images), n)


def _global_average(site: Site) -> Tensor:
    tensor = site.batched(site.tensor(), 0)
    if len(tensor.shape) < 3:
        raise FrontEndError(f"operand must have axes after the channels, not shape "
                            f"{show_shape(tensor.shape)}")
    return site.like(Mean(tuple(range(1, len(tensor.sizes))), True), tensor)


def _reduce(site: Site) -> Tensor:
    """Handle ReduceMean, ReduceSum and ReduceMax."""
    tensor = site.tensor()
    places = site.integers(1, "axes")
    keep = bool(site.options.get("keepdims", 1))
    if not places:
        if site.options.get("noop_with_empty_axes", 0):
            return tensor
        places = list(range(len(tensor.shape)))
    batch = tensor.batch
    if batch is not None and tensor.shape[batch] == 1 and not keep \
            and batch in map(tensor.place, places):
        # The batch of 1 that was exported is no axis to reduce: the result is without it.
        places = [axis for axis in places if tensor.place(axis) != batch]
        batch = None
        if not places:
            return site.reshape(tensor, tensor.sizes, None)
    axes = tuple(sorted({tensor.axis(axis) for axis in places}))
    if not keep and batch is not None:
        batch -= len({tensor.place(axis) for axis in places if tensor.place(axis) < batch})
    if site.node.op_type == "ReduceMax":
        return _maximum(site, tensor, axes, keep, batch)
    mean = site.emit(Mean(axes, keep), tensor, batch=batch)
    if site.node.op_type == "ReduceMean":
        return mean
    count = 1
    for axis in axes:
        count *= tensor.sizes[axis]
    return site.elementwise(Affine(float(count), 0.0), mean)


def _maximum(site: Site, tensor: Tensor, axes: tuple[int, ...], keep: bool, batch: int | None
             ) -> Tensor:
    """Reduce axes next to one another by a pool of them all."""
    sizes = tensor.sizes
    if list(axes) != list(range(axes[0], axes[-1] + 1)):
        raise FrontEndError(f"axes of a maximum must be next to one another, not {axes}")
    before, within, after = sizes[:axes[0]], sizes[axes[0]:axes[-1] + 1], sizes[axes[-1] + 1:]
    rows = columns = channels = 1
    for size in before:
        channels *= size
    for size in within:
        rows *= size
    for size in after:
        columns *= size
    name = site.builder.reshape(f"{site.name}.image", tensor.name, (channels, rows, columns))
    name = site.builder.add(site.name, MaxPool((rows, 1), (1, 1)), name)
    name = site.builder.reshape(site.name, name,
                                (*before, *(1,) * (len(within) * keep), *after))
    return site.result(name, tensor, batch)


#: Operations on one computed tensor.
POOLING: dict[str, Callable[[Site], Tensor]] = {
    "AveragePool": _pool, "GlobalAveragePool": _global_average, "GlobalMaxPool": _global_max,
    "MaxPool": _pool, "ReduceMax": _reduce, "ReduceMean": _reduce, "ReduceSum": _reduce}
