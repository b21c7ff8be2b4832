"""Geometry of loops: maps whose rows are joined to one, and strips along a row."""

import dataclasses

from ..patches import Patches
from .strips import MOST_PIXELS

__all__ = ["join_rows", "list_strips", "map_width", "strip_reach"]


def strip_reach(pixels: int, *, stride: int, kernel: int, dilation: int = 1) -> int:
    """Compute the pixels in a row of a map from the first under a strip to the last."""
    return (pixels - 1) * stride + (kernel - 1) * dilation + 1


def map_width(patches: Patches) -> int:
    """Pixels in a row of the result, along which strips are."""
    return join_rows(patches).output_shape[1]


def join_rows(patches: Patches) -> Patches:
    """Join the rows of a map to one if no kernel reaches beyond a row that it does not cover.

    The result is then a single row, too, and a kernel is one segment of the map.
    """
    channels, height, width = patches.shape
    if any(patches.padding) or patches.dilation != (1, 1) or height == 1:
        return patches
    if patches.kernel == patches.stride == (1, 1):
        kernel, stride = 1, 1
    elif patches.kernel[1] == width:
        kernel, stride = patches.kernel[0] * width, patches.stride[0] * width
    else:
        return patches
    return dataclasses.replace(patches, shape=(channels, 1, height * width), kernel=(1, kernel),
                               stride=(1, stride))


def list_strips(patches: Patches) -> list[int]:
    """List lengths of strips of a loop to choose from, of which at least one is not too long.

    These are powers of two, with which fewer columns fill up the strips of a result, and, of the
    lengths with as many strips in a row, the shortest.
    """
    width = map_width(patches)
    powers = [1 << bit for bit in range(MOST_PIXELS.bit_length()) if 1 << bit < 2 * width]
    shortest = {-(-width // n): n for n in range(min(MOST_PIXELS, width), 0, -1)}
    return sorted({*powers, *shortest.values()})
