"""From dense float matrices to a compressed network: prune, share weights, choose formats."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from .archive import ArchiveError, read_arrays
from .network import MAX_FRAC, CompressedNetwork, Layer

__all__ = ["CompressError", "compress_dense", "fit_frac", "prune", "read_weights", "share_weights"]

#: Lloyd's iteration ends by itself; this only bounds it.
_MAX_ROUNDS = 1000

_SUFFIXES = (".weight", "_weight")

Floats = NDArray[np.floating[Any]]


class CompressError(ValueError):
    """Weights or options that make no network; the message names the layer or the option."""


def compress_dense(weights: Sequence[tuple[str, Floats, Floats | None]], *,
                   density: float | Sequence[float], v_width: int = 4,
                   relu: Sequence[bool] | None = None, act_width: int = 16,
                   calibration: Floats | None = None,
                   input_magnitude: float = 1.0) -> CompressedNetwork:
    """Compress fully connected layers, without retraining.

    Parameters
    ----------
    weights : sequence of (name, n_rows × n_cols, n_rows or None)
        Name, weights and bias of each layer, in order of computation.
    density : :class:`float`, or one for each layer, above 0 to 1
        Share of the weights that stays: the greatest by magnitude. Zeros never stay.
    v_width : :class:`int`, 2 to 8
        Bits of a codebook index: ``2 ** v_width - 1`` shared weights beside zero.
    relu : sequence of :class:`bool`, or None
        Whether each layer ends in a ReLU. None: all but the last.
    act_width : :class:`int`
        Bits of an activation of the machine it is meant for; the formats fill them.
    calibration : n_samples × n_inputs, or None
        Inputs. Every format is as fine as the range seen with them allows; what is beyond
        saturates.
    input_magnitude : :class:`float`
        Greatest magnitude of an input, if there is no `calibration`. Interval arithmetic carries
        it through the layers: no input can saturate, but the formats are coarser than most inputs
        need.

    Raises
    ------
    CompressError, ConfigError
        If a matrix or an option is wrong.
    """
    densities = _per_layer("density", density, len(weights))
    relus = (list(relu) if relu is not None
             else [number < len(weights) - 1 for number in range(len(weights))])
    _per_layer("relu", relus, len(weights))
    if type(v_width) is not int or not 2 <= v_width <= 8:
        raise CompressError(f"v_width must be an integer from 2 to 8, not {v_width!r}")
    EIEConfig.check("act_width", act_width)
    _check_chain(weights)
    parts = []
    for (name, dense, bias), kept in zip(weights, densities):
        sparse = prune(dense, kept)
        codebook, codes = share_weights(sparse.data, (1 << v_width) - 1)
        biases = np.zeros(dense.shape[0]) if bias is None else np.asarray(bias, np.float64)
        parts.append((name, csc_array((codes, sparse.indices, sparse.indptr), shape=dense.shape),
                      codebook, biases))
    if calibration is None:
        magnitudes = _bound(parts, relus, input_magnitude)
    else:
        magnitudes = _observe(parts, relus, np.asarray(calibration, np.float64))
    fracs = [fit_frac(magnitude, act_width) for magnitude in magnitudes]
    return CompressedNetwork(
        layers=tuple(Layer(*part, relu=is_relu, output_frac=frac)
                     for part, is_relu, frac in zip(parts, relus, fracs[1:])),
        input_frac=fracs[0], v_width=v_width)


def read_weights(path: str | Path) -> list[tuple[str, Floats, Floats | None]]:
    """Read an .npz file of named matrices, without pickle.

    A layer `fc1` is the array ``fc1.weight``, n_rows × n_cols, and, if it has one, ``fc1.bias``
    (``fc1_weight`` and ``fc1_bias`` will do as well). The layers are computed in the order in which
    their weights were written to the file, the order of the arguments of ``numpy.savez``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CompressError
        If the file is broken or holds anything else.
    """
    try:
        arrays = read_arrays(path)
    except ArchiveError as error:
        raise CompressError(f"{path}: {error}") from error
    layers: list[tuple[str, Floats, Floats | None]] = []
    for key in list(arrays):
        if key.endswith(_SUFFIXES):
            name = key[:-len(".weight")]
            bias = arrays.pop(key.removesuffix("weight") + "bias", None)
            layers.append((name, arrays.pop(key), bias))
    if arrays or not layers:
        raise CompressError(f"{path}: arrays must be named NAME.weight and NAME.bias"
                            + (f", not {', '.join(arrays)}" if arrays else "; there are none"))
    return layers


def prune(dense: Floats, density: float) -> csc_array:
    """Keep the share `density` of all weights, one at least, the greatest by magnitude."""
    n_kept = max(1, round(density * dense.size))
    magnitude = np.abs(dense).ravel()
    kept = np.argpartition(magnitude, dense.size - n_kept)[dense.size - n_kept:]
    kept = kept[magnitude[kept] > 0]
    rows, cols = np.divmod(kept, dense.shape[1])
    sparse = csc_array((dense[rows, cols].astype(np.float64), (rows, cols)), shape=dense.shape)
    sparse.sort_indices()
    return sparse


def share_weights(values: NDArray[np.float64], n_shared: int
                  ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Replace values by the nearest of a few: k-means from a linear start between the extremes.

    Deep Compression found this start best, since it keeps centroids for the few large weights. In
    one dimension a cluster is a stretch of the sorted values, so that a round needs only the
    boundaries and a running sum.

    Returns
    -------
    codebook : float64, n_shared + 1
        0, then the centroids in ascending order. What no code needs is 0.
    codes : uint8, like `values`
        Index of each value, 1 or more.
    """
    codebook = np.zeros(n_shared + 1)
    ordered = np.sort(values)
    distinct = ordered[np.diff(ordered, prepend=-np.inf) > 0]
    if len(distinct) <= n_shared:
        codebook[1:len(distinct) + 1] = distinct
        return codebook, (np.searchsorted(distinct, values) + 1).astype(np.uint8)
    running = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.linspace(ordered[0], ordered[-1], n_shared)
    for _ in range(_MAX_ROUNDS):
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate([[0], inner, [len(ordered)]])
        sizes = np.diff(edges)
        means = np.diff(running[edges]) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, means, centroids)    # an empty cluster stays where it is
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    codebook[1:] = centroids
    codes = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values) + 1
    return codebook, codes.astype(np.uint8)


