"""Equal ranges of the weights of successive layers (Nagel et al., Data-free quantization, 2019)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array

from ..model import Model, ModelLayer
from ..network import CompressedNetwork
from .decompress import decompress_layer

__all__ = ["bits_lost", "equalise", "find_factors", "greatest_weights", "is_shared"]

#: Least gain in bits for which weights are changed. Trained layers are below it unless scales were
#: folded into them.
_MIN_GAIN = 1.5


def equalise(model: Model, n_shared: int,
             active: Sequence[NDArray[np.bool_]] | None = None) -> Model:
    """Move scales between the rows of a layer and the columns of the next.

    A positive factor passes through a ReLU: ``relu(c * z) = c * relu(z)``. Where the greatest
    weights of rows and columns differ by orders of magnitude, as after a folded normalisation, a
    codebook has no values for the small ones. Factors are powers of two, so that results do not
    change.

    Parameters
    ----------
    model : :class:`~..model.Model`
        Model before compression.
    n_shared : :class:`int`
        Number of shared weights. Layers that have no more distinct weights stay unchanged.
    active : sequence of bool n_rows, optional
        Rows of each layer whose results are ever nonzero; others are not scaled. None: all.
    """
    layers = list(model.layers)
    for number, (before, after) in enumerate(zip(layers, layers[1:])):
        before = layers[number]    # its columns may have changed
        rows, columns = greatest_weights(before, 1), greatest_weights(after, 0)
        used = (rows > 0) & (columns > 0)
        if active is not None:
            used &= active[number]
        if not used.any() or any(is_shared(layer, n_shared) for layer in (before, after)):
            continue
        of_rows, of_columns = np.log2(rows[used]), np.log2(columns[used])
        lost = max(bits_lost(of_rows), bits_lost(of_columns))
        if lost - bits_lost((of_rows + of_columns) / 2) < _MIN_GAIN:
            continue
        factor = np.ones(before.n_rows)
        half = (of_columns - of_rows) / 2
        factor[used] = np.exp2(np.rint(half - half.mean()))
        layers[number] = dataclasses.replace(before, weight=diags_array(factor) @ before.weight,
                                             bias=factor * before.bias)
        layers[number + 1] = dataclasses.replace(after,
                                                 weight=after.weight @ diags_array(1 / factor))
    return dataclasses.replace(model, layers=tuple(layers))


def find_factors(model: Model, network: CompressedNetwork) -> list[NDArray[np.float64]]:
    """Find the factors by which :func:`equalise` has scaled the results of each layer."""
    factors = [np.ones(model.layers[0].n_cols)]
    for before, layer in zip(model.layers, network.layers, strict=True):
        after = abs(decompress_layer(layer).weight)
        kept = abs(csc_array(before.weight)).multiply(after != 0)
        rows, scaled = kept.sum(axis=1), after @ factors[-1]
        # Sharing changes sums of weights by less than the root of two.
        used = (rows > 0) & (scaled > 0)
        factors.append(np.exp2(np.rint(np.log2(np.where(used, scaled, 1)
                                               / np.where(used, rows, 1)))))
    return factors[1:]


def greatest_weights(layer: ModelLayer, axis: int) -> NDArray[np.float64]:
    """Greatest magnitude of the weights of each row (axis 1) or column (axis 0)."""
    greatest = abs(layer.weight).max(axis=axis)
    found: NDArray[np.float64] = greatest if isinstance(greatest, np.ndarray) \
        else greatest.toarray().ravel()
    return found


def bits_lost(logarithms: NDArray[np.float64]) -> float:
    """Bits by which ranges are on average below the greatest, whose resolution all have."""
    return float(logarithms.max() - logarithms.mean())


def is_shared(layer: ModelLayer, n_shared: int) -> bool:
    """Return true if a layer has no more than `n_shared` distinct weights besides zero."""
    weights = layer.weight if isinstance(layer.weight, np.ndarray) else layer.weight.data
    return len(np.unique(weights[weights != 0])) <= n_shared
