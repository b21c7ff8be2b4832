"""Time that the host needs for the nine layers of the paper; behind `make bench-host`.

Compares the golden model, which also counts entries by PE and rounds, with the bare product of the
same matrix in SciPy. The golden model is to take no longer than three times as long.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.sparse import csr_array

from eie_bench.paper.nine_layers import (
    LAYERS,
    MACHINES,
    Machine,
    PaperLayer,
    make_inputs,
    make_network,
)
from eie_cli.console import make_console, make_table, print_table
from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.vectors import scatter
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.cycles.model import predict_build
from eie_sim.golden.model import GoldenModel

#: Images that are computed at once, besides one alone.
BATCH = 64

#: Times the product that the golden model may take.
ALLOWED = 3.0

#: Timings are taken in turn, so that what else the computer does meets all of them; the least
#: counts.
ROUNDS = 5

#: Seconds that a function is repeated in each round.
AT_LEAST = 0.05


class Row(NamedTuple):
    """Seconds that one layer takes.

    Attributes
    ----------
    layer : :class:`str`
        Its name.
    nonzeros : :class:`int`
        Weights that are not zero.
    compile, decode : :class:`float`
        From the network to its images, and from them to a golden model.
    product, golden : :class:`float`
        One image: product of an int32 CSR matrix and vector, and golden model.
    product_batch, golden_batch : :class:`float`
        The same for each image of a batch; the product is that of the matrix and all vectors.
    cycle_model : :class:`float`
        Prediction of all counters for one image, from the images of the memories.
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
    def ratio(self) -> float:
        """Golden model over product, one image."""
        return self.golden / self.product

    @property
    def batch_ratio(self) -> float:
        """Golden model for an image of a batch over the product of one image."""
        return self.golden_batch / self.product


@click.command()
@click.option("--preset", type=click.Choice(list(MACHINES)), default="tuned", show_default=True,
              help="Machine that the layers are compiled for.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of weights and inputs.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              default=Path("build/bench-host.json"), show_default=True, help="JSON of the table.")
def main(preset: str, seed: int, output: Path) -> None:
    """Measure the host's part of the nine layers."""
    console = make_console()
    rows = [measure(layer, MACHINES[preset], seed)
            for layer in track(LAYERS.values(), "measuring", console=console,
                               disable=not console.is_interactive)]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({
        "preset": preset, "seed": seed, "batch": BATCH,
        "layers": [{**row._asdict(), "ratio": row.ratio, "batch_ratio": row.batch_ratio}
                   for row in rows]}, indent=1) + "\n", encoding="utf-8")
    show(rows)


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
    predict_build(build, words[:1])     # Numba compiles it the first time
    product, golden, product_batch, golden_batch, cycle_model = least_seconds(
        lambda: matrix @ vector, lambda: model.run_counted(placed[:1], build.input.base_word),
        lambda: matrix @ narrow, lambda: model.run_counted(placed, build.input.base_word),
        lambda: predict_build(build, words[:1]))
    return Row(layer.name, matrix.nnz, compiling, decoding, product, golden,
               product_batch / BATCH, golden_batch / BATCH, cycle_model)


def make_matrix(network: CompressedNetwork, build: Build) -> csr_array:
    """Weights of the only layer, as the machine holds them, in int32; rows × columns."""
    codebook = unpack(Layouts.of(build.config).weight, build.images["pe_0.codebook"])
    codes = network.layers[0].codes.tocsr()
    return csr_array((codebook[codes.data].astype(np.int32), codes.indices, codes.indptr),
                     shape=codes.shape)


def least_seconds(*functions: Callable[[], object]) -> NDArray[np.float64]:
    """Least time that one call of each takes."""
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


def show(rows: list[Row]) -> None:
    """Print the table and whether the golden model is fast enough."""
    print_table(make_table(
        "layer", "nonzeros", "compile", "decode", "product", "golden", "ratio",
        f"{BATCH}: product", f"{BATCH}: golden", f"{BATCH}: ratio", "cycle model",
        title="seconds to compile and to decode; then milliseconds an image"),
        [[row.layer, f"{row.nonzeros:,}", f"{row.compile:.2f}", f"{row.decode:.2f}",
          f"{row.product * 1e3:.2f}", f"{row.golden * 1e3:.2f}", f"{row.ratio:.2f}",
          f"{row.product_batch * 1e3:.2f}", f"{row.golden_batch * 1e3:.2f}",
          f"{row.batch_ratio:.2f}", f"{row.cycle_model * 1e3:.1f}"] for row in rows])
    slow = [row.layer for row in rows if max(row.ratio, row.batch_ratio) > ALLOWED]
    if slow:
        make_console().print(f"The golden model takes more than {ALLOWED:g} times as long as the "
                             f"product on {', '.join(slow)}.", style="red")
    else:
        make_console().print(f"The golden model takes no more than {ALLOWED:g} times as long as "
                             f"the product on any layer.", style="green")


if __name__ == "__main__":
    main()
