"""Layers of a node of a graph without the rows and columns that are removed."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..graph.operation import Shape
from ..network import CompressedNetwork, Layer
from ..vectors import dequantise
from .arithmetic import IntegerNetwork
from .constants import Constants
from .element_masks import Mask, along
from .fixed_point import LayerFormat, choose_formats, exact_bias_shift

__all__ = ["LiveLayers", "RemovedRows"]


class RemovedRows(NamedTuple):
    """Rows of a layer that were removed.

    Attributes
    ----------
    path : :class:`str`
        Path of the node.
    layer : :class:`str`
        Name of the layer.
    rows : :class:`int`
        Number of rows before.
    unread, constant : :class:`int`
        Number of those removed as nothing reads them, or as they are constant.
    """

    path: str
    layer: str
    rows: int
    unread: int
    constant: int


class LiveLayers:
    """Rows and columns of the layers of a node that remain.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine.
    integers : :class:`~.arithmetic.IntegerNetwork`
        The layers.
    constants : :class:`list` of :class:`~.constants.Constants`
        Those of the inputs, and of the results of each layer.
    """

    def __init__(self, config: EIEConfig, integers: IntegerNetwork, constants: list[Constants]
                 ) -> None:
        self._config, self._integers, self._constants = config, integers, constants
        self._network = integers.network
        #: Inputs, and rows of each layer, that remain.
        self._kept = [np.zeros_like(one.mask) for one in constants]

    def grow(self, operand: Mask, result: Mask) -> tuple[Any, Any]:
        """Add rows for a result, and what they read; return elements of the operand and the result.
        """
        patches = self._network.patches
        if patches is not None and patches.pixels > 1:    # rows are those of several pixels
            self._kept = [np.ones_like(one) for one in self._kept]
            return True, True
        self._kept[-1] |= self._vector(result)
        channels = self._vector(operand)
        for number in range(len(self._network.layers) - 1, -1, -1):
            if not self._kept[number + 1].any():
                continue
            self._kept[number] |= self._read(number)
            if exact_bias_shift(self._config, self._sums(number),
                                self._integers.formats[number]) is None:
                self._kept[number] |= self._constants[number].words != 0
            self._kept[number][0] |= number > 0 and not self._kept[number].any()    # one row
        channels = channels | self._kept[0].reshape(len(channels), -1).any(1)
        self._kept[0] = np.repeat(channels, len(self._kept[0]) // len(channels))
        return self._tensor(channels, operand.shape), self._tensor(self._kept[-1], result.shape)

    def _vector(self, mask: Mask) -> Mask:
        """Find the channels, or the elements of vectors, of a tensor."""
        return along(mask, mask.ndim - 1 if self._network.patches is None else 0)

    def _tensor(self, vector: Mask, shape: Shape) -> Mask:
        """Repeat channels for all pixels, or elements for all vectors."""
        return np.broadcast_to(vector if self._network.patches is None else
                               vector[:, np.newaxis, np.newaxis], shape)

    def _read(self, number: int) -> Mask:
        """Find the columns of a layer that its rows read, without constants."""
        codes = self._network.layers[number].codes
        before = np.concatenate([[0], np.cumsum(self._kept[number + 1][codes.indices])])
        return (np.diff(before[codes.indptr]) > 0) & ~self._constants[number].mask

    def _sums(self, number: int) -> NDArray[np.int64]:
        """Compute biases of the rows that remain, with the products of constants that do not."""
        layer = self._integers.layers[number]
        gone = np.where(self._kept[number], 0, self._constants[number].words)
        sums = layer.bias + layer.weights @ gone if gone.any() else layer.bias
        return sums[self._kept[number + 1]]

    def make_network(self) -> CompressedNetwork:
        """Make the network of what remains, in the formats of the whole."""
        if all(kept.all() for kept in self._kept):
            return self._network
        sums = [self._sums(number) for number in range(len(self._network.layers))]
        layers = tuple(
            _take(layer, before, columns, rows) for layer, before, columns, rows
            in zip(self._network.layers, self._integers.formats, self._kept, self._kept[1:]))
        patches = self._network.patches
        if patches is not None:
            elements = patches.n_inputs // patches.shape[0]
            n_channels = int(self._kept[0].sum()) // elements
            patches = dataclasses.replace(patches, shape=(n_channels, *patches.shape[1:]))
        network = dataclasses.replace(self._network, layers=layers, patches=patches)
        found = choose_formats(self._config, network)
        return dataclasses.replace(network, layers=tuple(
            _hold_format(layer, before, after, biases) for layer, before, after, biases
            in zip(layers, self._integers.formats, found, sums)))

    def list_removed(self, path: str) -> list[RemovedRows]:
        """List what was removed, layer by layer."""
        found = []
        for layer, kept, constants in zip(self._network.layers, self._kept[1:],
                                          self._constants[1:]):
            if not kept.all():
                constant = int((~kept & constants.mask).sum())
                found.append(RemovedRows(path, layer.name, layer.n_rows,
                                         int((~kept).sum()) - constant, constant))
        return found


def _take(layer: Layer, chosen: LayerFormat, columns: Mask, rows: Mask) -> Layer:
    """Take rows and columns of a layer."""
    codes = csc_array(layer.codes[np.flatnonzero(rows)][:, np.flatnonzero(columns)])
    codes.sort_indices()
    if not chosen.codebook[codes.data].any():    # weights that round to zero have no format
        codes = csc_array(codes.shape, dtype=np.uint8)
    return dataclasses.replace(layer, codes=codes, bias=layer.bias[rows])


def _hold_format(layer: Layer, before: LayerFormat, after: LayerFormat,
                 sums: NDArray[np.int64]) -> Layer:
    """Give a layer the biases `sums`, and the fraction bits of its weights of `before`.

    Parameters
    ----------
    after : :class:`~.fixed_point.LayerFormat`
        Format that it has without this.
    """
    if after.weight_frac == before.weight_frac \
            and np.array_equal(after.bias << after.bias_shift, sums):
        return layer
    acc_frac = before.shift + layer.output_frac
    return dataclasses.replace(layer, bias=dequantise(sums, acc_frac),
                               max_weight_frac=before.weight_frac)
