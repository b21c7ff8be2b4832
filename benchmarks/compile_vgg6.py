"""Time and memory that the compiler needs for VGG-6: 25088 inputs, 4096 outputs, 4 % of weights.

Prints a table; `python benchmarks/compile_vgg6.py`.
"""

import resource
import sys
import time

import numpy as np
from scipy.sparse import csc_array

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork, Layer
from eie_hdl.config import EIEConfig

N_ROWS, N_COLS, DENSITY, SEED = 4096, 25088, 0.04, 2016

#: The paper's 64 PEs with memories large enough for its largest layer.
CONFIGS = {
    "6-bit runs": EIEConfig(n_pe=64, spmat_depth=16384, ptr_depth=16384),
    "4-bit runs (paper)": EIEConfig.isca2016(spmat_depth=16384, ptr_depth=16384, acc_width=40),
}


def make_network(seed: int = SEED) -> CompressedNetwork:
    """A layer of VGG-6's size and density with random weights."""
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


def main() -> int:
    """Compile in each way and print the table."""
    network = make_network()
    before = _peak_mib()
    print(f"VGG-6: {N_COLS} -> {N_ROWS}, {network.layers[0].n_nonzeros} nonzeros, seed {SEED}; "
          f"peak memory of the process before compiling {before:.0f} MiB")
    print(f"{'configuration':20} {'mapping':12} {'seconds':>8} {'peak MiB':>9} {'entries':>9} "
          f"{'padding':>9} {'balance':>8}")
    for name, config in CONFIGS.items():
        for mapping in ("balanced", "interleaved"):
            start = time.perf_counter()
            build = compile_network(network, config, mapping=mapping)
            seconds = time.perf_counter() - start
            _print_row(name, mapping, seconds, build)
    return 0


def _print_row(name: str, mapping: str, seconds: float, build: Build) -> None:
    layer = build.report["layers"][0]
    print(f"{name:20} {mapping:12} {seconds:8.2f} {_peak_mib():9.0f} {layer['entries']:9} "
          f"{layer['paddings']:9} {layer['entry_balance']:8.4f}")


def _peak_mib() -> float:
    """Peak resident memory of this process so far, which Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
