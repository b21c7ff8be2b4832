"""Assembly of a model from successive operations."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .common import FrontEndError
from .geometry import Geometry

__all__ = ["Assembly", "Matrix"]

#: Dense matrix or :class:`scipy.sparse.csc_array`.
Matrix = Any


class Assembly(abc.ABC):
    """Builder of a model from operations in order of computation.

    Parameters
    ----------
    choose : :class:`str`
        Advice in messages: how to choose a part of the model.

    Attributes
    ----------
    is_complete : :class:`bool`
        True if no operation computes after the present one.

    Raises
    ------
    FrontEndError, GraphError, ModelError, PatchError
        In all methods, if an operation cannot follow the previous ones.
    """

    def __init__(self, choose: str) -> None:
        self._choose = choose
        self.is_complete = False

    @abc.abstractmethod
    def linear(self, name: str, weight: Matrix, bias: Any = None, *, axis: int = -1) -> None:
        """Multiply vectors along `axis` by a matrix (n_out, n_in), and add the bias (n_out)."""

    @abc.abstractmethod
    def convolve(self, name: str, weight: Matrix, geometry: Geometry, bias: Any = None, *,
                 shape: Sequence[int] | None = None) -> None:
        """Convolve images of `shape` with weights (n_out, channels per group · kernel)."""

    @abc.abstractmethod
    def affine(self, scale: ArrayLike, shift: ArrayLike) -> None:
        """Multiply by a constant, then add another; both broadcast as in NumPy."""

    @abc.abstractmethod
    def relu(self) -> None:
        """Make negative results zero."""

    @abc.abstractmethod
    def note(self, text: str) -> None:
        """Note what is left out of the results."""

    @np.errstate(all="ignore")
    def arithmetic(self, operation: str, constant: ArrayLike, *, constant_first: bool = False
                   ) -> None:
        """Compute ``x + constant``, or ``constant + x`` if ``constant_first``; likewise - * /."""
        constant = np.asarray(constant, np.float64)
        if operation == "+":
            self.affine(1, constant)
        elif operation == "-":
            self.affine(-1 if constant_first else 1, constant if constant_first else -constant)
        elif operation == "*":
            self.affine(constant, 0)
        elif constant_first or not constant.all():
            what = "a computed tensor" if constant_first else "0"
            raise FrontEndError(f"division must be by a constant other than 0, not by {what}; "
                                f"{self._choose}")
        else:
            self.affine(1 / constant, 0)

    @np.errstate(all="ignore")
    def normalise(self, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike,
                  epsilon: float, *, n_dimensions: int) -> None:
        """Normalise batches of tensors with `n_dimensions` after the channels."""
        gamma, beta, mean, variance = (
            np.asarray(part, np.float64).reshape(-1, *(1,) * n_dimensions)
            for part in (gamma, beta, mean, variance))
        if not gamma.size == beta.size == mean.size == variance.size:
            raise FrontEndError("scale, shift, mean and variance of a normalisation must be as "
                                f"many, not {gamma.size}, {beta.size}, {mean.size} and "
                                f"{variance.size}")
        if not (variance + epsilon > 0).all():
            raise FrontEndError("variance and epsilon of a normalisation must be above 0")
        scale = gamma / np.sqrt(variance + epsilon)
        self.affine(scale, beta - mean * scale)
