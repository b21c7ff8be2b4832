"""Choice of the offsets of preprocessed inputs that are better folded into biases."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ..network import CompressedNetwork
from ..preprocessing import Preprocessing
from .decompress import decompress_layer

__all__ = ["find_folded", "fold_offsets"]

#: Least share of zeros among the samples of an input for which it pays that they stay zeros.
_MIN_ZEROS = 0.1

#: Most bits of resolution that all inputs may lose by folded offsets.
_MAX_LOST_BITS = 1


def fold_offsets(network: CompressedNetwork, vectors: NDArray[np.float64]) -> CompressedNetwork:
    """Fold offsets of inputs that are often zero into the biases of the first layer.

    The machine skips zeros, but an offset makes them nonzero. Without it, magnitudes are greater
    and the format of the input coarser.

    Parameters
    ----------
    network : :class:`~..network.CompressedNetwork`
        Network with shared weights.
    vectors : (n_samples, n_cols)
        Samples of the columns of the first layer, before preprocessing.
    """
    if network.preprocessing is None:
        return network
    folded = find_folded(network.preprocessing, vectors)
    offset, scale = network.preprocessing.offset, network.preprocessing.scale
    first = network.layers[0]
    # The shared weights, not the original ones: the results must not change.
    shift = decompress_layer(first).weight @ np.where(folded, offset * scale, 0)
    return dataclasses.replace(
        network, layers=(dataclasses.replace(first, bias=first.bias - shift), *network.layers[1:]),
        preprocessing=Preprocessing(np.where(folded, 0, offset), scale))


def find_folded(preprocessing: Preprocessing, vectors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find the inputs whose offsets :func:`fold_offsets` folds."""
    limit = 2 ** _MAX_LOST_BITS * np.abs(preprocessing(vectors)).max()
    folded: NDArray[np.bool_] = (
        (preprocessing.offset != 0) & ((vectors == 0).mean(axis=0) >= _MIN_ZEROS)
        & (np.abs(vectors * preprocessing.scale).max(axis=0) <= limit))
    return folded
