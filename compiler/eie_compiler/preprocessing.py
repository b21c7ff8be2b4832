"""Preprocessing of inputs: an offset and a scale for each element, in real and in fixed-point
numbers."""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_hdl.numeric import limits

from .remedies import advise
from .vectors import VectorError, quantise

__all__ = ["FixedPreprocessing", "Preprocessing", "PreprocessingError", "broadcasts",
           "convert_inputs", "find_saturated", "make_batch", "quantise_inputs"]

#: Width of an input in bits before it is preprocessed.
RAW_WIDTH = 32

#: Bits that hold every word before it saturates.
_WIDE = 62

#: Width of the magnitude of a multiplier in bits. A difference of two inputs has 33 bits, so that
#: products, and their rounding, fit 64 bits.
_MULTIPLIER_BITS = 30

#: Greatest magnitude of the fraction bits of an input: powers of two stay normal in float64.
_MAX_RAW_FRAC = 1000

#: Most low bits of a word that may be constant because the input has too few bits for its offset.
_MAX_LOST_BITS = 4


class PreprocessingError(ValueError):
    """Invalid preprocessing; the message names the field or the element."""


@dataclasses.dataclass(frozen=True, eq=False)
class Preprocessing:
    """Computation of ``(x - offset) * scale`` for each element of an input.

    The host computes it while it converts inputs to fixed point, so that one codebook need not hold
    weights multiplied by scales of several magnitudes.

    Parameters
    ----------
    offset, scale : float64
        Finite numbers of one shape; no scale is zero. Of a chain (n_inputs,), one for each column
        of the first layer; of a graph any that is broadcast to the shape of the input, such as
        (features,) for all steps of a sequence, or (channels, 1, 1) of images.

    Raises
    ------
    PreprocessingError
        If a type, shape or number is wrong.
    """

    offset: NDArray[np.float64]
    scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("offset", "scale"):
            numbers = getattr(self, name)
            if not isinstance(numbers, np.ndarray) or numbers.dtype != np.float64 \
                    or not numbers.ndim or numbers.shape != self.offset.shape:
                raise PreprocessingError(
                    f"{name} must be an array of float64 of one or more dimensions, of the shape "
                    f"of the other, not {getattr(numbers, 'dtype', type(numbers).__name__)} of "
                    f"shape {getattr(numbers, 'shape', '()')}")
            if not (finite := np.isfinite(numbers)).all():
                at = tuple(np.argwhere(~finite)[0].tolist())
                raise PreprocessingError(f"{name}[{_join(at)}] must be finite, not {numbers[at]}")
        if not self.scale.all():
            at = tuple(np.argwhere(self.scale == 0)[0].tolist())
            raise PreprocessingError(f"scale[{_join(at)}] must not be 0")

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Preprocess inputs (batch, ...)."""
        return (x - self.offset) * self.scale

    def fixed(self, frac: int, width: int) -> "FixedPreprocessing":
        """Choose integers that compute words of `width` bits with `frac` fraction bits.

        Raises
        ------
        PreprocessingError
            If a number needs more than :data:`RAW_WIDTH` bits to be distinguished from others.
        """
        elements = [self._fixed_element(at, frac, width) for at in np.ndindex(self.scale.shape)]
        return FixedPreprocessing(*(np.array(numbers, np.int64).reshape(self.scale.shape)
                                    for numbers in zip(*elements, strict=True)))

    def _fixed_element(self, at: tuple[int, ...], frac: int, width: int
                       ) -> tuple[int, int, int, int]:
        offset, scale = float(self.offset[at]), float(self.scale[at])
        # Words change by one with each step of the input.
        step = math.ldexp(1, -frac) / abs(scale)
        reach = max(abs(offset + word * step) for word in limits(width))
        raw_frac = RAW_WIDTH - 1 - math.frexp(reach)[1]    # reach · 2 ** raw_frac fits
        if not 0 < step < math.inf or not reach < math.inf or abs(raw_frac) > _MAX_RAW_FRAC:
            raise PreprocessingError(f"scale of element {_join(at)} must suit {frac} fraction "
                                     f"bits, not be {scale}")
        factor = math.ldexp(1 / step, -raw_frac)
        if factor > 1 << _MAX_LOST_BITS:
            raise PreprocessingError(
                f"offset of element {_join(at)} must be at most 2 ** {RAW_WIDTH - 1} steps of "
                f"{step:g}, the input's resolution, not {offset:g}: subtract it before inference")
        shift = _MULTIPLIER_BITS - math.frexp(factor)[1]
        # Rounding may reach 2 ** _MULTIPLIER_BITS, which also fits.
        multiplier = round(math.ldexp(factor, shift)) * (1 if scale > 0 else -1)
        return (raw_frac, min(math.floor(math.ldexp(offset, raw_frac) + 0.5),
                              limits(RAW_WIDTH)[1]), multiplier, shift)


def _join(at: tuple[int, ...]) -> str:
    return ", ".join(map(str, at))


@dataclasses.dataclass(frozen=True, eq=False)
class FixedPreprocessing:
    """Preprocessing in integers: ``word = (raw - offset) * multiplier / 2 ** shift``.

    `raw` is the input with `raw_frac` fraction bits in :data:`RAW_WIDTH` bits. Both conversions
    round halves up and saturate. `drivers/c/eie_quantise.h` computes the same words.

    Attributes
    ----------
    raw_frac, offset, multiplier, shift : int64
        Integers of each element, of the shape of those of :class:`Preprocessing`.
    """

    raw_frac: NDArray[np.int64]
    offset: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]

    def __post_init__(self) -> None:
        low, high = limits(RAW_WIDTH)
        for name, least, greatest in (
                ("raw_frac", -_MAX_RAW_FRAC, _MAX_RAW_FRAC), ("offset", low, high),
                ("multiplier", -1 << _MULTIPLIER_BITS, 1 << _MULTIPLIER_BITS), ("shift", 1, 62)):
            numbers = getattr(self, name)
            if not isinstance(numbers, np.ndarray) or numbers.dtype != np.int64 \
                    or not numbers.ndim or not numbers.size \
                    or numbers.shape != self.raw_frac.shape \
                    or not least <= numbers.min() <= numbers.max() <= greatest:
                raise PreprocessingError(f"{name} must be integers from {least} to {greatest}, one "
                                         "for each input")

    def quantise(self, values: ArrayLike, width: int) -> NDArray[np.int64]:
        """Convert numbers (batch, ...), or those of one input, to words of `width` bits.

        Raises
        ------
        VectorError
            If a value is not finite, or their number is wrong.
        """
        numbers = np.asarray(values, np.float64)
        if not broadcasts(self.shift.shape, numbers.shape):
            raise VectorError(f"Input must have {' × '.join(map(str, self.shift.shape))} elements, "
                              f"not shape {numbers.shape}")
        raw = quantise(numbers, self.raw_frac, RAW_WIDTH)
        product = (raw - self.offset) * self.multiplier
        return np.clip((product + (1 << (self.shift - 1))) >> self.shift, *limits(width))


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Check whether an array of `shape` is broadcast to another shape, which it leaves as it is.
    """
    return len(shape) <= len(to) and all(size in (1, other) for size, other in
                                         zip(shape[::-1], to[::-1]))


