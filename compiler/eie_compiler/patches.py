"""Convolutions as products of a matrix and a vector for each pixel (im2col)."""

import dataclasses
import math
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["PatchError", "Patches"]

#: Most numbers of an image with its padding, or of all its patches: what :meth:`Patches.cut` takes
#: memory for, which a few bytes in a file may ask for.
_MAX_NUMBERS = 1 << 26

_Number = TypeVar("_Number", bound=np.generic)


class PatchError(ValueError):
    """A convolution that cannot be, or images that do not fit it."""


@dataclasses.dataclass(frozen=True)
class Patches:
    """How a convolution cuts its input vectors out of images.

    A convolution with weights (n_out, channels, kernel height, kernel width) is the matrix
    ``weight.reshape(n_out, -1)`` applied to every patch. A 1 × 1 convolution has patches of one
    pixel.

    Parameters
    ----------
    shape : (channels, height, width)
        Of an image.
    kernel, stride, dilation : pair of :class:`int`
        Along height and width.
    padding : (top, left, bottom, right)
        Rows and columns of zeros around the image, in ONNX's order.

    Raises
    ------
    PatchError
        If a number is out of range, no patch fits the image, or image and patches are too large.
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
                raise PatchError(f"{what} must have at most {_MAX_NUMBERS} numbers, not {count}: "
                                 "take a smaller image")

    @property
    def n_inputs(self) -> int:
        """Numbers of a patch."""
        return self.shape[0] * self.kernel[0] * self.kernel[1]

    @property
    def output_shape(self) -> tuple[int, int]:
        """Height and width of the result: patches down and across."""
        height, width = ((there - step * (size - 1) - 1) // stride + 1
                         for there, step, size, stride in zip(self._padded_shape, self.dilation,
                                                              self.kernel, self.stride))
        return height, width

    @property
    def _padded_shape(self) -> tuple[int, int]:
        (_, height, width), (top, left, bottom, right) = self.shape, self.padding
        return top + height + bottom, left + width + right

    def cut(self, images: NDArray[_Number]) -> NDArray[_Number]:
        """Patches of images.

        Parameters
        ----------
        images : (batch, channels, height, width)
            Numbers of any type.

        Returns
        -------
        (batch · patches, n_inputs)
            Row by row of each image; within a patch by channel, row, column.
        """
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise PatchError(f"Images must have the shape (batch, "
                             f"{', '.join(map(str, self.shape))}), not {images.shape}")
        top, left, bottom, right = self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
        reach = [step * (size - 1) + 1 for step, size in zip(self.dilation, self.kernel)]
        windows = sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, ::self.stride[0], ::self.stride[1],
                          ::self.dilation[0], ::self.dilation[1]]
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, self.n_inputs)

    def join(self, results: NDArray[_Number]) -> NDArray[_Number]:
        """Images (batch, n_out, height, width) of results (batch · patches, n_out)."""
        return results.reshape(-1, *self.output_shape, results.shape[1]).transpose(0, 3, 1, 2)
