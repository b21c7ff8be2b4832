"""Machines in Verilator that run the programs of a graph, one after another."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph_build import GraphBuild
from eie_compiler.sampling import divide

from .cocotb_engine import deadline
from .measured_driver import BATCH, Measured, MeasuredDriver, join
from .simulators import CLOCK_PERIOD
from .verilator_bus import VerilatorBus
from .verilator_engine import make_library

__all__ = ["VerilatorMachines"]


class VerilatorMachines:
    """Machines that share the vectors of each call, one thread each.

    They are kept from call to call: their memories are loaded only when a program needs another
    load. Use it as a context manager.

    Parameters
    ----------
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network, and the machine that runs it.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache of compiled simulators, as for :func:`.cache.make_once`.
    machines : :class:`int`, optional
        Number of machines. Default: one per processor core.

    Raises
    ------
    SimulationError, ToolError
        If the machine cannot be built, or Verilator is missing.
    """

    def __init__(self, build: GraphBuild, *, cache: str | Path | None = None,
                 machines: int | None = None) -> None:
        self._build = build
        library = make_library(build.config, cache)
        cycles = max(map(deadline, build.programs.values()))
        n_machines = machines or len(os.sched_getaffinity(0))
        self._failed = threading.Event()
        # A machine belongs to the thread that makes it: Verilator waits for that to free it.
        self._threads = [ThreadPoolExecutor(1) for _ in range(n_machines)]
        self._buses = [thread.submit(VerilatorBus, library, timeout_cycles=cycles, seed=1 + number)
                       for number, thread in enumerate(self._threads)]
        self._drivers = [thread.submit(MeasuredDriver, bus.result(), build, cycles * CLOCK_PERIOD)
                         for thread, bus in zip(self._threads, self._buses)]

    def __enter__(self) -> "VerilatorMachines":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._failed.set()
        for thread, bus in zip(self._threads, self._buses):
            thread.submit(bus.result().close)
            thread.shutdown()

    def run(self, path: str, words: NDArray[np.int64], sample: NDArray[np.int64],
            advance: Callable[[int], None] = lambda vectors: None) -> Measured:
        """Run the program of a node, as :meth:`.measured_driver.MeasuredDriver.run`.

        Parameters
        ----------
        advance : function of :class:`int`
            Called with the number of vectors that have been run since the last call.

        Raises
        ------
        DriverError, BusError
            If a machine hangs, or reports an error.
        """
        length = self._build.programs[path].sequence_length
        shares = divide(len(words), len(self._drivers), length)
        # Whole sequences.
        batch = max(1, BATCH // length) * length

        def work(number: int) -> list[Measured]:
            share = shares[number]
            driver, parts = self._drivers[number].result(), []
            try:
                for start in range(share.start, share.stop, batch):
                    stop = min(start + batch, share.stop)
                    if not self._failed.is_set():
                        chosen = sample[(sample >= start) & (sample < stop)] - start
                        parts.append(driver.run(path, words[start:stop], chosen))
                        advance(stop - start)
            except BaseException:
                self._failed.set()
                raise
            return parts

        # The last machine has a part of any call.
        running = [thread.submit(work, number) for number, thread in enumerate(self._threads)]
        *others, last = [each.result() for each in running]
        return join([part for parts in (*others, last) for part in parts], loads=last)
