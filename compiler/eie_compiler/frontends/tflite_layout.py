"""Order of the axes of images: channels last in TensorFlow Lite, channels first in ONNX."""

from collections.abc import Sequence

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "axis_of", "is_mixed", "order_of", "shape_of"]

#: Axes of TensorFlow in the order of ONNX, and the reverse.
CHANNELS_FIRST = (0, 3, 1, 2)
CHANNELS_LAST = (0, 2, 3, 1)

_IMAGE_RANK = 4


def order_of(rank: int) -> tuple[int, ...]:
    """Return the axes of a tensor of TensorFlow in the order of ONNX."""
    return CHANNELS_FIRST if rank == _IMAGE_RANK else tuple(range(rank))


def axis_of(axis: int, rank: int) -> int:
    """Find the place in ONNX of an axis of TensorFlow, which may count from the end."""
    return order_of(rank).index(axis % rank)


def shape_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in ONNX of a tensor of TensorFlow."""
    return tuple(shape[axis] for axis in order_of(len(shape)))


def is_mixed(shape: Sequence[int]) -> bool:
    """Check if the elements of a tensor of TensorFlow have another order in ONNX."""
    return len(shape) == _IMAGE_RANK and shape[1] * shape[2] > 1 and shape[3] > 1