def quantise_inputs(values: ArrayLike, *, frac: int, width: int,
                    preprocessing: FixedPreprocessing | None, nonnegative: bool
                    ) -> NDArray[np.int64]:
    """Convert inputs (batch, ...) to words, as `drivers/c/eie_quantise.h` does.

    Parameters
    ----------
    frac, width : :class:`int`
        Fraction bits and width of a word.
    preprocessing : :class:`FixedPreprocessing`, optional
        Offset and scale of each input.
    nonnegative : :class:`bool`
        Saturate at 0 instead of the least word.

    Raises
    ------
    VectorError
        If a number is not finite.
    """
    words = quantise(values, frac, width) if preprocessing is None \
        else preprocessing.quantise(values, width)
    return np.maximum(words, 0) if nonnegative else words


def find_saturated(values: ArrayLike, words: NDArray[np.int64], *, frac: int,
                   preprocessing: FixedPreprocessing | None) -> NDArray[np.bool_]:
    """Find the inputs that saturate in `words`, from :func:`quantise_inputs`."""
    beyond: NDArray[np.bool_] = words != quantise_inputs(
        values, frac=frac, width=_WIDE, preprocessing=preprocessing, nonnegative=False)
    if preprocessing is not None:
        raw, exact = (quantise(values, preprocessing.raw_frac, bits)
                      for bits in (RAW_WIDTH, _WIDE))
        beyond |= raw != exact
    return beyond


