"""Layers whose rows have scales, and results that are quantised, by the machine."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ZERO_WIDTH, EIEConfig
from eie_hdl.format import SCALE_SHIFT_WIDTH, Layouts
from eie_hdl.numeric import round_shift, saturate, wrap
from eie_hdl.packing import pack

from ..errors import CompileError
from ..graph.operations import Quantise
from ..network import Layer

__all__ = ["FixedScales", "Quantiser", "ScaledLayer", "fix_scales", "is_quantised",
           "quantiser_of"]


class Quantiser(NamedTuple):
    """Quantisation of results.

    Attributes
    ----------
    bits : :class:`int`
        Width of an integer.
    zero : :class:`int`
        Zero point, which is subtracted from it.
    """

    bits: int
    zero: int


@dataclasses.dataclass(frozen=True, eq=False)
class ScaledLayer(Layer):
    """Layer whose results are multiplied by a scale of each row, and quantised if need be.

    It computes ``y = relu?(scale * (codebook[codes] @ x + bias))``. With a quantiser, it computes
    the nearest integer, and subtracts the zero point from it when it has saturated.

    Attributes
    ----------
    scale : float64, n_rows
        Factor of each row, above 0.
    quantiser : :class:`Quantiser`, optional
        None: results are not quantised.
    """

    scale: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.ones(1))
    quantiser: Quantiser | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class FixedScales:
    """Scales of the rows of a layer as the machine multiplies by them; docs/architecture.md, "Row
    scales".

    Attributes
    ----------
    shifts : int64, n_rows
        Right shift of a sum, beside that of the tile.
    fractions : int64, n_rows
        Fractions of factors from 1 to 2, of ``act_width`` bits, as words.
    frac : :class:`int`
        Fraction bits that a sum must have, besides the right shift of the tile.
    act_width : :class:`int`
        Width of a word.
    rounding : :class:`int`
        Low bits of results that are 0, as they are quantised; else 0.
    zero : :class:`int`
        Zero point, as a word.
    """

    shifts: NDArray[np.int64]
    fractions: NDArray[np.int64]
    frac: int
    act_width: int
    rounding: int
    zero: int

    def __call__(self, sums: NDArray[np.int64], shift: int, *, relu: bool) -> NDArray[np.int64]:
        """Compute words (batch, n_rows) before they saturate, of sums with their biases."""
        width = self.act_width
        factors = (1 << width) + self.fractions % (1 << width)
        scaled = saturate(4 * sums >> shift + self.shifts, width + 2) * factors
        words = (round_shift(scaled, width + 2 + self.rounding) << self.rounding) + self.zero
        if not self.rounding:
            return np.maximum(words, 0) if relu else words
        # Integers are limited as they saturate, also to those that are not negative.
        integers = saturate(words, width - 1) >> self.rounding << self.rounding
        return integers - self.zero

    def spread(self, spread: Callable[[NDArray[Any]], NDArray[Any]]) -> "FixedScales":
        """Make those of other rows, by a function of a number for each row."""
        return dataclasses.replace(self, shifts=spread(self.shifts),
                                   fractions=spread(self.fractions))

    def pack_quantiser(self, config: EIEConfig) -> int:
        """Pack the word of a codebook that says how results are quantised."""
        word = pack(Layouts.of(config).quantiser, {
            "rounding": self.rounding, "zero": self.zero >> self.act_width - 1 - ZERO_WIDTH})
        return wrap(int(word[0]), config.codebook_width)


def is_quantised(layer: Layer) -> bool:
    """True if the machine quantises the results of a layer, which are then limited by that."""
    return isinstance(layer, ScaledLayer) and layer.quantiser is not None


def quantiser_of(operation: Quantise, act_width: int, frac: int) -> Quantiser:
    """Find the bits and the zero point of a quantisation with `frac` fraction bits of the result.

    Raises
    ------
    CompileError
        If the machine has no such integers, of which 0 is one.
    """
    low, high = operation.low, operation.high
    bits = (high - low).bit_length()
    zero = -(1 << bits - 1) - low
    if high - low != (1 << bits) - 1 or not low <= 0 <= high:
        raise CompileError("integers must be all of some number of bits, with zero, not from "
                           f"{low} to {high}")
    if frac != act_width - 1 - bits:
        raise CompileError(f"result must have {act_width - 1 - bits} fraction bits, for integers "
                           f"of {bits} bits, not {frac}")
    if not frac:
        raise CompileError(f"integers must have at most {act_width - 2} bits, not {bits}, as the "
                           "machine rounds one bit away or more")
    if (zero << ZERO_WIDTH) % (1 << bits):
        raise CompileError(f"zero point of {bits} bits must be a multiple of "
                           f"{1 << bits - ZERO_WIDTH}, not {zero}")
    return Quantiser(bits, zero)


def _round(factors: NDArray[np.float64], layer: ScaledLayer) -> NDArray[np.float64]:
    """Round factors, so that results for activations that are all zero are the nearest integers.

    Those of a row that hardly any activation reaches would otherwise all be off by one step, if
    they are near the middle between two.
    """
    nearest = np.rint(factors)
    if layer.quantiser is None:
        return nearest
    other = nearest + np.copysign(1.0, factors - nearest)
    exact = layer.bias * layer.scale
    found, instead = (np.rint(exact * (rounded / factors)) for rounded in (nearest, other))
    return np.where((found != np.rint(exact)) & (instead == np.rint(exact)), other, nearest)


def fix_scales(config: EIEConfig, layer: ScaledLayer) -> FixedScales:
    """Choose the words of the scales of a layer.

    Raises
    ------
    CompileError
        If the scales of rows are too different.
    """
    width, quantiser = config.act_width, layer.quantiser
    # A factor has a magnitude from 1 to 2: f · 2 ** exponent.
    mantissas, exponents = np.frexp(layer.scale)
    factors = _round(mantissas * (2 << width), layer).astype(np.int64)
    is_two = factors == 2 << width
    exponents = exponents - 1 + is_two
    shifts = (exponents.max() - exponents).astype(np.int64)
    most_shift = (1 << SCALE_SHIFT_WIDTH) - 1
    if shifts.max() > most_shift:
        raise CompileError(f"scales of rows must be within a factor of {1 << most_shift} of each "
                           f"other, not {2.0 ** int(shifts.max()):g}")
    rounding = 0 if quantiser is None else width - 1 - quantiser.bits
    zero = 0 if quantiser is None else quantiser.zero << rounding
    frac = (layer.output_frac if quantiser is None else rounding) + int(exponents.max())
    fractions = wrap(np.where(is_two, 0, factors - (1 << width)), width)
    return FixedScales(shifts, fractions, frac, width, rounding, zero)
