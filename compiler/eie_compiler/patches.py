"""Convolutions as one matrix-vector product for each output pixel (im2col)."""

import dataclasses
import math
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .remedies import advise

__all__ = ["PatchError", "Patches"]

#: Most elements of a padded image, or of all its patches; bounds the memory of :meth:`Patches.cut`,
#: which a small file can request.
_MAX_NUMBERS = 1 << 26

_Number = TypeVar("_Number", bound=np.generic)


class PatchError(ValueError):
    """Invalid convolution, or images of another shape."""


@dataclasses.dataclass(frozen=True)
class Patches:
    """Geometry of a convolution, as patches that are cut from images.

    A convolution with weights (n_out, channels, kernel height, kernel width) is the matrix
    ``weight.reshape(n_out, -1)`` applied to every patch. A 1 × 1 convolution has patches of one
    pixel.

    Parameters
    ----------
    shape : (channels, height, width)
        Shape of an image.
    kernel, stride, dilation : pair of :class:`int`
        Numbers along height and width.
    padding : (top, left, bottom, right)
        Rows and columns of zeros around the image, in the order of ONNX.

    Raises
    ------
    PatchError
        If a number is out of range, the kernel exceeds the image, or image or patches are too
        large.
    """

    shape: tuple[int, int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        for name, length, low in (("shape", 3, 1), ("kernel", 2, 1), ("stride", 2, 1),
                                  ("dilation", 2, 1), ("padding", 4, 0)):
            numbers = getattr(self, name)
            if type(numbers) is not tuple or len(numbers) != length \
                    or not all(type(n) is int and low <= n < 1 << 31 for n in numbers):
                raise PatchError(f"{name} must be {length} integers of {low} or more, "
                                 f"not {numbers!r}")
        if min(self.output_shape) < 1:
            raise PatchError(f"kernel must fit the padded image, but {self.kernel} with dilation "
                             f"{self.dilation} does not fit {self.shape} with padding "
                             f"{self.padding}")
        channels, (height, width) = self.shape[0], self._padded_shape
        for what, count in (("image with its padding", channels * height * width),
                            ("patches of an image", math.prod(self.output_shape) * self.n_inputs)):
            if count > _MAX_NUMBERS:
                raise PatchError(f"{what} must have at most {_MAX_NUMBERS} elements, not {count}: "
                                 "use a smaller image")

    @property
    def n_inputs(self) -> int:
        """Number of elements of a patch."""
        return self.shape[0] * self.kernel[0] * self.kernel[1]

    @property
    def output_shape(self) -> tuple[int, int]:
        """Height and width of the result, in patches."""
        height, width = ((there - step * (size - 1) - 1) // stride + 1
                         for there, step, size, stride in zip(self._padded_shape, self.dilation,
                                                              self.kernel, self.stride))
        return height, width

    @property
    def _padded_shape(self) -> tuple[int, int]:
        (_, height, width), (top, left, bottom, right) = self.shape, self.padding
        return top + height + bottom, left + width + right

    def cut(self, images: NDArray[_Number]) -> NDArray[_Number]:
        """Cut images into patches.

        Parameters
        ----------
        images : (batch, channels, height, width)
            Numbers of any type.

        Returns
        -------
        (batch · patches, n_inputs)
            Patches of each image row by row; elements by channel, row, column.
        """
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise PatchError(f"Images must have the shape (batch, "
                             f"{', '.join(map(str, self.shape))}), not {images.shape}"
                             f"{advise(images, self.shape)}")
        top, left, bottom, right = self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
        reach = [step * (size - 1) + 1 for step, size in zip(self.dilation, self.kernel)]
        windows = sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, ::self.stride[0], ::self.stride[1],
                          ::self.dilation[0], ::self.dilation[1]]
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, self.n_inputs)

    def join(self, results: NDArray[_Number]) -> NDArray[_Number]:
        """Rearrange results (batch · patches, n_out) as images (batch, n_out, height, width)."""
        return results.reshape(-1, *self.output_shape, results.shape[1]).transpose(0, 3, 1, 2)
