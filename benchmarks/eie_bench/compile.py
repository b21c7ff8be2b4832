"""Time and memory that the compiler needs for VGG-6: 25088 inputs, 4096 outputs, 4 % of weights."""

import resource
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import EIEConfig

__all__ = ["CONFIGS", "MAPPINGS", "Row", "make_network", "measure_all", "peak_mib", "summarise"]

#: Size and density of the layer, and the seed of its weights.
N_ROWS, N_COLS, DENSITY, SEED = 4096, 25088, 0.04, 2016

#: Machines of 64 PEs with memories deep enough for the paper's largest layer.
CONFIGS = {
    "6-bit runs": EIEConfig(n_pe=64, spmat_depth=16384, ptr_depth=16384),
    "4-bit runs (paper)": EIEConfig.isca2016(spmat_depth=16384, ptr_depth=16384, acc_width=40),
}

MAPPINGS: tuple[Literal["balanced", "interleaved"], ...] = ("balanced", "interleaved")


def make_network(seed: int = SEED) -> CompressedNetwork:
    """Create a layer of VGG-6's size and density with random weights."""
    rng = np.random.default_rng(seed)
    in_column = rng.binomial(N_ROWS, DENSITY, N_COLS)
    rows = np.concatenate([np.sort(rng.choice(N_ROWS, count, replace=False))
                           for count in in_column]).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(in_column)])
    codes = csc_array((rng.integers(1, 16, len(rows), np.uint8), rows, indptr),
                      shape=(N_ROWS, N_COLS))
    codebook = np.concatenate([[0.0], np.linspace(-0.04, 0.04, 15)])
    layer = Layer("vgg6", codes, codebook, rng.normal(0, 0.1, N_ROWS), True, 10)
    return CompressedNetwork((layer,), input_frac=10, v_width=4)


class Row(NamedTuple):
    """Cost of compiling for one configuration with one mapping.

    Attributes
    ----------
    configuration, mapping : :class:`str`
        Name in :data:`CONFIGS`, and the mapping of rows to PEs.
    seconds : :class:`float`
        Time to compile.
    peak_mib : :class:`float`, MiB
        Peak resident memory of the process so far.
    entries, paddings : :class:`int`
        Entries of the build, and how many of them are padding.
    entry_balance : :class:`float`
        Mean over greatest number of entries of a PE.
    """

    configuration: str
    mapping: str
    seconds: float
    peak_mib: float
    entries: int
    paddings: int
    entry_balance: float


def measure_all(network: CompressedNetwork) -> Iterator[Row]:
    """Compile for each of :data:`CONFIGS` with each mapping."""
    for name, config in CONFIGS.items():
        for mapping in MAPPINGS:
            start = time.perf_counter()
            build = compile_network(network, config, mapping=mapping)
            seconds = time.perf_counter() - start
            layer = build.report["layers"][0]
            yield Row(name, mapping, seconds, peak_mib(), layer["entries"], layer["paddings"],
                      layer["entry_balance"])


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB; Linux reports KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Return the rows as plain JSON."""
    return {"seed": SEED, "rows": [row._asdict() for row in rows]}
