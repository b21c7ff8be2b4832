"""Tensors and operators of TensorFlow Lite files, whose generated classes check nothing."""

import contextlib
import dataclasses
import struct
from collections.abc import Callable, Iterator
from typing import Any

import tflite
from numpy.typing import NDArray

from .common import FrontEndError

__all__ = ["LIMITS", "Operator", "Quantisation", "Tensor", "intact", "name_of"]

#: Type of quantised tensors -> least and greatest integer.
LIMITS = {"INT8": (-128, 127), "UINT8": (0, 255)}

#: Errors of the generated classes, of NumPy and of text in damaged files.
_BROKEN = (struct.error, IndexError, TypeError, ValueError, OverflowError)

Array = NDArray[Any]


@contextlib.contextmanager
def intact() -> Iterator[None]:
    """Report what a damaged file makes the generated classes raise."""
    try:
        yield
    except FrontEndError:
        raise
    except _BROKEN as error:
        raise FrontEndError(f"must be an intact TensorFlow Lite model: {error}; copy it or convert "
                            "it again") from error


def name_of(names: type, number: int) -> str:
    """Name a number of an enumeration of the schema."""
    return next((name for name, value in vars(names).items() if value == number), str(number))


@dataclasses.dataclass(frozen=True)
class Quantisation:
    """Scales and zero points of integers: one of each, or one for each element along an axis."""

    scale: Array
    zero: Array
    axis: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Tensor of a file, with axes as in TensorFlow.

    Parameters
    ----------
    index : :class:`int`
        Its number.
    name : :class:`str`
        Its name, unique in the file.
    shape : :class:`tuple` of :class:`int`
        Sizes, of which open ones are 1.
    is_open : :class:`bool`
        True if a size other than the first is open.
    kind : :class:`str`
        Type of its elements, such as ``INT8``.
    quantisation : :class:`Quantisation`, optional
        Numbers that its integers stand for; None if they are numbers themselves.
    data : array, optional
        Numbers of a constant; None if the tensor is computed.
    problem : :class:`str`
        Reason why it cannot be used, with a remedy; empty if it can.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    is_open: bool
    kind: str
    quantisation: Quantisation | None
    data: Array | None
    problem: str


@dataclasses.dataclass(frozen=True)
class Operator:
    """Operator of a file.

    Parameters
    ----------
    kind : :class:`str`
        Its name, such as ``CONV_2D``; of a custom operator, the name in the file.
    inputs, outputs : :class:`tuple` of :class:`int`
        Numbers of tensors; -1 for an input that is left out.
    table : object
        Its table in the file.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    table: Any

    def options(self, name: str) -> Callable[[str], Any]:
        """Get a function that reads fields of options of a class, such as ``Conv2DOptions``."""
        options = getattr(tflite, name)()
        with intact():
            found, kind = self.table.BuiltinOptions(), self.table.BuiltinOptionsType()
            if found is None or kind != getattr(tflite.BuiltinOptions, name):
                raise FrontEndError(f"must have {name}")
            options.Init(found.Bytes, found.Pos)

        def read(field: str) -> Any:
            with intact():
                return getattr(options, field)()
        return read
