"""Time that the host needs for the nine layers of the paper.

Compares the golden model, which also counts entries by PE and rounds, with the bare product of the
same matrix in SciPy. The golden model must take at most three times as long.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.vectors import scatter
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.cycles.model import predict_build
from eie_sim.golden.model import GoldenModel

from .paper.nine_layers import LAYERS, MACHINES, Machine, PaperLayer, make_inputs, make_network

__all__ = ["ALLOWED", "BATCH", "Row", "least_seconds", "make_matrix", "measure", "measure_all",
           "summarise"]

#: Images computed at once, in addition to a single one.
BATCH = 64

#: Greatest allowed ratio of the golden model's time to the product's.
ALLOWED = 3.0

#: Rounds of timings. The functions alternate, so that other load affects all of them; the least
#: time counts.
ROUNDS = 5

#: Time in seconds for which each function is repeated in a round.
AT_LEAST = 0.05


class Row(NamedTuple):
    """Times of one layer in seconds.

    Attributes
    ----------
    layer : :class:`str`
        Name of the layer.
    nonzeros : :class:`int`
        Weights that are not zero.
    compile, decode : :class:`float`
        Compiling the network, and making a golden model from its images.
    product, golden : :class:`float`
        Product of an int32 CSR matrix and one vector, and the golden model for one image.
    product_batch, golden_batch : :class:`float`
        The same per image of a batch, for which the matrix is multiplied with all vectors at once.
    cycle_model : :class:`float`
        Prediction of all counters for one image, from the memory images.
    """

    layer: str
    nonzeros: int
    compile: float
    decode: float
    product: float
    golden: float
    product_batch: float
    golden_batch: float
    cycle_model: float

    @property
    def slow(self) -> bool:
        """True if the golden model takes more than :data:`ALLOWED` times as long as the product."""
        return max(self.ratio, self.batch_ratio) > ALLOWED

    @property
    def ratio(self) -> float:
        """Ratio of golden model to product for one image."""
        return self.golden / self.product

    @property
    def batch_ratio(self) -> float:
        """Ratio of golden model per image of a batch to the product of one image."""
        return self.golden_batch / self.product


def measure_all(machine: str, seed: int) -> Iterator[Row]:
    """Time each of the nine layers on a machine of :data:`.paper.nine_layers.MACHINES`."""
    for layer in LAYERS.values():
        yield measure(layer, MACHINES[machine], seed)


def summarise(rows: list[Row], machine: str, seed: int) -> dict[str, Any]:
    """Return the rows as plain JSON."""
    return {"machine": machine, "seed": seed, "batch": BATCH,
            "layers": [{**row._asdict(), "ratio": row.ratio, "batch_ratio": row.batch_ratio}
                       for row in rows]}


def measure(layer: PaperLayer, machine: Machine, seed: int) -> Row:
    """Time one layer."""
    config = machine.config
    network = make_network(layer, seed, v_width=config.v_width)
    compiling, build = _timed(lambda: compile_network(network, config, mapping=machine.mapping))
    decoding, model = _timed(lambda: GoldenModel(config, build.images))

    matrix = make_matrix(network, build)
    words = np.stack([make_inputs(layer, seed + image, act_width=config.act_width)
                      for image in range(BATCH)])
    placed = scatter(build.input, words, config.n_pe)
    narrow = np.ascontiguousarray(words.T, np.int32)
    vector = narrow[:, 0].copy()
    predict_build(build, words[:1])     # Numba compiles on the first call
    product, golden, product_batch, golden_batch, cycle_model = least_seconds(
        lambda: matrix @ vector, lambda: model.run_counted(placed[:1], build.input.base_word),
        lambda: matrix @ narrow, lambda: model.run_counted(placed, build.input.base_word),
        lambda: predict_build(build, words[:1]))
    return Row(layer.name, matrix.nnz, compiling, decoding, product, golden,
               product_batch / BATCH, golden_batch / BATCH, cycle_model)


def make_matrix(network: CompressedNetwork, build: Build) -> csr_array:
    """Return the quantised weights of the only layer: int32, rows × columns."""
    codebook = unpack(Layouts.of(build.config).weight, build.images["pe_0.codebook"])
    codes = network.layers[0].codes.tocsr()
    return csr_array((codebook[codes.data].astype(np.int32), codes.indices, codes.indptr),
                     shape=codes.shape)


def least_seconds(*functions: Callable[[], object]) -> NDArray[np.float64]:
    """Measure the least time in seconds of one call of each function."""
    least = np.full(len(functions), np.inf)
    for _ in range(ROUNDS):
        for number, function in enumerate(functions):
            end = time.perf_counter() + AT_LEAST
            while True:
                least[number] = min(least[number], _timed(function)[0])
                if time.perf_counter() >= end:
                    break
    return least


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result
