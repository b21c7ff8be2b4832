"""Number formats of a layer that exclude overflow of its accumulators."""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import MAX_ACC_WIDTH, EIEConfig
from eie_hdl.numeric import limits

from ..errors import CompileError
from ..network import CompressedNetwork, Layer
from .scaled_layer import FixedScales, ScaledLayer, fix_scales

__all__ = ["LayerFormat", "LayerInput", "WeightPrecision", "activation_range", "choose_format",
           "choose_formats", "exact_bias_shift", "layers_with_inputs", "measure_precision",
           "partial_sum_bounds", "replace_biases", "rounding_error"]


@dataclasses.dataclass(frozen=True, eq=False)
class LayerFormat:
    """Fixed-point format of one layer.

    Attributes
    ----------
    weight_frac : :class:`int`
        Fraction bits of the codebook.
    bias_shift : :class:`int`
        Left shift of a bias into the accumulator.
    shift : :class:`int`
        Right shift of an accumulator into a result.
    codebook : int64, ``2 ** v_width``
        Codebook entries.
    bias : int64, n_rows
        Biases.
    lowest, highest : :class:`int`
        Exact bounds of a partial sum of any row, over all inputs, with or without the bias.
    spare_bits : :class:`int`
        Bits of the accumulator that always equal the sign bit, without the sign bit itself.
    scales : :class:`~.scaled_layer.FixedScales`, optional
        Scales of the rows, of a :class:`~.scaled_layer.ScaledLayer`. `shift` is the least of the
        right shifts of all rows, and the unused entry 0 of the codebook says how the machine
        quantises the results.
    """

    weight_frac: int
    bias_shift: int
    shift: int
    codebook: NDArray[np.int64]
    bias: NDArray[np.int64]
    lowest: int
    highest: int
    spare_bits: int
    scales: FixedScales | None = None


class LayerInput(NamedTuple):
    """Layer with its inputs.

    Attributes
    ----------
    layer : :class:`~..network.Layer`
        The layer.
    frac : :class:`int`
        Fraction bits of an input.
    act_range : pair of :class:`int`
        Least and greatest word of an input.
    """

    layer: Layer
    frac: int
    act_range: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class WeightPrecision:
    """Precision of the weights of a layer on a machine.

    Attributes
    ----------
    lost_bits : :class:`int`
        Bits of each weight that the width of the accumulator costs.
    error : :class:`float`
        Root mean square of the rounding errors of the weights, relative to that of the weights.
    possible_error : :class:`float`
        The same with an accumulator that costs no bit.
    acc_width : :class:`int`
        Accumulator bits that cost none.
    """

    lost_bits: int
    error: float
    possible_error: float
    acc_width: int


def activation_range(config: EIEConfig, *, nonnegative: bool) -> tuple[int, int]:
    """Compute the least and greatest word of a vector."""
    low, high = limits(config.act_width)
    return (0 if nonnegative else low), high