def fit_frac(magnitude: float, act_width: int) -> int:
    """Most fraction bits with which numbers up to `magnitude` fit `act_width` bits."""
    limit = (1 << act_width - 1) - 1
    if magnitude == 0:
        return act_width - 1
    frac = math.floor(math.log2(limit) - math.log2(magnitude))
    return min(max(frac, -MAX_FRAC), MAX_FRAC)


def _per_layer(option: str, values: Any, n_layers: int) -> list[Any]:
    values = [values] * n_layers if isinstance(values, (int, float)) else list(values)
    if len(values) != n_layers:
        raise CompressError(f"{option} must be one for each of {n_layers} layers, "
                            f"not {len(values)}")
    if option == "density" and not all(0 < value <= 1 for value in values):
        raise CompressError(f"density must be above 0 and at most 1, not "
                            f"{', '.join(map(str, values))}")
    return values


def _check_chain(weights: Sequence[tuple[str, Floats, Floats | None]]) -> None:
    if not weights:
        raise CompressError("weights must be those of one layer or more")
    before = None
    for name, dense, bias in weights:
        if dense.ndim != 2 or dense.dtype.kind != "f" or not dense.size:
            raise CompressError(f"layer {name!r}: weight must be a matrix of floating-point "
                                f"numbers, not {dense.dtype} of shape {dense.shape}")
        if before is not None and dense.shape[1] != before[1]:
            raise CompressError(f"layer {name!r}: weight must have {before[1]} columns, one for "
                                f"each row of {before[0]!r}, not {dense.shape[1]}: layers are "
                                f"computed in the order of the file")
        if bias is not None and bias.shape != dense.shape[:1]:
            raise CompressError(f"layer {name!r}: bias must have shape {dense.shape[:1]}, "
                                f"not {bias.shape}")
        if not np.isfinite(dense).all() or bias is not None and not np.isfinite(bias).all():
            raise CompressError(f"layer {name!r}: weight and bias must be finite")
        before = name, dense.shape[0]


def _weights(codes: csc_array, codebook: NDArray[np.float64]) -> csc_array:
    return csc_array((codebook[codes.data], codes.indices, codes.indptr), shape=codes.shape)


def _observe(parts: list[Any], relus: list[bool], values: NDArray[np.float64]) -> list[float]:
    """Greatest magnitude of the inputs and of each layer's results."""
    n_inputs = parts[0][1].shape[1]
    if values.ndim != 2 or values.shape[1] != n_inputs or not len(values):
        raise CompressError(f"calibration must be one or more inputs of {n_inputs} numbers, not of "
                            f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise CompressError("calibration must be finite")
    magnitudes = [float(np.abs(values).max())]
    for (_, codes, codebook, bias), is_relu in zip(parts, relus):
        values = (_weights(codes, codebook) @ values.T).T + bias
        if is_relu:
            values = np.maximum(values, 0)
        magnitudes.append(float(np.abs(values).max()))
    return magnitudes


def _bound(parts: list[Any], relus: list[bool], magnitude: float) -> list[float]:
    """The same for all inputs up to `magnitude`, by interval arithmetic."""
    if not 0 < magnitude < math.inf:
        raise CompressError(f"input_magnitude must be positive and finite, not {magnitude!r}")
    low = np.full(parts[0][1].shape[1], -float(magnitude))
    high = -low
    magnitudes = [float(magnitude)]
    for (_, codes, codebook, bias), is_relu in zip(parts, relus):
        positive = _weights(codes, np.maximum(codebook, 0))
        negative = _weights(codes, np.minimum(codebook, 0))
        low, high = (positive @ low + negative @ high + bias,
                     positive @ high + negative @ low + bias)
        if is_relu:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        magnitudes.append(float(max(np.abs(low).max(), np.abs(high).max())))
    return magnitudes
