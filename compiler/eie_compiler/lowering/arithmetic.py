"""Arithmetic of the machine, layer by layer, without memory images."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import relu, round_shift, saturate

from ..network import CompressedNetwork
from ..preprocessing import quantise_inputs
from ..vectors import dequantise
from .fixed_inputs import fix_input
from .fixed_point import choose_formats
from .scaled_layer import FixedScales

__all__ = ["IntegerLayer", "IntegerNetwork"]

#: Density of a matrix above which a dense product in floating point is faster than a sparse one.
_MIN_DENSITY = 0.01

#: Most weights of a dense matrix; bounds the memory.
_MAX_DENSE = 1 << 22


@dataclasses.dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Layer on fixed-point words.

    Attributes
    ----------
    weights : :class:`scipy.sparse.csc_array` of int64, n_rows × n_cols
        Words of the weights; a weight that rounds to zero is stored.
    bias : int64, n_rows
        Biases as they enter the accumulator.
    shift : :class:`int`
        Right shift of an accumulator into a result.
    relu : :class:`bool`
        True if negative results become zero.
    frac, act_width : :class:`int`
        Fraction bits and width of a result.
    scales : :class:`~.scaled_layer.FixedScales`, optional
        Scales of the rows.
    """

    weights: csc_array
    bias: NDArray[np.int64]
    shift: int
    relu: bool
    frac: int
    act_width: int
    scales: FixedScales | None

    def __call__(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Compute words (batch, n_rows) for words (batch, n_cols)."""
        return saturate(self.exact(words), self.act_width)

    def exact(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Compute words before they saturate."""
        # The format excludes overflow of the accumulator, hence of 64 bits.
        sums = (self.weights @ words.T).T if self._floats is None else \
            (words.astype(np.float64) @ self._floats).astype(np.int64)
        if self.scales is not None:
            return self.scales(sums + self.bias, self.shift, relu=self.relu)
        rounded = round_shift(sums + self.bias, self.shift)
        return relu(rounded) if self.relu else rounded

    @functools.cached_property
    def _floats(self) -> NDArray[np.float64] | None:
        """Transposed weights as floating-point numbers, if all sums are exact in them, and faster.
        """
        n_rows, n_cols = self.weights.shape
        if self.weights.nnz < _MIN_DENSITY * n_rows * n_cols or n_rows * n_cols > _MAX_DENSE:
            return None
        greatest = abs(self.weights).sum(axis=1).max() << self.act_width - 1
        return self.weights.toarray().T.astype(np.float64) if greatest < 1 << 53 else None


class IntegerNetwork:
    """A network in exactly the arithmetic of a machine, whatever its memories hold.

    The results are those of the build, bit for bit, for any mapping and number of PEs. Rows that a
    build leaves out as dead are computed, too.

    Parameters
    ----------
    network : :class:`~..network.CompressedNetwork`
        Network to evaluate.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.

    Attributes
    ----------
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Format of each layer.
    layers : :class:`list` of :class:`IntegerLayer`
        Layers in these formats.

    Raises
    ------
    CompileError
        If a layer has no format on this machine.
    """

    def __init__(self, network: CompressedNetwork, config: EIEConfig) -> None:
        self.network, self.config = network, config
        self.preprocessing = fix_input(config, network)
        self.formats = choose_formats(config, network)
        self.layers = [
            IntegerLayer(
                csc_array((chosen.codebook[layer.codes.data], layer.codes.indices,
                           layer.codes.indptr), shape=layer.codes.shape),
                chosen.bias << chosen.bias_shift, chosen.shift, layer.relu, layer.output_frac,
                config.act_width, chosen.scales)
            for layer, chosen in zip(network.layers, self.formats)]

    def vectors(self, values: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Compute the input as the machine sees it, and the results of each layer, as numbers.

        Parameters
        ----------
        values : float64 (batch, n_inputs)
            Inputs; of a convolution, patches.
        """
        frac = self.network.input_frac
        words = quantise_inputs(values, frac=frac, width=self.config.act_width,
                                preprocessing=self.preprocessing,
                                nonnegative=self.network.nonnegative_inputs)
        yield dequantise(words, frac)
        for layer in self.layers:
            words = layer(words)
            yield dequantise(words, layer.frac)
