"""Strips of convolutions: neighbouring pixels of a result as one matrix-vector product.

A convolution with few rows leaves most PEs idle, and each pixel has cycles that do not depend on
its work. A strip has the rows of several pixels; inputs that their kernels share are sent once.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..errors import CompileError
from ..graph.graph import Graph
from ..graph.layers import all_fracs, find_layers, replace_layers
from ..network import CompressedNetwork, Layer
from ..patches import PatchError, Patches

__all__ = ["MOST_PIXELS", "TOLERANCE", "find_pixels", "make_strips", "repeat_codes", "set_strips",
           "uniform_strips"]

#: Most pixels of a strip that is chosen.
MOST_PIXELS = 16

#: Cycles relative to the fewest up to which shorter strips are chosen, as they need less memory.
TOLERANCE = 1.05


def make_strips(network: CompressedNetwork, n_pixels: int) -> CompressedNetwork:
    """Make the network that computes several pixels of a convolution at a time.

    The matrix of the first layer has a copy of its rows for each pixel, at the columns of the patch
    that are the pixel's; those of the other layers are block-diagonal. Results are the same, bit
    for bit: rows are copies, thus the bounds of their sums and the formats stay the same. Of a
    loop, only the length of its strips changes.

    Parameters
    ----------
    network : :class:`~..network.CompressedNetwork`
        Convolution, whose patches are of one pixel.
    n_pixels : :class:`int`
        Pixels of a strip, neighbours in a row of the result; at most its width.

    Raises
    ------
    CompileError
        If the network is no convolution, has strips already, or has preprocessing.
    PatchError
        If `n_pixels` is out of range, or the patches of an image become too large.
    """
    if network.patches is None:
        raise CompileError("strips must be of a convolution, not of fully connected layers")
    if network.patches.pixels > 1:
        raise CompileError("strips must be of single pixels, not of strips")
    if network.preprocessing is not None:
        raise CompileError("strips must be of a network without preprocessing, which is of the "
                           "elements of a patch: remove it, or use no strips")
    if network.patches.loop:
        patches = dataclasses.replace(network.patches, loop=n_pixels)
        return dataclasses.replace(network, patches=patches)
    patches = dataclasses.replace(network.patches, pixels=n_pixels)
    first, *others = network.layers
    layers = (_repeat(first, _pixel_columns(patches), patches.n_inputs),
              *(_repeat(layer, np.arange(n_pixels * layer.n_cols).reshape(n_pixels, -1),
                        n_pixels * layer.n_cols) for layer in others))
    return dataclasses.replace(network, layers=layers, patches=patches)


def _pixel_columns(patches: Patches) -> NDArray[np.int64]:
    """Find the elements of a patch that each pixel reads, in the order of a patch of one pixel.

    Returns
    -------
    int64 (pixels, channels · kernel height · kernel width)
    """
    columns = patches.columns
    places = np.searchsorted(columns, patches.kernel_columns)
    lines = np.arange(patches.shape[0] * patches.kernel[0]) * len(columns)
    return (lines[:, np.newaxis] + places[:, np.newaxis]).reshape(patches.pixels, -1)


def _repeat(layer: Layer, columns: NDArray[np.int64], n_cols: int) -> Layer:
    """Repeat the rows of a layer for each pixel, with weights at its columns (pixels, n_cols)."""
    codes = repeat_codes(layer.codes, columns, layer.n_rows, n_cols)
    return dataclasses.replace(layer, codes=codes, bias=np.tile(layer.bias, len(columns)))


def repeat_codes(codes: csc_array, columns: NDArray[np.int64], n_rows: int, n_cols: int
                 ) -> csc_array:
    """Repeat a matrix for each pixel: in the next `n_rows` rows, at its `columns`.

    Parameters
    ----------
    codes : csc_array
        Matrix of a pixel, of at most `n_rows` rows.
    columns : int64 (pixels, n_columns)
        Column of the result for each column of the matrix.
    n_rows, n_cols : :class:`int`
        Rows of a pixel in the result, and columns of the result.
    """
    n_pixels, single = len(columns), codes.tocoo()
    rows = np.arange(n_pixels)[:, np.newaxis] * n_rows + single.coords[0]
    repeated = csc_array((np.tile(single.data, n_pixels),
                          (rows.ravel(), columns[:, single.coords[1]].ravel())),
                         shape=(n_pixels * n_rows, n_cols))
    repeated.sort_indices()
    return repeated


def uniform_strips(graph: Graph, n_pixels: int) -> dict[str, int]:
    """Pixels of the strips of each convolution: as many as given, or as its results have in a row.

    They are for :func:`set_strips`. Nodes that have strips, or preprocessing, have none.
    """
    return {path: min(n_pixels, patches.output_shape[1])
            for path, network in find_layers(graph, CompressedNetwork).items()
            if (patches := find_pixels(network))}


def find_pixels(network: CompressedNetwork) -> Patches | None:
    """Find the patches that :func:`make_strips` joins; None if the network can have no strips."""
    patches = network.patches
    return patches if patches and patches.pixels == 1 and network.preprocessing is None else None


def set_strips(graph: Graph, strips: Mapping[str, int]) -> Graph:
    """Make strips of nodes of a compressed network.

    Parameters
    ----------
    strips : mapping of :class:`str` to :class:`int`
        Pixels of a strip, by the path of the node; other nodes stay as they are.

    Raises
    ------
    CompileError
        If a path is of no node of layers, or :func:`make_strips` raises; the message names the
        node.
    """
    if others := sorted(set(strips) - set(find_layers(graph, CompressedNetwork))):
        raise CompileError(f"strips must be of nodes of layers, not of {others[0]!r}")

    def change(path: str, network: CompressedNetwork) -> CompressedNetwork:
        if path not in strips:
            return network
        try:
            return make_strips(network, strips[path])
        except (CompileError, PatchError) as error:
            raise CompileError(f"node {path!r}: {error}") from error

    return replace_layers(graph, change, all_fracs(graph).__getitem__)
