"""Compression of a model: pruning, weight sharing, choice of formats."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..errors import CompressError
from ..model import Model, ModelLayer
from ..network import CompressedNetwork, Layer
from .calibration import calibrate, check_calibration, observe, sample_vectors
from .decompress import decompress, decompress_layer
from .equalisation import equalise
from .offsets import find_folded, fold_offsets
from .prune import check_pruning, density_of, prune, prune_by_effect
from .reconstruction import reconstruct_layer
from .weight_sharing import check_sharing, share_weights

__all__ = ["check_options", "compress", "densities"]


def compress(model: Model, *, density: float | Sequence[float] | None = None,
             quality: float | Sequence[float] | None = None, balance: int | None = None,
             v_width: int = 4, n_shared: int | None = None, quantiser: str = "kmeans",
             kmeans_init: str = "exact", act_width: int = 16, codebook_width: int = 16,
             reconstruct: bool = False, damping: float | None = None,
             calibration: NDArray[np.floating[Any]] | None = None,
             reached: NDArray[np.float64] | None = None, input_magnitude: float = 1.0,
             nonnegative_inputs: bool = False, pins: Mapping[str, int] | None = None,
             progress: Callable[[str], None] = lambda step: None) -> CompressedNetwork:
    """Compress a model without retraining.

    A layer with at most ``2 ** v_width - 1`` distinct nonzero weights, such as one of a retrained
    model or of another compressed format, keeps its weights exactly. Other layers exchange scales
    as in :func:`~.equalisation.equalise`. With samples, errors of weights count in proportion to
    the variance of their inputs, and biases are corrected by the mean error of each result.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model to compress.
    density, quality : :class:`float`, or one for each layer
        Pruning, as for :func:`densities`.
    balance : :class:`int`, optional
        As for :func:`~.prune.prune`. Compile for the same number of PEs, with interleaved rows.
    v_width : :class:`int`, 2 to 8
        Width of a codebook index in bits.
    n_shared : :class:`int`, optional
        Most shared weights of a layer besides zero; ``2 ** v_width - 1`` by default.
    quantiser, kmeans_init : :class:`str`
        As for :func:`~.weight_sharing.share_weights`.
    act_width : :class:`int`
        Width of an activation of the target machine in bits, which the formats use fully.
    codebook_width : :class:`int`
        Width of a codebook entry of the target machine in bits, which the network records.
    reconstruct : :class:`bool`
        True to prune as :func:`~.prune.prune_by_effect` does, and to choose codes and shared
        weights as :func:`~.reconstruction.reconstruct_layer` does; needs samples. Evenly spaced
        weights stay so.
    damping : :class:`float`, optional
        With `reconstruct`: as for :func:`~.reconstruction.reconstruct_layer`, and for errors of
        weights, which then count in proportion to the sum of the variance of their inputs and its
        mean times this.
    calibration, input_magnitude, pins
        Choice of formats: `samples` and other parameters of :func:`~.calibration.calibrate`.
        Samples are also used for the weights and biases.
    reached : array like `calibration`, optional
        The same samples as networks before this one compute them, for patches and preprocessing
        none. Biases then correct the mean of those errors, too.
    nonnegative_inputs : :class:`bool`
        True if no input is ever negative: weights then keep more bits in a narrow accumulator.
        Negative inputs saturate at 0.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    CompressError, PatchError, ConfigError
        If an option is invalid, or results are not finite.
    """
    check_options(model, v_width=v_width, quantiser=quantiser, kmeans_init=kmeans_init,
                  act_width=act_width, codebook_width=codebook_width, calibration=calibration,
                  input_magnitude=input_magnitude,
                  nonnegative_inputs=nonnegative_inputs, pins=pins)
    shares = densities(model, density=density, quality=quality)
    n_shared = n_shared or (1 << v_width) - 1
    if calibration is None:
        model = equalise(model, n_shared)
    else:
        active = [(vector.values != 0).any(axis=0) for vector in observe(model, calibration)][1:]
        model = equalise(model, n_shared, active)
    observed = None if calibration is None else observe(model, calibration)
    correction = _Correction(reached)
    layers = []
    for layer, share in zip(model.layers, shares):
        progress(f"compressing {layer.name}")
        inputs = None if observed is None else next(observed).values
        if reconstruct and inputs is not None and share < 1:
            sparse = prune_by_effect(layer.weight, share, inputs, balance)
        else:
            sparse = prune(layer.weight, density=share, balance=balance)
        importance = None if inputs is None else np.repeat(
            inputs.var(axis=0) + (damping or 0) * inputs.var(axis=0).mean(),
            np.diff(sparse.indptr))
        codebook, codes = share_weights(sparse.data, n_shared, kmeans_init, importance=importance,
                                        quantiser=quantiser)
        changed = (codebook[codes] != sparse.data).any()
        sparse = csc_array((codes, sparse.indices, sparse.indptr), shape=sparse.shape)
        if reconstruct and inputs is not None and changed:
            options = {} if damping is None else {"damping": damping}
            codebook, sparse = reconstruct_layer(layer.weight, codebook, sparse, inputs,
                                                 fit=quantiser != "uniform", **options)
        codebook = np.pad(codebook, (0, (1 << v_width) - len(codebook)))
        shared = Layer(layer.name, sparse, codebook, layer.bias, layer.relu, output_frac=0)
        layers.append(shared if inputs is None else correction.apply(layer, shared, inputs))
    unscaled = CompressedNetwork(tuple(layers), input_frac=0, v_width=v_width,
                                 patches=model.patches, preprocessing=model.preprocessing,
                                 nonnegative_inputs=nonnegative_inputs)
    if calibration is not None:
        unscaled = fold_offsets(unscaled, sample_vectors(model, calibration))
    progress("choosing formats")
    input_frac, *fracs = calibrate(decompress(unscaled), act_width=act_width, samples=calibration,
                                   input_magnitude=input_magnitude,
                                   nonnegative_inputs=nonnegative_inputs, pins=pins)
    layers = [dataclasses.replace(layer, output_frac=frac)
              for layer, frac in zip(unscaled.layers, fracs)]
    return dataclasses.replace(unscaled, input_frac=input_frac, layers=tuple(layers),
                               act_width=act_width, codebook_width=codebook_width)


class _Correction:
    """Correction of the biases of successive layers by the mean error of their results."""

    def __init__(self, inputs: NDArray[np.float64] | None) -> None:
        #: Samples of the inputs of the next shared layer; None as long as they have not changed.
        self._inputs = inputs

    def apply(self, layer: ModelLayer, shared: Layer, inputs: NDArray[np.float64]) -> Layer:
        """Correct the bias of a layer with shared weights, for the inputs of the original one."""
        weight = decompress_layer(shared).weight
        change = layer.weight - weight
        if self._inputs is None:
            if not (change if isinstance(change, np.ndarray) else change.data).any():
                return shared
            self._inputs = inputs
        bias = layer.bias + change @ inputs.mean(axis=0) \
            + weight @ (inputs.mean(axis=0) - self._inputs.mean(axis=0))
        with np.errstate(over="ignore"):
            single = bias.astype(np.float32).astype(np.float64)
        # An estimate needs no more digits, which would only lengthen the file.
        corrected = dataclasses.replace(shared,
                                        bias=single if np.isfinite(single).all() else bias)
        self._inputs = decompress_layer(corrected)(self._inputs)
        return corrected


def check_options(model: Model, *, v_width: int, quantiser: str = "kmeans", kmeans_init: str,
                  act_width: int, codebook_width: int = 16,
                  calibration: NDArray[np.floating[Any]] | None = None,
                  input_magnitude: float = 1.0, nonnegative_inputs: bool = False,
                  pins: Mapping[str, int] | None = None) -> None:
    """Check options of :func:`compress` before any long computation; raise as it does."""
    check_sharing(v_width, kmeans_init, quantiser)
    EIEConfig.check("act_width", act_width)
    EIEConfig.check("codebook_width", codebook_width)
    check_calibration(model, samples=calibration, input_magnitude=input_magnitude,
                      nonnegative_inputs=nonnegative_inputs, pins=pins or {})
    if nonnegative_inputs and model.preprocessing is not None:
        offset, scale = model.preprocessing.offset, model.preprocessing.scale
        if calibration is not None:
            folded = find_folded(model.preprocessing, sample_vectors(model, calibration))
            offset = np.where(folded, 0, offset)
        if (signed := (offset > 0) | (scale < 0)).any():
            at = int(np.argmax(signed))
            raise CompressError(
                f"nonnegative_inputs must stay so after preprocessing, but element {at} is "
                f"multiplied by {scale[at]:g} after {offset[at]:g} is subtracted: leave the option "
                "out")


def densities(model: Model, *, density: float | Sequence[float] | None = None,
              quality: float | Sequence[float] | None = None) -> list[float]:
    """Compute the share of the weights that each layer keeps.

    Parameters
    ----------
    density, quality : :class:`float`, or one for each layer
        As for :func:`~.prune.prune`. A quality refers to the present weights of the layer. With
        neither, all nonzeros stay.

    Raises
    ------
    CompressError
        If an option is invalid.
    """
    if density is None and quality is None:
        density = 1.0
    shares, qualities = (_per_layer(option, values, len(model.layers))
                         for option, values in (("density", density), ("quality", quality)))
    result = []
    for layer, share, threshold in zip(model.layers, shares, qualities):
        check_pruning(share, threshold)
        result.append(share if threshold is None else density_of(layer.weight, threshold))
    return result


def _per_layer(option: str, values: float | Sequence[float] | None, n_layers: int) -> list[Any]:
    """Expand an option that is one number for all layers to one for each."""
    if values is None or isinstance(values, (int, float)):
        return [values] * n_layers
    if len(values) != n_layers:
        raise CompressError(f"{option} must have one number for each of {n_layers} layers, "
                            f"not {len(values)}")
    return list(values)
