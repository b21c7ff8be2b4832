"""Geometry of convolutions as frameworks describe it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..patches import Patches
from .common import FrontEndError

__all__ = ["Geometry"]


class Geometry(NamedTuple):
    """Geometry of a convolution in one or two dimensions.

    Parameters
    ----------
    kernel, stride, dilation : one number for each dimension
    padding : :class:`str`, or numbers of zeros
        Zeros at the start of each dimension, then at the end of each; or ``VALID``,
        ``SAME_UPPER`` or ``SAME_LOWER`` as in ONNX.
    groups : :class:`int`
        Number of independent groups of channels.
    """

    kernel: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int]
    padding: str | Sequence[int]
    groups: int = 1

    @classmethod
    def simple(cls, kernel: Sequence[int], *, stride: int = 1, padding: int = 0, groups: int = 1
               ) -> "Geometry":
        """Make a geometry that is the same along all dimensions."""
        n = len(kernel)
        return cls(kernel, (stride,) * n, (1,) * n, (padding,) * 2 * n, groups)

    def patches(self, shape: Sequence[int]) -> Patches:
        """Make patches of images (channels, height, width); one dimension is a row of pixels."""
        kernel, stride, dilation, padding = self[:4]
        if isinstance(padding, str):
            padding = self._named_padding(padding, shape[-len(kernel):])
        if len(kernel) == 1:
            kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
            padding = (0, *padding[:1], 0, *padding[1:])
        numbers: Any = shape, kernel, stride, dilation, padding
        return Patches(*map(tuple, numbers))

    def _named_padding(self, word: str, sizes: Sequence[int]) -> list[int]:
        if word == "VALID":
            return [0] * 2 * len(sizes)
        if word not in ("SAME_UPPER", "SAME_LOWER"):
            raise FrontEndError(f"padding must be VALID, SAME_UPPER or SAME_LOWER, not {word!r}")
        # Patches refuses a stride below 1.
        total = [max((-(-size // max(stride, 1)) - 1) * stride + dilation * (kernel - 1) + 1 - size,
                     0) for size, kernel, stride, dilation in zip(sizes, *self[:3])]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        return less + more if word == "SAME_UPPER" else more + less
