"""Fixed-point formats of the activations: from samples, or for all inputs up to a magnitude."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

from ..errors import CompileError, CompressError
from ..lowering.fixed_point import activation_range, choose_format
from ..model import Model
from ..network import MAX_FRAC, CompressedNetwork
from .decompress import decompress

__all__ = ["calibrate", "check_calibration", "fit_frac", "report"]

Samples = NDArray[np.floating[Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Range:
    """What the numbers of a vector can be.

    Attributes
    ----------
    name : :class:`str`
        ``input``, or the layer that makes it.
    values : float64
        All that were seen; or the least and the greatest that are possible.
    """

    name: str
    values: NDArray[np.float64]

    @property
    def magnitude(self) -> float:
        """Greatest magnitude."""
        return float(np.abs(self.values).max())


def calibrate(model: Model, *, act_width: int, samples: Samples | None = None,
              input_magnitude: float = 1.0, pins: Mapping[str, int] | None = None) -> list[int]:
    """Choose the format of the input and of the results of each layer.

    Parameters
    ----------
    model : :class:`~..model.Model`
        The network, with its shared weights.
    act_width : :class:`int`
        Bits of an activation.
    samples : (n_samples, n_inputs), or (n_samples, channels, height, width) of a convolution
        Inputs. Every format is the finest that holds all numbers seen with them; what is beyond
        saturates.
    input_magnitude : :class:`float`
        Greatest magnitude of an input, if there are no samples. Interval arithmetic carries it
        through the layers: no input can saturate, but the formats are coarser than most inputs
        need.
    pins : mapping of :class:`str` to :class:`int`
        Fraction bits to use for ``input``, or for the results of a layer, whatever was seen.

    Returns
    -------
    :class:`list` of :class:`int`
        Fraction bits of the input, then of each layer's results.

    Raises
    ------
    CompressError, PatchError
        If samples do not fit the model, an option is wrong, or a result is not finite.
    """
    pins = pins or {}
    check_calibration(model, samples=samples, input_magnitude=input_magnitude, pins=pins)
    return [pins[vector.name] if vector.name in pins else fit_frac(vector.magnitude, act_width)
            for vector in _ranges(model, samples, input_magnitude)]


def check_calibration(model: Model, *, samples: Samples | None, input_magnitude: float,
                      pins: Mapping[str, int]) -> None:
    """Raise :class:`CompressError` or :class:`PatchError` if :func:`calibrate` must."""
    names = ["input", *(layer.name for layer in model.layers)]
    for name, frac in pins.items():
        if name not in names:
            raise CompressError(f"pins must be of {', '.join(names)}, not of {name!r}")
        if type(frac) is not int or not -MAX_FRAC <= frac <= MAX_FRAC:
            raise CompressError(f"pin of {name!r} must be fraction bits from {-MAX_FRAC} to "
                                f"{MAX_FRAC}, not {frac!r}")
    next(_ranges(model, samples, input_magnitude))    # that of the input, which checks the others


def fit_frac(magnitude: float, act_width: int) -> int:
    """Most fraction bits with which numbers up to `magnitude` fit `act_width` bits."""
    if magnitude == 0:
        return act_width - 1
    # Exactly: fraction · 2 ** exponent, with a fraction from 1/2 to below 1.
    fraction, exponent = math.frexp(magnitude)
    too_great = math.ldexp(fraction, act_width - 1) > limits(act_width)[1]
    return min(max(act_width - 1 - exponent - too_great, -MAX_FRAC), MAX_FRAC)


def report(network: CompressedNetwork, config: EIEConfig, *, samples: Samples | None = None,
           input_magnitude: float = 1.0) -> list[dict[str, Any]]:
    """Tell how the formats of a network suit its numbers, and its accumulators a machine's.

    Parameters
    ----------
    network : :class:`~..network.CompressedNetwork`
        The network.
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    samples, input_magnitude
        As for :func:`calibrate`.

    Returns
    -------
    :class:`list` of :class:`dict`
        Of the input, then of each layer, as plain JSON: ``name``; ``lowest`` and ``highest``
        number; ``seen``, whether these occur with samples or are bounds; ``frac``, fraction bits;
        ``resolution``, the value of the last of them; ``clipped``, the share of the numbers that
        the format does not hold, None without samples. Of a layer also ``accumulator``:
        ``lowest`` and ``highest`` sum that any input can make, the ``bits`` this takes, sign
        included, and ``acc_width`` and ``spare_bits`` of the machine; or an ``error`` if there is
        no format for this machine.

    Raises
    ------
    CompressError, PatchError
        As for :func:`calibrate`.
    """
    fracs = [network.input_frac, *(layer.output_frac for layer in network.layers)]
    rows = []
    for vector, frac in zip(_ranges(decompress(network), samples, input_magnitude), fracs):
        least, greatest = (limit * 0.5 ** frac for limit in limits(config.act_width))
        # Half a step beyond the greatest still rounds to it.
        margin = 0.5 ** (frac + 1)
        beyond = (vector.values < least - margin) | (vector.values >= greatest + margin)
        rows.append({"name": vector.name, "lowest": float(vector.values.min()),
                     "highest": float(vector.values.max()), "seen": samples is not None,
                     "frac": frac, "resolution": 0.5 ** frac,
                     "clipped": None if samples is None else float(beyond.mean())})
    relu = False
    for row, layer, input_frac in zip(rows[1:], network.layers, fracs):
        try:
            chosen = choose_format(config, layer, input_frac, activation_range(config, relu=relu))
            row["accumulator"] = {
                "lowest": chosen.lowest, "highest": chosen.highest,
                "bits": config.acc_width - chosen.spare_bits, "acc_width": config.acc_width,
                "spare_bits": chosen.spare_bits}
        except CompileError as error:
            row["accumulator"] = {"error": str(error)}
        relu = layer.relu
    return rows


def _ranges(model: Model, samples: Samples | None, input_magnitude: float) -> Iterator[_Range]:
    """Numbers of the input, and of each layer's results."""
    if samples is not None:
        return _observe(model, samples)
    if not 0 < input_magnitude < math.inf:
        raise CompressError(f"input_magnitude must be positive and finite, not {input_magnitude!r}")
    return _bound(model, float(input_magnitude))


def _observe(model: Model, samples: Samples) -> Iterator[_Range]:
    """What is seen with samples."""
    samples = np.asarray(samples)
    if samples.dtype.kind not in "iuf":
        raise CompressError(f"calibration must be real numbers, not {samples.dtype}")
    values = np.asarray(samples if model.patches is None else model.patches.cut(samples),
                        np.float64)
    if values.ndim != 2 or values.shape[1] != model.layers[0].n_cols or not len(values):
        raise CompressError(f"calibration must be one or more inputs of {model.layers[0].n_cols} "
                            f"numbers, not of shape {samples.shape}")
    if not np.isfinite(values).all():
        raise CompressError("calibration must be finite")
    yield _Range("input", values)
    for layer in model.layers:
        with np.errstate(over="ignore", invalid="ignore"):
            values = layer(values)
        yield _results(layer.name, values)


def _bound(model: Model, magnitude: float) -> Iterator[_Range]:
    """What is possible with inputs up to `magnitude`, by interval arithmetic."""
    low = np.full(model.layers[0].n_cols, -magnitude)
    high = -low
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
        raise CompressError(f"layer {name!r}: results must be finite, but are too great for "
                            "floating-point numbers: scale the weights down")
    return _Range(name, values)
