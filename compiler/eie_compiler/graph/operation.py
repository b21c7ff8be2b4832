"""Definition of an operation of a graph: its shape, its real numbers and its words."""

import abc
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eie_hdl.numeric import round_shift

__all__ = ["EXTRA_FRAC", "Floats", "GraphError", "Interval", "Monotone", "Operation", "Shape",
           "Words", "check_frac", "rescale", "rescale_error"]

#: Shape of a tensor, without the batch: (n,) of a vector, (steps, n) of a sequence,
#: (channels, height, width) of an image.
Shape = tuple[int, ...]

#: Most fraction bits that a result may have beyond those of an operand. Words have at most 24 bits,
#: so that exact results fit 64 bits.
EXTRA_FRAC = 20

Floats = NDArray[np.float64]
Words = NDArray[np.int64]

#: Least and greatest number that each element of a tensor may be.
Interval = tuple[Floats, Floats]


class GraphError(ValueError):
    """Invalid graph; the message names the node."""


class Operation(abc.ABC):
    """Computation of one tensor from others, which the host does between programs.

    Subclasses are frozen dataclasses whose fields are plain numbers, strings, tuples of them, or
    arrays of float64. Each defines the operation twice: in real numbers, for models, and in words,
    for the golden model and all drivers. A result in words is that of the real numbers that the
    operands represent, rounded half up, unless the class says otherwise. Two more methods bound the
    difference of the two: that of the definitions, and that of errors of the operands.

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

    @abc.abstractmethod
    def enclose(self, *intervals: Interval) -> Interval:
        """Enclose all real numbers (batch, ...) of operands within intervals."""

    @abc.abstractmethod
    def rounding(self, *tensors: Floats, fracs: Sequence[int], frac: int) -> Floats | float:
        """Bound the difference of words, before they saturate, and real numbers.

        Parameters
        ----------
        tensors : float64 (batch, ...)
            Numbers that the words of the operands represent.
        fracs, frac
            As for :meth:`words`.

        Returns
        -------
        :class:`float`, or float64 that is broadcast with the result
            Greatest magnitude of the difference that the definition allows.
        """

    def is_nonnegative(self, *operands: bool) -> bool:
        """Return true if no result is negative; `operands`: for each, true if it never is."""
        return self.keeps_format and all(operands)


class Monotone(Operation):
    """Operation each of whose results never decreases, or never increases, as operands increase.
    """

    def enclose(self, *intervals: Interval) -> Interval:
        ends = [self.real(*tensors) for tensors in zip(*intervals)]
        return np.minimum(*ends), np.maximum(*ends)


def check_frac(frac: int, to: int) -> None:
    """Check the fraction bits `to` of a result against those of an operand.

    Raises
    ------
    GraphError
        If `to` exceeds `frac` by more than :data:`EXTRA_FRAC`.
    """
    if to - frac > EXTRA_FRAC:
        raise GraphError(f"result must have at most {frac + EXTRA_FRAC} fraction bits, "
                         f"{EXTRA_FRAC} more than an operand, not {to}: choose a coarser format")


def rescale(words: Any, frac: int, to: int) -> Any:
    """Convert words with `frac` fraction bits to `to` fraction bits, rounding half up.

    Raises
    ------
    GraphError
        If `to` exceeds `frac` by more than :data:`EXTRA_FRAC`.
    """
    check_frac(frac, to)
    # A shift by 62 bits leaves nothing of a word, and fits the integers.
    return words << to - frac if to >= frac else round_shift(words, min(frac - to, 62))


def rescale_error(frac: int, to: int) -> float:
    """Bound the error of words with `frac` fraction bits or fewer as :func:`rescale` rounds them.
    """
    return 0.0 if to >= frac else math.ldexp(0.5, -to)