def make_batch(inputs: ArrayLike, shape: tuple[int, ...], what: str = "", *, words: bool
               ) -> NDArray[Any]:
    """Check the shape and type of inputs; make a batch of one of a single one.

    Parameters
    ----------
    inputs : (batch, ...) or (...)
        Numbers, or words.
    shape : :class:`tuple` of :class:`int`
        Shape of one input.
    what : :class:`str`
        Noun for inputs, in the plural.
    words : :class:`bool`
        True if `inputs` are words.

    Raises
    ------
    VectorError
        If the batch is empty, inputs have another shape, or are no real numbers.
    """
    array = given = np.asarray(inputs)
    if array.ndim == len(shape):
        array = array[np.newaxis]
    if array.shape[1:] != shape or not len(array) or array.dtype.kind not in "iuf":
        raise VectorError(f"Inputs must be numbers, one or more {what}{' ' * bool(what)}of "
                          f"{' × '.join(map(str, shape))}, not {array.dtype} of shape "
                          f"{given.shape}{advise(given, shape, words=words)}")
    return array


def convert_inputs(inputs: ArrayLike, *, frac: int, width: int, words: bool,
                   preprocessing: FixedPreprocessing | None = None, nonnegative: bool = False
                   ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Convert inputs to words; return them, and which elements saturate.

    Parameters
    ----------
    inputs : (batch, ...)
        Numbers, whether integers or floating-point; or words, which must be integers.
    frac, width, preprocessing, nonnegative
        As for :func:`quantise_inputs`.
    words : :class:`bool`
        True if `inputs` are words already.

    Raises
    ------
    VectorError
        If `inputs` are not real or not finite; or if a word does not have `width` bits, or is
        negative, but must not be.
    """
    array = np.asarray(inputs)
    if array.dtype.kind not in ("iu" if words else "iuf"):
        what = "fixed-point words, which are integers" if words else "numbers"
        raise VectorError(f"Inputs must be {what}, not {array.dtype}"
                          f"{advise(array, array.shape[1:], words=words)}")
    if not words:
        quantised = quantise_inputs(array, frac=frac, width=width, preprocessing=preprocessing,
                                    nonnegative=nonnegative)
        return quantised, find_saturated(array, quantised, frac=frac, preprocessing=preprocessing)
    low, high = limits(width)
    if array.size and not low <= array.min() <= array.max() <= high:
        raise VectorError(f"Inputs must be fixed-point words from {low} to {high}, not from "
                          f"{array.min()} to {array.max()}")
    if nonnegative and (negative := np.argwhere(array < 0)).size:
        at = negative[0].tolist()
        raise VectorError("Inputs must not be negative, as the network was compressed for "
                          f"inputs that never are, but element {at} is {array[tuple(at)]}: "
                          "compress it again without --nonnegative-inputs, in Python "
                          "nonnegative_inputs")
    return array.astype(np.int64), np.zeros(array.shape, np.bool_)
