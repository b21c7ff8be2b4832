"""Speed of the Verilator engine, and the time to build its library, by the number of PEs.

Every library is built in an empty folder, so that no earlier build is reused.
"""

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_sim.rtl import verilator_engine
from eie_sim.rtl.verilator_host import verilog

from .paper.nine_layers import MACHINES

__all__ = ["PES", "Row", "count_cores", "measure", "measure_all", "summarise"]

#: Numbers of PEs that are measured.
PES = (1, 16, 64)

#: The tuned machine of the nine layers, of which only the number of PEs changes.
CONFIG = MACHINES["tuned"].config

#: The layer: columns, rows in each PE, and the shares of nonzero weights and inputs.
N_COLS, ROWS_PER_PE, DENSITY, ACTIVE = 1024, 16, 0.1, 0.35

#: Inferences times PEs of a run, so that each machine takes a few seconds.
IMAGES = 4096

#: Runs of each machine. The fastest counts, as other load slows the rest.
ROUNDS = 3


class Row(NamedTuple):
    """Build time and speed of a machine.

    Attributes
    ----------
    n_pe : :class:`int`
        Number of PEs.
    emission : :class:`float`, seconds
        Time to write the Verilog.
    build : :class:`float`, seconds
        Time to build the library: Verilator, C++ compiler, linker.
    alone, together : :class:`float`, clock cycles per second
        Rate of one machine, and total rate of one machine per core, loading included.
    """

    n_pe: int
    emission: float
    build: float
    alone: float
    together: float


def measure(n_pe: int, root: Path) -> Row:
    """Build a machine in an empty folder and time its runs."""
    config = dataclasses.replace(CONFIG, n_pe=n_pe)
    emission = _seconds(lambda: verilog(config, root))
    making = _seconds(lambda: verilator_engine.make_library(config, root))

    rng = np.random.default_rng(n_pe)
    build = compile_network(random_network(rng, [N_COLS, ROWS_PER_PE * n_pe], density=DENSITY),
                            config)
    shape = (IMAGES // n_pe, N_COLS)
    words = rng.integers(1, 1000, shape) * (rng.random(shape) < ACTIVE)

    def rate(machines: int | None) -> float:
        runs = [verilator_engine.run(build, words, cache=root, machines=machines,
                                     read_counters=False)
                for _ in range(ROUNDS)]
        return max(run.cycles / run.seconds for run in runs)

    return Row(n_pe, emission, making, rate(1), rate(None))


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure_all() -> Iterator[Row]:
    """Measure each number of :data:`PES`, each in a temporary folder."""
    for n_pe in PES:
        with tempfile.TemporaryDirectory(prefix="eie-") as root:
            yield measure(n_pe, Path(root))


def count_cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Return the rows as plain JSON."""
    return {"cores": count_cores(), "rows": [row._asdict() for row in rows]}