def partial_sum_bounds(counts: NDArray[np.int64], codebook: NDArray[np.int64],
                       bias: NDArray[np.int64], act_range: tuple[int, int]
                       ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compute the least and greatest partial sum of each row, over all inputs and all orders.

    Every weight of a row belongs to another column, so all activations are independent. The
    greatest partial sum consists of all terms that can be positive and no others, hence
    ``sum(max(0, w · low, w · high)) + max(0, bias)``; likewise the least. One input and order
    attain it, so the bound is exact.

    Parameters
    ----------
    counts : int64, n_rows × 2 ** v_width
        Number of occurrences of each code in each row.
    codebook : int64, 2 ** v_width
        Weight of each code.
    bias : int64, n_rows
        Biases, shifted as in the accumulator.
    act_range : pair of :class:`int`
        Least and greatest activation.

    Returns
    -------
    pair of int64, n_rows
        Lowest and highest; greater magnitudes are given as ``2 ** 62``.
    """
    extremes = np.stack([codebook * act_range[0], codebook * act_range[1]])
    return (_sums(counts, np.minimum(extremes.min(0), 0), np.minimum(bias, 0)),
            _sums(counts, np.maximum(extremes.max(0), 0), np.maximum(bias, 0)))


def _sums(counts: NDArray[np.int64], terms: NDArray[np.int64],
          bias: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute ``counts @ terms + bias`` where this fits 62 bits, else ±2 ** 62."""
    # All terms have one sign: a small sum has no large intermediate result.
    rough = counts.astype(np.float64) @ terms.astype(np.float64) + bias.astype(np.float64)
    large = np.abs(rough) > 2.0 ** 61
    exact = np.where(large[:, None], 0, counts) @ terms + bias
    return np.where(large, np.sign(rough).astype(np.int64) << 62, exact)


def choose_format(config: EIEConfig, layer: Layer, input_frac: int,
                  act_range: tuple[int, int]) -> LayerFormat:
    """Choose the finest codebook scale at which all numbers fit and no accumulator can overflow.

    Raises
    ------
    CompileError
        If there is no such scale.
    """
    counts = _count_codes(layer)
    used = counts.any(axis=0)
    scales, frac, most = None, layer.output_frac, config.max_shift
    if isinstance(layer, ScaledLayer):
        scales = fix_scales(config, layer)
        frac, most = scales.frac, most - int(scales.shifts.max())
    # The accumulator has weight_frac + input_frac fraction bits; this many are shifted out.
    reason = ""
    for shift in range(most, -1, -1):
        weight_frac = shift + frac - input_frac
        if layer.max_weight_frac is not None and weight_frac > layer.max_weight_frac:
            reason = (f"at a shift of {shift} weights have {weight_frac} fraction bits, more than "
                      f"max_weight_frac = {layer.max_weight_frac}")
            continue
        codebook = _scale(layer.codebook, weight_frac)
        if layer.codebook[used].any() and not codebook[used].any():
            reason = reason or f"at a shift of {shift} all weights round to zero"
            break
        low, high = limits(config.codebook_width)
        if not low <= codebook.min() <= codebook.max() <= high:
            reason = (f"at a shift of {shift} a weight is {np.abs(codebook).max():.0f}, which "
                      f"codebook_width = {config.codebook_width} bits do not hold")
            continue
        bias_shift = _bias_shift(config, layer, weight_frac + input_frac)
        if bias_shift is None:
            reason = (f"at a shift of {shift} a bias of {np.abs(layer.bias).max():g} does not fit "
                      f"act_width = {config.act_width} bits, shifted left by "
                      f"{config.max_bias_shift}")
            continue
        integers = codebook.astype(np.int64)
        bias = _scale(layer.bias, weight_frac + input_frac - bias_shift).astype(np.int64)
        lowest, highest = partial_sum_bounds(counts, integers, bias << bias_shift, act_range)
        spare = _spare_bits(config, lowest, highest)
        if spare >= 0:
            if scales is not None:
                integers[0] = scales.pack_quantiser(config)
            return LayerFormat(weight_frac, bias_shift, shift, integers, bias,
                               int(lowest.min()), int(highest.max()), spare, scales)
        worst = int(np.argmax(np.maximum(highest, ~lowest)))
        reason = (f"at a shift of {shift} sums of row {worst} need {config.acc_width - spare} "
                  f"bits, and acc_width is {config.acc_width}")
    raise CompileError(
        f"layer {layer.name!r}: some codebook scale must fit input_frac = {input_frac} and "
        f"output_frac = {layer.output_frac}, but {reason}: change output_frac, or widen the "
        f"machine")


def exact_bias_shift(config: EIEConfig, sums: NDArray[np.int64], chosen: LayerFormat
                     ) -> int | None:
    """Find a left shift of words that gives exactly these biases of the accumulator.

    It is that of a format if possible, else the least one, or None if there is none.
    """
    low, high = limits(config.act_width)
    for shift in (chosen.bias_shift, *range(config.max_bias_shift + 1)):
        words = sums >> shift
        if low <= words.min() <= words.max() <= high and (words << shift == sums).all():
            return shift
    return None


def replace_biases(config: EIEConfig, layer: Layer, chosen: LayerFormat, sums: NDArray[np.int64],
                   act_range: tuple[int, int]) -> LayerFormat:
    """Replace the biases of a format; all scales but that of the biases stay.

    Parameters
    ----------
    layer : :class:`~..network.Layer`
        Layer of the new biases, for its codes.
    chosen : :class:`LayerFormat`
        Format of a layer with these and other rows and columns.
    sums : int64, n_rows
        New biases, as they enter the accumulator.
    act_range : pair of :class:`int`
        Least and greatest activation.

    Raises
    ------
    ValueError
        If :func:`exact_bias_shift` finds no shift.
    """
    bias_shift = exact_bias_shift(config, sums, chosen)
    if bias_shift is None:
        raise ValueError(f"sums must be words of {config.act_width} bits with one left shift, not "
                         f"from {sums.min()} to {sums.max()}")
    lowest, highest = partial_sum_bounds(_count_codes(layer), chosen.codebook, sums, act_range)
    return dataclasses.replace(
        chosen, bias_shift=bias_shift, bias=sums >> bias_shift, lowest=int(lowest.min()),
        highest=int(highest.max()), spare_bits=_spare_bits(config, lowest, highest))


def choose_formats(config: EIEConfig, network: CompressedNetwork) -> list[LayerFormat]:
    """Choose the format of each layer, as :func:`choose_format` does."""
    return [choose_format(config, *inputs) for inputs in layers_with_inputs(config, network)]


def layers_with_inputs(config: EIEConfig, network: CompressedNetwork) -> list[LayerInput]:
    """Return each layer with its inputs."""
    rows, frac, nonnegative = [], network.input_frac, network.nonnegative_inputs
    for layer in network.layers:
        rows.append(LayerInput(layer, frac, activation_range(config, nonnegative=nonnegative)))
        frac, nonnegative = layer.output_frac, layer.relu
    return rows


def measure_precision(config: EIEConfig, bound: LayerFormat, layer: Layer, input_frac: int,
                      act_range: tuple[int, int]) -> WeightPrecision:
    """Measure what the width of the accumulators costs the weights of a layer of format `bound`.

    Where there are none, none loses a bit.
    """
    if not layer.n_nonzeros:
        return WeightPrecision(0, 0.0, 0.0, config.acc_width)
    free = choose_format(dataclasses.replace(config, acc_width=MAX_ACC_WIDTH), layer, input_frac,
                         act_range)
    return WeightPrecision(free.weight_frac - bound.weight_frac, rounding_error(layer, bound),
                           rounding_error(layer, free), MAX_ACC_WIDTH - free.spare_bits)


def rounding_error(layer: Layer, chosen: LayerFormat) -> float:
    """Root mean square of the rounding errors of weights, relative to that of the weights."""
    exact = layer.codebook[layer.codes.data]
    power = (exact ** 2).sum()
    errors = np.ldexp(chosen.codebook.astype(np.float64), -chosen.weight_frac) - layer.codebook
    return float(((errors[layer.codes.data] ** 2).sum() / power) ** 0.5) if power else 0.0


def _scale(values: NDArray[np.float64], frac: int) -> NDArray[np.float64]:
    """Round values with `frac` fraction bits to integers; infinite beyond float64."""
    with np.errstate(over="ignore"):
        return np.rint(np.ldexp(values, frac))


def _spare_bits(config: EIEConfig, lowest: NDArray[np.int64], highest: NDArray[np.int64]) -> int:
    """Count the accumulator bits that partial sums do not need; negative if there are too few."""
    return config.acc_width - 1 - max(int(highest.max()).bit_length(),
                                      (~int(lowest.min())).bit_length())


def _count_codes(layer: Layer) -> NDArray[np.int64]:
    """Count the occurrences of each code in each row."""
    shape = (layer.n_rows, len(layer.codebook))
    at = layer.codes.indices.astype(np.int64) * shape[1] + layer.codes.data
    return np.bincount(at, minlength=shape[0] * shape[1]).reshape(shape)


def _bias_shift(config: EIEConfig, layer: Layer, acc_frac: int) -> int | None:
    """Find the smallest left shift, hence the finest format, with which all biases fit a word."""
    low, high = limits(config.act_width)
    extremes = np.array([layer.bias.min(), layer.bias.max()])
    for shift in range(config.max_bias_shift + 1):
        least, greatest = _scale(extremes, acc_frac - shift)
        if low <= least and greatest <= high:
            return shift
    return None
