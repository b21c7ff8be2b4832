"""Removal of rows and inputs that no result depends on, and of hidden rows that are constant."""

import dataclasses
import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import relu, round_shift, saturate

from ..network import CompressedNetwork, Layer
from ..vectors import dequantise
from .fixed_point import LayerFormat, exact_bias_shift, layers_with_inputs, replace_biases

__all__ = ["DeadRows", "LiveNetwork", "remove_dead_rows"]


class DeadRows(NamedTuple):
    """Rows removed from a layer, numbered as in the whole network.

    Attributes
    ----------
    unread, constant : int64 arrays
        Those that no weight reads, and those that have no weights.
    """

    unread: NDArray[np.int64]
    constant: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """No rows."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class LiveNetwork:
    """Network without its dead rows and inputs.

    Attributes
    ----------
    network : :class:`~..network.CompressedNetwork`
        Remaining rows and columns, without patches and preprocessing, which are of all inputs.
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Format of each of its layers, with the scales of the whole network.
    inputs : int64 array
        Inputs that remain, numbered as in the whole network.
    rows : :class:`list` of int64 arrays
        Rows of each layer that remain, numbered as in the whole network.
    dead : :class:`list` of :class:`DeadRows`
        Rows removed from each layer.
    """

    network: CompressedNetwork
    formats: list[LayerFormat]
    inputs: NDArray[np.int64]
    rows: list[NDArray[np.int64]]
    dead: list[DeadRows]

    @classmethod
    def whole(cls, network: CompressedNetwork, formats: list[LayerFormat]) -> Self:
        """Keep all rows and inputs."""
        return cls(network, formats, np.arange(network.layers[0].n_cols),
                   [np.arange(layer.n_rows) for layer in network.layers],
                   [DeadRows.none() for _ in network.layers])


def remove_dead_rows(config: EIEConfig, network: CompressedNetwork, formats: list[LayerFormat]
                     ) -> LiveNetwork:
    """Remove dead inputs, and the dead rows of all layers but the last.

    The results of the last layer stay the same, bit for bit.

    A row is dead if its column in the next layer has no weights (it is unread), or if it has no
    weights itself (it is constant). The products of a constant become part of the biases of the
    next layer, hence sums are the same integers: formats are not chosen again, and a constant is an
    activation like any other, so partial sums stay within the bounds of the format.

    A constant row stays if the new biases cannot be represented exactly, or if the constant is
    saturated, so that saturated results of rows that are read are counted as before. A layer
    without live rows keeps one, whose result is 0.

    An input is dead if no row that remains reads it. If all are, the first one remains. Of a
    convolution that is a loop, inputs are channels of the map.

    Parameters
    ----------
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Format of each layer of the whole network.
    """
    layers = [_Rows(layer, chosen) for layer, chosen in zip(network.layers, formats)]
    pairs = list(zip(layers, layers[1:]))
    # Unread rows first: a constant row reads nothing, so without it no other row is unread.
    for before, after in reversed(pairs):
        before.unread = _remove(before, after, np.diff(after.codes.indptr) == 0)
    found = True
    while found:    # the biases of a row removed late may have had no common shift with others
        found = False
        for before, after in pairs:
            removed = _remove(before, after, _fold_constants(config, before, after))
            before.constant = np.union1d(before.constant, removed)
            found |= len(removed) > 0
    patches = network.patches
    inputs = _remove_inputs(layers[0], math.prod(patches.kernel) if patches and patches.loop else 1)
    live = dataclasses.replace(network, layers=tuple(rows.make_layer() for rows in layers),
                               patches=None, preprocessing=None)
    return LiveNetwork(
        live, [rows.make_format(config, *source)
               for rows, source in zip(layers, layers_with_inputs(config, live))],
        inputs, [rows.numbers for rows in layers],
        [DeadRows(rows.unread, rows.constant) for rows in layers])


class _Rows:
    """Remaining rows and columns of a layer.

    Attributes
    ----------
    numbers : int64, n_rows
        Rows, numbered as in the whole network.
    codes : csc_array of uint8, n_rows × n_cols
        Their weights.
    bias : int64, n_rows
        Their biases, as they enter the accumulator.
    """

    def __init__(self, layer: Layer, chosen: LayerFormat) -> None:
        self.layer, self.format = layer, chosen
        self.numbers = np.arange(layer.n_rows)
        self.codes = layer.codes
        self.bias = chosen.bias << chosen.bias_shift
        self.unread = self.constant = np.zeros(0, np.int64)

    @property
    def weights(self) -> csc_array:
        """Words of the weights."""
        return csc_array((self.format.codebook[self.codes.data], self.codes.indices,
                          self.codes.indptr), shape=self.codes.shape)

    @property
    def changed(self) -> bool:
        """True if a row or a column was removed or cleared."""
        return self.codes is not self.layer.codes

    def make_layer(self) -> Layer:
        """Make the layer of what remains; its biases are the words as numbers."""
        if not self.changed:
            return self.layer
        acc_frac = self.format.shift + self.layer.output_frac
        return dataclasses.replace(self.layer, codes=self.codes,
                                   bias=dequantise(self.bias, acc_frac))

    def make_format(self, config: EIEConfig, layer: Layer, input_frac: int,
                    act_range: tuple[int, int]) -> LayerFormat:
        """Make the format of `layer`, the layer of what remains."""
        return replace_biases(config, layer, self.format, self.bias, act_range) \
            if self.changed else self.format


def _remove(before: _Rows, after: _Rows, dead: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Remove rows, and the columns that read them; return the numbers of the rows."""
    if not dead.any():
        return np.zeros(0, np.int64)
    if dead.all():    # a layer has rows: one remains, and its result is 0
        dead = np.arange(len(dead)) > 0
        before.codes, before.bias = csc_array(before.codes.shape, dtype=np.uint8), \
            np.zeros_like(before.bias)
        after.codes = csc_array(after.codes.shape, dtype=np.uint8)
    removed = before.numbers[dead]
    before.numbers, before.bias = before.numbers[~dead], before.bias[~dead]
    before.codes = before.codes[np.flatnonzero(~dead)]
    after.codes = after.codes[:, np.flatnonzero(~dead)]
    before.codes.sort_indices()
    return removed


