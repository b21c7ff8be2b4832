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

    With several pixels, a patch is a strip: it has the columns of the kernels of that many results
    side by side, each column once, and its matrix computes all rows of the first result, then those
    of the next; :func:`~.lowering.strips.make_strips` makes it. The last strip of an image row
    reaches into further zeros at the right if need be, and its surplus results are dropped.

    With a loop, the machine runs the convolution over a whole image: a vector is an image, and its
    results are the whole result. The matrix remains that of a pixel.

    Parameters
    ----------
    shape : (channels, height, width)
        Shape of an image.
    kernel, stride, dilation : pair of :class:`int`
        Numbers along height and width.
    padding : (top, left, bottom, right)
        Rows and columns of zeros around the image, in the order of ONNX.
    pixels : :class:`int`
        Pixels of the result that a patch computes, neighbours in a row; at most its width.
    loop : :class:`int`
        Pixels that the machine computes at a time in its loop over an image; 0 if there is none.

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
    pixels: int = dataclasses.field(default=1, kw_only=True)
    loop: int = dataclasses.field(default=0, kw_only=True)

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
        if type(self.pixels) is not int or not 1 <= self.pixels <= self.output_shape[1]:
            raise PatchError(f"pixels must be an integer from 1 to {self.output_shape[1]}, the "
                             f"width of the result, not {self.pixels!r}")
        most = 0 if self.pixels > 1 else (1 << 31) - 1
        if type(self.loop) is not int or not 0 <= self.loop <= most:
            raise PatchError(f"loop must be an integer from 0 to {most}, not {self.loop!r}")
        channels, (height, width) = self.shape[0], self._padded_shape
        for what, count in (("image with its padding", channels * height * width),
                            ("patches of an image", self.n_patches * self.n_inputs)):
            if count > _MAX_NUMBERS:
                raise PatchError(f"{what} must have at most {_MAX_NUMBERS} elements, not {count}: "
                                 "use a smaller image")

    @property
    def n_inputs(self) -> int:
        """Number of elements of a patch, of columns of its matrix."""
        # The kernel of a pixel `later` to the right has the same column, `apart` to the left in it.
        # Each column of the image counts where it occurs first.
        common = math.gcd(self.dilation[1], self.stride[1])
        apart, later = self.stride[1] // common, self.dilation[1] // common
        shared = max(0, self.kernel[1] - apart) * max(0, self.pixels - later)
        return self.shape[0] * self.kernel[0] * (self.kernel[1] * self.pixels - shared)

    @property
    def n_elements(self) -> int:
        """Number of elements of a vector: of a patch, or of an image."""
        return math.prod(self.shape) if self.loop else self.n_inputs

    @property
    def n_patches(self) -> int:
        """Number of vectors of an image: of patches, or 1 with a loop."""
        if self.loop:
            return 1
        height, width = self.output_shape
        return height * -(-width // self.pixels)

    @property
    def columns(self) -> NDArray[np.int64]:
        """Columns of the image that a patch has, from that of its first element."""
        return np.unique(self.kernel_columns)

    @property
    def kernel_columns(self) -> NDArray[np.int64]:
        """Column of the image for each pixel of a patch and each column of the kernel, likewise."""
        return np.add.outer(np.arange(self.pixels) * self.stride[1],
                            np.arange(self.kernel[1]) * self.dilation[1])

    @property
    def output_shape(self) -> tuple[int, int]:
        """Height and width of the result, in pixels."""
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
            Numbers of any type; of images of height 1, also (batch, channels, width).

        Returns
        -------
        (batch · patches, n_elements)
            Patches of each image row by row; elements by channel, row, column. There are
            :attr:`n_patches` of an image. With a loop, the images.
        """
        if images.ndim == 3 and self.shape[1] == 1:
            images = images[:, :, np.newaxis]
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise PatchError(f"Images must have the shape (batch, "
                             f"{', '.join(map(str, self.shape))}), not {images.shape}"
                             f"{advise(images, self.shape)}")
        if self.loop:
            return images.reshape(len(images), self.n_elements)
        top, left, bottom, right = self.padding
        step, columns = self.pixels * self.stride[1], self.columns
        height, width = self.output_shape
        reach = self.dilation[0] * (self.kernel[0] - 1) + 1, int(columns[-1]) + 1
        # The last strip may end after the padding.
        right += max(0, (-(-width // self.pixels) - 1) * step + reach[1] - self._padded_shape[1])
        padded = np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)))
        windows = sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, ::self.stride[0], ::step, ::self.dilation[0]]
        steps = np.unique(np.diff(columns))    # evenly spaced columns need no copy
        windows = windows[..., columns if len(steps) > 1 else slice(None, None, *steps[:1])]
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, self.n_inputs)

    def join(self, results: NDArray[_Number]) -> NDArray[_Number]:
        """Rearrange results as images (batch, n_out, height, width).

        Parameters
        ----------
        results : (batch · patches, pixels · n_out)
            Results of each patch, pixel by pixel. Those of surplus pixels are dropped. With a loop,
            results (batch, n_out · pixels) by channel, row, column.
        """
        height, width = self.output_shape
        if self.loop:
            return results.reshape(-1, results.shape[1] // (height * width), height, width)
        rows = results.reshape(-1, height, -(-width // self.pixels) * self.pixels,
                               results.shape[1] // self.pixels)
        return rows[:, :, :width].transpose(0, 3, 1, 2)
