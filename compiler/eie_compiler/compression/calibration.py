"""Fixed-point formats of activations, from samples or from the magnitude of inputs."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

from ..errors import CompileError, CompressError
from ..lowering.fixed_point import choose_format, layers_with_inputs, measure_precision
from ..model import Model
from ..network import MAX_FRAC, CompressedNetwork
from ..remedies import advise
from .decompress import decompress

__all__ = ["calibrate", "check_calibration", "fit_frac", "observe", "report_formats",
           "sample_vectors"]

#: Greatest magnitude of a preprocessed input, without samples: eight standard deviations, if
#: preprocessing standardises.
PREPROCESSED_MAGNITUDE = 8

Samples = NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Range:
    """Range of the numbers of a vector.

    Attributes
    ----------
    name : :class:`str`
        ``input``, or the name of the layer that computes it.
    values : float64
        All numbers observed; or the least and the greatest possible.
    """

    name: str
    values: NDArray[np.float64]

    @property
    def magnitude(self) -> float:
        """Greatest magnitude."""
        return float(np.abs(self.values).max())


def calibrate(model: Model, *, act_width: int, samples: Samples | None = None,
              input_magnitude: float = 1.0, nonnegative_inputs: bool = False,
              pins: Mapping[str, int] | None = None) -> list[int]:
    """Choose the formats of the input and of the results of each layer.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model with the shared weights.
    act_width : :class:`int`
        Width of an activation in bits.
    samples : (n_samples, n_inputs), or (n_samples, channels, height, width) of a convolution
        Sample inputs. Each format is the finest that holds all numbers observed with them; numbers
        beyond saturate.
    input_magnitude : :class:`float`
        Greatest magnitude of an input, used without samples. Interval arithmetic propagates it
        through the layers: nothing can saturate, but formats are coarser than most inputs need.
        After preprocessing, which standardises inputs of any magnitude, it counts
        :data:`PREPROCESSED_MAGNITUDE` times.
    nonnegative_inputs : :class:`bool`
        True if no input is negative.
    pins : mapping of :class:`str` to :class:`int`
        Fixed number of fraction bits for ``input``, or for the results of a layer.

    Returns
    -------
    :class:`list` of :class:`int`
        Fraction bits of the input, then of each layer's results.

    Raises
    ------
    CompressError, PatchError
        If samples do not match the model, an option is invalid, or a result is not finite.
    """
    pins = pins or {}
    check_calibration(model, samples=samples, input_magnitude=input_magnitude,
                      nonnegative_inputs=nonnegative_inputs, pins=pins)
    return [pins[vector.name] if vector.name in pins else fit_frac(vector.magnitude, act_width)
            for vector in _ranges(model, samples, input_magnitude, nonnegative_inputs)]


def check_calibration(model: Model, *, samples: Samples | None, input_magnitude: float,
                      nonnegative_inputs: bool = False, pins: Mapping[str, int]) -> None:
    """Check the arguments of :func:`calibrate`; raise as it does."""
    names = ["input", *(layer.name for layer in model.layers)]
    for name, frac in pins.items():
        if name not in names:
            raise CompressError(f"pins must be for {', '.join(names)}, not {name!r}")
        if type(frac) is not int or not -MAX_FRAC <= frac <= MAX_FRAC:
            raise CompressError(f"pin of {name!r} must be fraction bits from {-MAX_FRAC} to "
                                f"{MAX_FRAC}, not {frac!r}")
    if nonnegative_inputs and samples is not None and (least := np.min(samples)) < 0:
        raise CompressError(f"calibration must not be negative with nonnegative_inputs=, but its "
                            f"least number is {least:g}")
    # The first range checks the samples.
    next(_ranges(model, samples, input_magnitude, nonnegative_inputs))


def fit_frac(magnitude: float, act_width: int) -> int:
    """Find the most fraction bits with which numbers up to `magnitude` fit `act_width` bits."""
    if magnitude == 0:
        return act_width - 1
    # magnitude = fraction · 2 ** exponent exactly, 1/2 <= fraction < 1.
    fraction, exponent = math.frexp(magnitude)
    too_great = math.ldexp(fraction, act_width - 1) > limits(act_width)[1]
    return min(max(act_width - 1 - exponent - too_great, -MAX_FRAC), MAX_FRAC)


def report_formats(network: CompressedNetwork, config: EIEConfig, *, samples: Samples | None = None,
                   input_magnitude: float = 1.0) -> list[dict[str, Any]]:
    """Report how well formats fit the values of a network, and accumulators of a machine its sums.

    Parameters
    ----------
    network : :class:`~..network.CompressedNetwork`
        Network to report on.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for the width of the accumulators.
    samples, input_magnitude
        As for :func:`calibrate`.

    Returns
    -------
    :class:`list` of :class:`dict`
        One for the input, then one for each layer, as plain JSON: ``name``; ``lowest`` and
        ``highest`` number; ``seen``, true for numbers observed with samples, false for bounds;
        ``frac``, fraction bits; ``resolution``, the value of the last of them; ``clipped``, the
        share of the numbers that the format does not hold, None without samples. For a layer also
        ``accumulator``: ``lowest`` and ``highest`` sum of any input, its ``bits`` including the
        sign, and ``acc_width`` and ``spare_bits`` of the machine; or an ``error`` if no format
        suits the machine. And ``precision``, the fields of
        :class:`~..lowering.fixed_point.WeightPrecision`.

    Raises
    ------
    CompressError, PatchError
        As for :func:`calibrate`.
    """
    fracs = [network.input_frac, *(layer.output_frac for layer in network.layers)]
    rows = []
    ranges = _ranges(decompress(network), samples, input_magnitude, network.nonnegative_inputs)
    for vector, frac in zip(ranges, fracs):
        least, greatest = (limit * 0.5 ** frac for limit in limits(config.act_width))
        # Numbers up to half a step beyond the greatest round to it.
        margin = 0.5 ** (frac + 1)
        beyond = (vector.values < least - margin) | (vector.values >= greatest + margin)
        rows.append({"name": vector.name, "lowest": float(vector.values.min()),
                     "highest": float(vector.values.max()), "seen": samples is not None,
                     "frac": frac, "resolution": 0.5 ** frac,
                     "clipped": None if samples is None else float(beyond.mean())})
    for row, inputs in zip(rows[1:], layers_with_inputs(config, network)):
        try:
            chosen = choose_format(config, *inputs)
            row["accumulator"] = {
                "lowest": chosen.lowest, "highest": chosen.highest,
                "bits": config.acc_width - chosen.spare_bits, "acc_width": config.acc_width,
                "spare_bits": chosen.spare_bits}
            row["precision"] = dataclasses.asdict(measure_precision(config, chosen, *inputs))
        except CompileError as error:
            row["accumulator"] = {"error": str(error)}
    return rows


def _ranges(model: Model, samples: Samples | None, input_magnitude: float,
            nonnegative_inputs: bool) -> Iterator[_Range]:
    """Ranges of the input and of the results of each layer."""
    if samples is not None:
        return observe(model, samples)
    if not 0 < input_magnitude < math.inf:
        raise CompressError(f"input_magnitude must be positive and finite, not {input_magnitude!r}")
    return _bound(model, float(input_magnitude), nonnegative_inputs)


def sample_vectors(model: Model, samples: Samples) -> NDArray[np.float64]:
    """Check samples, and cut those of a convolution into patches, before preprocessing.

    Raises
    ------
    CompressError, PatchError
        If samples do not match the model.
    """
    samples = np.asarray(samples)
    if samples.dtype.kind not in "iuf":
        raise CompressError(f"calibration must contain real numbers, not {samples.dtype}"
                            f"{advise(samples, samples.shape[1:])}")
    values = np.asarray(samples if model.patches is None else model.patches.cut(samples),
                        np.float64)
    if values.ndim != 2 or values.shape[1] != model.layers[0].n_cols or not len(values):
        raise CompressError(f"calibration must contain one or more inputs of "
                            f"{model.layers[0].n_cols} numbers, not shape {samples.shape}"
                            f"{advise(samples, (model.layers[0].n_cols,))}")
    if not (finite := np.isfinite(values)).all():
        at = np.argwhere(~finite)[0].tolist()
        raise CompressError(f"calibration must be finite, but element {at} is {values[tuple(at)]}")
    return values


def observe(model: Model, samples: Samples) -> Iterator[_Range]:
    """Ranges of the input, preprocessed, and of the results of each layer, with samples.

    Raises
    ------
    CompressError, PatchError
        If samples do not match the model, or a result is not finite.
    """
    values = model.preprocess(sample_vectors(model, samples))
    yield _Range("input", values)
    for layer in model.layers:
        with np.errstate(over="ignore", invalid="ignore"):
            values = layer(values)
        yield _results(layer.name, values)


def _bound(model: Model, magnitude: float, nonnegative: bool) -> Iterator[_Range]:
    """Ranges possible with inputs up to `magnitude`, by interval arithmetic."""
    high = np.full(model.layers[0].n_cols, magnitude)
    low = np.zeros_like(high) if nonnegative else -high
    if model.preprocessing is not None:
        low, high = low * PREPROCESSED_MAGNITUDE, high * PREPROCESSED_MAGNITUDE
    yield _Range("input", np.stack([low, high]))
    for layer in model.layers:
        with np.errstate(over="ignore", invalid="ignore"):
            middle = layer.weight @ ((low + high) / 2) + layer.bias
            reach = abs(layer.weight) @ ((high - low) / 2)
            low, high = middle - reach, middle + reach
        if layer.relu:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        yield _results(layer.name, np.stack([low, high]))


def _results(name: str, values: NDArray[np.float64]) -> _Range:
    if not np.isfinite(values).all():
        raise CompressError(f"layer {name!r}: results must be finite, but exceed the range of "
                            "floating-point numbers: scale the weights down")
    return _Range(name, values)
