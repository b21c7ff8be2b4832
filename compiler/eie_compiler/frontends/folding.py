"""Constants folded into the matrices of layers."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, diags_array

from ..model import ModelLayer
from ..preprocessing import Preprocessing
from .common import FrontEndError

__all__ = ["MAX_FOLDED_SHIFT", "drop_scales", "fold_after", "fold_before", "separate",
           "ungroup"]

#: Greatest shift before a first layer that is folded, as numbers of magnitude 1 keep most of their
#: resolution without it.
MAX_FOLDED_SHIFT = 16


@np.errstate(all="ignore")    # layers refuse infinite numbers
def fold_after(layer: ModelLayer, scale: NDArray[np.float64], shift: NDArray[np.float64]
               ) -> ModelLayer:
    """Fold ``scale * y + shift`` into the rows of a layer without ReLU."""
    # A bias alone is common and needs no pass over the weights.
    weight = layer.weight if (scale == 1).all() else diags_array(scale) @ layer.weight
    return dataclasses.replace(layer, weight=weight, bias=scale * layer.bias + shift)


@np.errstate(all="ignore")
def fold_before(layer: ModelLayer, scale: NDArray[np.float64], shift: NDArray[np.float64]
                ) -> ModelLayer:
    """Fold ``scale * x + shift`` into the columns of a layer."""
    weight, bias = layer.weight, layer.bias
    # W (s x + t) + b = (W s) x + (W t + b); most layers have neither.
    if shift.any():
        bias = bias + weight @ shift
    if (scale != 1).any():
        weight = weight @ diags_array(scale)
    return dataclasses.replace(layer, weight=weight, bias=bias)


def drop_scales(layer: ModelLayer) -> ModelLayer:
    """Divide rows of binary weights by their scales, which do not change the signs of results.

    Weights become -1, 0 or 1, exactly, so that one codebook holds them whatever was folded into the
    rows. A layer is unchanged if a row has weights of several magnitudes.
    """
    parts = coo_array(layer.weight)
    magnitudes, rows = np.abs(parts.data), parts.coords[0]
    scale = np.zeros(layer.n_rows)
    np.maximum.at(scale, rows, magnitudes)
    if (magnitudes != scale[rows])[magnitudes != 0].any():
        return layer
    signs = coo_array((np.sign(parts.data), parts.coords), shape=parts.shape)
    weight = signs.toarray() if isinstance(layer.weight, np.ndarray) else signs.tocsc()
    return dataclasses.replace(layer, weight=weight, bias=layer.bias / np.where(scale, scale, 1))


def separate(scale: NDArray[np.float64], shift: NDArray[np.float64]
             ) -> tuple[Preprocessing, NDArray[np.float64], NDArray[np.float64]]:
    """Separate ``scale * x + shift`` into preprocessing, and a scale and a shift of its results.

    The scale is 1, and the shift 0, for all elements but those that do not depend on the input.
    """
    constant = scale == 0
    scale = np.where(constant, 1, scale)
    offset = np.where(constant | (shift == 0), 0, -shift / scale)    # no zero has a sign
    return (Preprocessing(offset, scale), np.where(constant, 0.0, 1.0),
            np.where(constant, shift, 0))


def ungroup(weight: Any, groups: int) -> Any:
    """Expand a matrix over the channels of each row's group to one over all channels."""
    n_rows, n_cols = weight.shape
    if groups < 1 or n_rows % groups:
        raise FrontEndError(f"groups must divide the {n_rows} outputs, not be {groups}")
    if groups == 1:
        return weight
    parts = coo_array(weight)
    rows = parts.row.astype(np.int64)
    cols = parts.col + rows // (n_rows // groups) * n_cols
    return csc_array((parts.data, (rows, cols)), shape=(n_rows, n_cols * groups))
