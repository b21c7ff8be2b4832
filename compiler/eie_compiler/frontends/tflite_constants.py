"""Constants of TensorFlow Lite models: numbers, or integers with their scales."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import FrontEndError
from .tflite_records import Quantisation, Tensor

__all__ = ["Constant"]


@dataclasses.dataclass(frozen=True)
class Constant:
    """Constant whose axes can be rearranged with the scales along them.

    Parameters
    ----------
    array : array
        Numbers, or integers.
    quantisation : :class:`~.tflite_records.Quantisation`, optional
        Scales and zero points of integers.
    """

    array: NDArray[Any]
    quantisation: Quantisation | None

    @classmethod
    def of(cls, tensor: Tensor) -> "Constant":
        """Take the constant of a tensor that has one; numbers are of single precision."""
        assert tensor.data is not None
        if tensor.data.dtype.kind == "f":
            return cls(tensor.data.astype(np.float32), None)
        if tensor.quantisation is None or tensor.data.dtype.itemsize > 4:
            raise FrontEndError(f"constant {tensor.name!r} must be of floating point, or integers "
                                f"of 8 or 32 bits with a scale, not {tensor.kind} without")
        return cls(tensor.data, tensor.quantisation)

    def transpose(self, order: Sequence[int]) -> "Constant":
        """Permute the axes."""
        quantisation = self.quantisation
        if quantisation is not None and quantisation.scale.size > 1:
            quantisation = dataclasses.replace(
                quantisation, axis=list(order).index(quantisation.axis))
        return Constant(self.array.transpose(order), quantisation)

    def expand(self, rank: int) -> "Constant":
        """Add axes of one element in front, up to a number of axes."""
        more = max(rank - self.array.ndim, 0)
        quantisation = self.quantisation
        if quantisation is not None:
            quantisation = dataclasses.replace(quantisation, axis=quantisation.axis + more)
        return Constant(self.array[(np.newaxis,) * more], quantisation)

    def with_pixel(self) -> "Constant":
        """Make the weights of a 1 × 1 convolution of a matrix."""
        return Constant(self.array[:, :, np.newaxis, np.newaxis], self.quantisation)

    def flatten(self) -> "Constant":
        """Make a vector, with its scales."""
        quantisation = self.quantisation
        if quantisation is not None:
            quantisation = dataclasses.replace(quantisation, axis=0)
        return Constant(self.array.reshape(-1), quantisation)

    def take_columns(self, places: NDArray[np.int64]) -> "Constant":
        """Permute the columns of a matrix, whose rows have the scales."""
        return Constant(self.array[:, places], self.quantisation)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """Real numbers, if there is one scale."""
        array = self.array.astype(np.float64)
        if self.quantisation is None:
            return array
        return (array - self.quantisation.zero.item()) * float(self.quantisation.scale.item())

    def with_scale(self, scale: NDArray[np.float32]) -> "Constant":
        """Replace the scales, along the first axis, and leave out the zero points."""
        return Constant(self.array, Quantisation(scale, np.zeros(scale.size, np.int64), 0))
