"""Definition of an operation of a graph: its shape, its real numbers and its words."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eie_hdl.numeric import round_shift

__all__ = ["Floats", "GraphError", "Operation", "Shape", "Words", "rescale"]

#: Shape of a tensor, without the batch: (n,) of a vector, (steps, n) of a sequence,
#: (channels, height, width) of an image.
Shape = tuple[int, ...]

Floats = NDArray[np.float64]
Words = NDArray[np.int64]


class GraphError(ValueError):
    """Invalid graph; the message names the node."""


class Operation(abc.ABC):
    """Computation of one tensor from others, which the host does between programs.

    Subclasses are frozen dataclasses whose fields are plain numbers, strings, tuples of them, or
    arrays of float64. Each defines the operation twice: in real numbers, for models, and in words,
    for the golden model and all drivers. A result in words is that of the real numbers that the
    operands represent, rounded half up, unless the class says otherwise.

    Attributes
    ----------
    keeps_format : :class:`bool`
        True if a result has the fraction bits of the only operand, such as one that only moves
        words.
    """

    keeps_format: ClassVar[bool] = False

    @abc.abstractmethod
    def shape(self, *shapes: Shape) -> Shape:
        """Compute the shape of the result from those of the operands.

        Raises
        ------
        GraphError
            If the operation cannot take operands of these shapes.
        """

    @abc.abstractmethod
    def real(self, *tensors: Floats) -> Floats:
        """Compute real numbers (batch, ...) from operands (batch, ...)."""

    @abc.abstractmethod
    def words(self, *tensors: Words, fracs: Sequence[int], frac: int) -> Words:
        """Compute words (batch, ...), before they saturate, from operands (batch, ...).

        Parameters
        ----------
        fracs : sequence of :class:`int`
            Fraction bits of each operand.
        frac : :class:`int`
            Fraction bits of the result.
        """

    def is_nonnegative(self, *operands: bool) -> bool:
        """Return true if no result is negative; `operands`: for each, true if it never is."""
        return self.keeps_format and all(operands)


def rescale(words: Any, frac: int, to: int) -> Any:
    """Convert words with `frac` fraction bits to `to` fraction bits, rounding half up."""
    return words << to - frac if to >= frac else round_shift(words, frac - to)
