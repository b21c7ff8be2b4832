"""Engine ``verilator``: the driver and Verilog of engine ``cocotb``, without cocotb's overhead."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.sampling import divide
from eie_driver.accelerator import Accelerator
from eie_driver.batch import Run
from eie_driver.c_model import count_input_beats, count_result_beats
from eie_hdl.config import EIEConfig

from ..pauses import Pauses
from .cocotb_engine import SimulationResult, deadline
from .simulators import CLOCK_PERIOD
from .verilator_bus import VerilatorBus
from .verilator_host import FOLDER, make_host

__all__ = ["make_library", "run"]

#: Inferences between two checks for the failure of another machine.
_BATCH = 100

#: A host that does not pause by a schedule.
_NO_PAUSES = Pauses()


def make_library(config: EIEConfig, cache: str | Path | None = None) -> Path:
    """Compile a machine as a library for :class:`~.verilator_bus.VerilatorBus`, or reuse it."""
    return make_host(config, FOLDER / "library.cpp", "-shared", cache=cache)


def run(build: Build, inputs: NDArray[np.int64], *, cache: str | Path | None = None,
        read_counters: bool = True, alone: bool = False, pause: float = 0.0, seed: int = 1,
        machines: int | None = None, pauses: Pauses = _NO_PAUSES) -> SimulationResult:
    """Run inferences on the machine in Verilator, through its AXI buses and driver.

    Parameters
    ----------
    build, inputs, cache, read_counters, alone, pause, seed
        As for :func:`.cocotb_engine.run`.
    machines : :class:`int`, optional
        Machines that share the inputs, one thread each. Default: one per processor core.
    pauses : :class:`~..pauses.Pauses`
        Pauses before the beats of each machine's inputs and results, on top of random ones.

    Raises
    ------
    DriverError, BusError
        If the machine hangs, or reports an error.
    SimulationError, ToolError
        If the machine cannot be built, or Verilator is missing.
    """
    library = make_library(build.config, cache)
    paused = pauses.bound(count_input_beats(build), count_result_beats(build))
    cycles = round((deadline(build) + paused) / (1 - pause))
    length = build.sequence_length
    n_machines = max(1, min(machines or len(os.sched_getaffinity(0)), len(inputs) // length))
    parts = [inputs[share] for share in divide(len(inputs), n_machines, length)]
    # Whole sequences.
    size = max(1, _BATCH // length) * length
    failed = threading.Event()
    begin = time.perf_counter()

    def work(number: int) -> tuple[list[Run], VerilatorBus, int, int, int]:
        bus = VerilatorBus(library, timeout_cycles=cycles, pause=pause, seed=seed + number)
        runs = []
        with contextlib.closing(bus), _set_on_failure(failed):
            machine = Accelerator(bus, timeout=cycles * CLOCK_PERIOD)
            machine.load(build)
            bus.take_interval()
            bus.set_pauses(pauses)
            for start in range(0, max(1, len(parts[number])), size):
                if not failed.is_set():
                    batch = parts[number][start:start + size]
                    runs.append(machine.run(batch, words=True,
                                            read_counters=read_counters))
            interval = bus.take_interval()
            if alone and number == n_machines - 1:
                runs.append(machine.run(inputs[:length], words=True, read_counters=read_counters))
            return runs, bus, bus.cycles, interval, bus.latency

    with ThreadPoolExecutor(n_machines) as pool, _set_on_failure(failed):
        done = list(pool.map(work, range(n_machines)))
    return _join([run for runs, *_ in done for run in runs], [bus for _, bus, *_ in done],
                 [cycles for _, _, cycles, *_ in done], [interval for *_, interval, _ in done],
                 done[-1][-1] if alone else None, time.perf_counter() - begin)


@contextlib.contextmanager
def _set_on_failure(event: threading.Event) -> Iterator[None]:
    """Set the event if the body fails or is interrupted."""
    try:
        yield
    except BaseException:
        event.set()
        raise


def _join(runs: Sequence[Run], buses: Sequence[VerilatorBus], cycles: Sequence[int],
          intervals: Sequence[int], latency: int | None, seconds: float) -> SimulationResult:
    tiles = [tile for one in runs for tile in one.overflow_tiles]
    traffic = sum((bus.statistics for bus in buses[1:]), buses[0].statistics)
    return SimulationResult(
        outputs=[np.concatenate(part) for part in zip(*(one.outputs for one in runs))],
        counters=[counters for one in runs for counters in one.counters],
        overflow=np.array([tile is not None for tile in tiles], np.bool_),
        overflow_tile=np.array([tile or 0 for tile in tiles], np.int64),
        cycles=sum(cycles), interval=sum(intervals), latency=latency, seconds=seconds,
        traffic=dict(traffic))