def _remove_inputs(first: _Rows, together: int) -> NDArray[np.int64]:
    """Remove the columns of the first layer that have no weights; return the others.

    So many columns at a time are removed together.
    """
    read = (np.diff(first.codes.indptr) > 0).reshape(-1, together).any(axis=1)
    read[0] |= not read.any()    # a vector has elements: one remains, and no weight reads it
    live = np.flatnonzero(np.repeat(read, together))
    if len(live) < first.codes.shape[1]:
        first.codes = first.codes[:, live]
    return live


def _fold_constants(config: EIEConfig, before: _Rows, after: _Rows) -> NDArray[np.bool_]:
    """Add the products of constant rows to the biases of the next layer; return these rows.

    If the sums cannot be represented with all constants, those are added that are possible one
    after another.
    """
    rounded = round_shift(before.bias, before.format.shift)
    results = relu(rounded) if before.layer.relu else rounded
    constant = np.bincount(before.codes.indices, minlength=len(results)) == 0
    constant &= saturate(results, config.act_width) == results
    weights = after.weights
    bias = after.bias + weights @ np.where(constant, results, 0)
    if exact_bias_shift(config, bias, after.format) is None:
        bias = after.bias.copy()
        for row in np.flatnonzero(constant & (results != 0)):
            column = slice(*weights.indptr[row:row + 2])
            sums = bias.copy()
            sums[weights.indices[column]] += weights.data[column] * results[row]
            constant[row] = exact_bias_shift(config, sums, after.format) is not None
            bias = sums if constant[row] else bias
    after.bias = bias
    return constant
