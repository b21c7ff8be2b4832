"""Speed of the fast engine, and the time that it takes to build one, by the number of PEs.

Prints a table; `python benchmarks/simulation.py`. Nothing that was built before is taken.
"""

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.progress import track

from eie_bench.paper.nine_layers import MACHINES
from eie_cli.console import make_console, make_table, print_table
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_sim.rtl import verilator_engine
from eie_sim.rtl.verilator_host import verilog

PES = (1, 16, 64)

#: The machine that runs the nine layers of the paper, with another number of PEs.
CONFIG = MACHINES["tuned"].config

#: A layer: its columns, its rows in each PE, and how many of its weights and inputs are not zero.
N_COLS, ROWS_PER_PE, DENSITY, ACTIVE = 1024, 16, 0.1, 0.35

#: Inferences of all PEs together, so that each machine takes some seconds.
IMAGES = 4096

#: The best of so many runs counts: the rest has met something else that the computer does.
ROUNDS = 3


class Row(NamedTuple):
    """What one number of PEs takes.

    Attributes
    ----------
    n_pe : :class:`int`
        PEs.
    emission : :class:`float`, seconds
        To write the Verilog.
    build : :class:`float`, seconds
        To make a library of it: Verilator, C++ compiler, linker.
    alone, together : :class:`float`, clock cycles per second
        Of one machine, and of as many as there are cores, taken together. Loading is included.
    """

    n_pe: int
    emission: float
    build: float
    alone: float
    together: float


def measure(n_pe: int, root: Path) -> Row:
    """Build a machine in an empty folder, and let it run."""
    config = dataclasses.replace(CONFIG, n_pe=n_pe)
    emission = _seconds(lambda: verilog(config, root))
    making = _seconds(lambda: verilator_engine.make_library(config, root))

    rng = np.random.default_rng(n_pe)
    build = compile_network(random_network(rng, [N_COLS, ROWS_PER_PE * n_pe], density=DENSITY),
                            config)
    shape = (IMAGES // n_pe, N_COLS)
    words = rng.integers(1, 1000, shape) * (rng.random(shape) < ACTIVE)

    def rate(machines: int | None) -> float:
        runs = [verilator_engine.run(build, words, build_root=root, machines=machines, count=False)
                for _ in range(ROUNDS)]
        return max(run.cycles / run.seconds for run in runs)

    return Row(n_pe, emission, making, rate(1), rate(None))


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@click.command()
@click.option("--json", "output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the table as JSON.")
def main(output: Path | None) -> None:
    """Measure the fast engine."""
    console = make_console()
    rows = []
    for n_pe in track(PES, "measuring", console=console, disable=not console.is_interactive):
        with tempfile.TemporaryDirectory(prefix="eie-") as root:
            rows.append(measure(n_pe, Path(root)))
    n_cores = len(os.sched_getaffinity(0))
    print_table(make_table("PEs", "Verilog, s", "library, s", "built in, s", "cycles/s",
                           f"cycles/s, {n_cores} cores", title="fast engine, built from nothing"),
                [[str(row.n_pe), f"{row.emission:.1f}", f"{row.build:.1f}",
                  f"{row.emission + row.build:.1f}", f"{row.alone:,.0f}", f"{row.together:,.0f}"]
                 for row in rows])
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"cores": n_cores, "rows": [row._asdict() for row in rows]},
                                     indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
