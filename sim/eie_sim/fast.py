"""The hardware without cocotb: the same Verilog and the same driver, many times as fast."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_hdl.config import EIEConfig

from .driver.accelerator import Accelerator
from .driver.batch import Run
from .driver.simulated import PERIOD
from .driver.verilated import VerilatedBus
from .rtl import BUILD_ROOT, RtlResult, deadline
from .verilated import FOLDER, make_host

__all__ = ["make_library", "run"]


def make_library(config: EIEConfig, build_root: str | Path = BUILD_ROOT) -> Path:
    """Shared library of a machine, for :class:`~.driver.verilated.VerilatedBus`; made once."""
    return make_host(config, FOLDER / "library.cpp", "-shared", build_root=build_root)


def run(build: Build, inputs: NDArray[np.int64], *, build_root: str | Path = BUILD_ROOT,
        count: bool = True, pause: float = 0.0, seed: int = 1, machines: int | None = None
        ) -> RtlResult:
    """Run inferences in Verilator, through the AXI buses of the machine and its driver.

    Parameters
    ----------
    build, inputs, build_root, count, pause, seed
        As for :func:`.rtl.run`.
    machines : :class:`int`, optional
        Machines that share the inputs, each in a thread of its own: as many as there are processor
        cores, if left out.

    Raises
    ------
    DriverError, BusError
        If the machine hangs, or reports an error.
    SimulationError, ToolError
        If the machine cannot be built, or Verilator is missing.
    """
    library = make_library(build.config, build_root)
    limit = deadline(build)
    parts = np.array_split(inputs, min(machines or os.cpu_count() or 1, len(inputs)))
    begin = time.perf_counter()

    def work(number: int) -> tuple[Run, VerilatedBus, int]:
        bus = VerilatedBus(library, patience=round(limit / (1 - pause)), pause=pause,
                           seed=seed + number)
        try:
            machine = Accelerator(bus, timeout=limit / (1 - pause) * PERIOD)
            machine.load(build)
            return machine.run(parts[number], count=count), bus, bus.cycles
        finally:
            bus.close()

    with ThreadPoolExecutor(len(parts)) as pool:
        runs, buses, cycles = zip(*pool.map(work, range(len(parts))))
    return _join(runs, buses, cycles, time.perf_counter() - begin)


def _join(runs: Sequence[Run], buses: Sequence[VerilatedBus], cycles: Sequence[int],
          seconds: float) -> RtlResult:
    tiles = [tile for one in runs for tile in one.overflow_tiles]
    traffic = sum((bus.statistics for bus in buses[1:]), buses[0].statistics)
    return RtlResult(
        outputs=[np.concatenate(part) for part in zip(*(one.outputs for one in runs))],
        counters=[counters for one in runs for counters in one.counters],
        overflow=np.array([tile is not None for tile in tiles], np.bool_),
        overflow_tile=np.array([tile or 0 for tile in tiles], np.int64),
        cycles=sum(cycles), seconds=seconds, traffic=dict(traffic))
