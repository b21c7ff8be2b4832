"""Elements of tensors in C: their sizes and strides along each axis."""

import math

from eie_compiler.graph.operation import GraphError, Shape

__all__ = ["broadcast_strides", "elements", "strides_of"]

#: Most axes, EIE_MAX_RANK of the driver.
_MAX_RANK = 8


def strides_of(shape: Shape) -> tuple[int, ...]:
    """Strides of the axes of a tensor whose elements are in their order."""
    return tuple(math.prod(shape[axis + 1:]) for axis in range(len(shape)))


def broadcast_strides(shape: Shape, result: Shape) -> tuple[int, ...]:
    """Strides of a tensor of `shape` along the axes of a result that it is broadcast to."""
    strides = [0 if size == 1 else stride for size, stride in zip(shape, strides_of(shape))]
    return *(0,) * (len(result) - len(shape)), *strides


def elements(shape: Shape, *strides: tuple[int, ...]) -> str:
    """Initialiser of ``struct eie_elements`` for a result and the strides of two tensors.

    Axes along which both are regular are joined.

    Raises
    ------
    GraphError
        If more than 8 axes are left.
    """
    axes: list[tuple[int, ...]] = []
    for size, *steps in zip(shape, *strides):
        if size == 1:
            continue
        if axes and all(outer == inner * size for outer, inner in zip(axes[-1][1:], steps)):
            axes[-1] = (axes[-1][0] * size, *steps)
        else:
            axes.append((size, *steps))
    if len(axes) > _MAX_RANK:
        raise GraphError(f"operation must have at most {_MAX_RANK} axes that cannot be joined in "
                         f"C, not {len(axes)}: divide it into several")
    sizes, one, other = zip(*axes or [(1, 0, 0)])
    return (f"{{{len(sizes)}, {_array('size_t', sizes)}, {{{_array('ptrdiff_t', one)}, "
            f"{_array('ptrdiff_t', other)}}}}}")


def _array(kind: str, values: tuple[int, ...]) -> str:
    return f"(const {kind}[]){{{', '.join(map(str, values))}}}"
