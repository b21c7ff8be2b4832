"""The paper's nine layers, the machines that run them, and expected results."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import EIEConfig

__all__ = ["CLOCK_MHZ", "LAYERS", "MACHINES", "PAPER_POINTER_BITS", "QUICK", "TARGET_MEAN",
           "TOLERANCE", "Machine", "PaperLayer", "make_inputs", "make_network"]

#: Clock of the published machine (Han et al., ISCA 2016, section 6).
CLOCK_MHZ = 800

#: Fraction bits of inputs and results. Both have the same range, so that nothing saturates.
_FRAC = 8


class PaperLayer(NamedTuple):
    """One layer of the benchmark (Han et al., ISCA 2016, tables III and IV).

    Attributes
    ----------
    name : :class:`str`
        Name in the paper.
    n_inputs, n_outputs : :class:`int`
        Columns and rows.
    weight_density, activation_density : :class:`float`
        Share of nonzero weights and of nonzero inputs.
    theoretical_us, actual_us : :class:`float`
        Times at 800 MHz in the paper: with perfect load balance (but with padding), and measured.
    expected : :class:`float`
        Cycles of the published machine over nonzero products / 64, for uniformly random sparsity:
        the prediction of a simple model that predates this machine.
    target : :class:`float`
        Maximum of this ratio for the tuned machine. One broadcast per cycle is a lower bound, 1.07
        for NT-We.
    """

    name: str
    n_inputs: int
    n_outputs: int
    weight_density: float
    activation_density: float
    theoretical_us: float
    actual_us: float
    expected: float
    target: float


#: The layers by name, in the order of the paper.
LAYERS: dict[str, PaperLayer] = {layer.name: layer for layer in [
    PaperLayer("Alex-6",  9216, 4096, 0.09, 0.351, 28.1, 30.3, 1.24, 1.06),
    PaperLayer("Alex-7",  4096, 4096, 0.09, 0.353, 11.7, 12.2, 1.24, 1.06),
    PaperLayer("Alex-8",  4096, 1000, 0.25, 0.375,  8.9,  9.9, 1.09, 1.06),
    PaperLayer("VGG-6",  25088, 4096, 0.04, 0.183, 28.1, 34.4, 1.70, 1.06),
    PaperLayer("VGG-7",   4096, 4096, 0.04, 0.375,  7.9,  8.7, 1.70, 1.08),
    PaperLayer("VGG-8",   4096, 1000, 0.23, 0.411,  7.3,  8.4, 1.11, 1.06),
    PaperLayer("NT-We",   4096,  600, 0.10, 1.000,  5.2,  8.0, 1.61, 1.17),
    PaperLayer("NT-Wd",    600, 8791, 0.11, 1.000, 13.0, 13.9, 1.18, 1.06),
    PaperLayer("NT-LSTM", 1201, 2400, 0.10, 1.000,  6.5,  7.5, 1.20, 1.06),
]}

#: The layer with most padding, the one bound by the broadcast, and the quickest.
QUICK = ("VGG-7", "NT-We", "NT-LSTM")

#: Maximum geometric mean of the tuned machine's ratios.
TARGET_MEAN = 1.06

#: Relative difference from `PaperLayer.expected` that needs an explanation.
TOLERANCE = 0.04


class Machine(NamedTuple):
    """A configuration and the mapping of rows to its PEs."""

    config: EIEConfig
    mapping: Literal["balanced", "interleaved"]


#: Words per pointer bank for the largest layer: VGG-6 has 25,089 pointers.
_PTR_DEPTH = 12545

#: Queue of the tuned machine: with 11 slots for messages in flight, it fills a LUT RAM of 64 rows.
_QUEUE_DEPTH = 53

#: Width of the paper's pointers (section 4).
PAPER_POINTER_BITS = 16

#: Both machines by name. Pointer SRAMs are as deep as the layers need. Spmat SRAMs of both have the
#: paper's depth, so that their energies are comparable. Nothing else is changed.
MACHINES: dict[str, Machine] = {
    "isca2016": Machine(EIEConfig.isca2016(ptr_depth=_PTR_DEPTH), "interleaved"),
    "tuned": Machine(EIEConfig(n_pe=64, queue_depth=_QUEUE_DEPTH, ptr_depth=_PTR_DEPTH,
                               spmat_depth=EIEConfig.isca2016().spmat_depth), "balanced"),
}


def make_network(layer: PaperLayer, seed: int, *, v_width: int = 4) -> CompressedNetwork:
    """Generate a network of one layer with independent, uniformly random sparsity.

    Codes are uniform over the codebook. Its entries have similar magnitudes and random signs, and
    there is no ReLU, so that a wrong code shows in the results.
    """
    rng = np.random.default_rng([seed, layer.n_inputs, layer.n_outputs])
    positions = _bernoulli(rng, layer.n_inputs * layer.n_outputs, layer.weight_density)
    columns, rows = np.divmod(positions, layer.n_outputs)
    indptr = np.searchsorted(columns, np.arange(layer.n_inputs + 1))
    codes = csc_array((rng.integers(1, 1 << v_width, len(rows), np.uint8), rows, indptr),
                      shape=(layer.n_outputs, layer.n_inputs))
    n_products = layer.n_inputs * layer.weight_density * layer.activation_density
    n_codes = (1 << v_width) - 1
    weights = rng.uniform(0.5, 1, n_codes) * rng.choice([-1, 1], n_codes)
    codebook = np.concatenate([[0.0], weights / max(1, n_products) ** 0.5])
    bias = rng.normal(0, 0.25, layer.n_outputs)
    return CompressedNetwork((Layer(layer.name, codes, codebook, bias, relu=False,
                                    output_frac=_FRAC),), input_frac=_FRAC, v_width=v_width)


def make_inputs(layer: PaperLayer, seed: int, *, act_width: int = 16) -> NDArray[np.int64]:
    """Generate input words (n_inputs,) with exactly the layer's share of nonzeros, at random.

    Magnitudes are below an eighth of the range of `act_width` bits, so that no result saturates.
    """
    rng = np.random.default_rng([seed, layer.n_inputs])
    inputs = np.zeros(layer.n_inputs, np.int64)
    count = round(layer.n_inputs * layer.activation_density)
    where = rng.choice(layer.n_inputs, count, replace=False)
    inputs[where] = rng.integers(1, 1 << act_width - 4, count) * rng.choice([-1, 1], count)
    return inputs


def _bernoulli(rng: np.random.Generator, n: int, density: float) -> NDArray[np.int64]:
    """Draw ascending positions out of `n`, each with probability `density`.

    It draws their distances, which are geometrically distributed, rather than one number for each
    of the `n` positions.
    """
    # Six standard deviations above the mean, so that the positions reach `n`.
    n_drawn = int(n * density + 6 * (n * density) ** 0.5) + 6
    positions = np.cumsum(rng.geometric(density, n_drawn)) - 1
    return positions[:np.searchsorted(positions, n)]
