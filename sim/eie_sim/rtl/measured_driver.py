"""Driver of a graph on simulated hardware that measures cycles."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph_build import GraphBuild
from eie_driver.accelerator import Accelerator
from eie_driver.bus import Bus
from eie_driver.network import NetworkDriver

__all__ = ["BATCH", "Measured", "MeasuredDriver", "SimulatedBus", "join"]

#: Vectors that a machine runs back to back before it can be stopped.
BATCH = 1000


class SimulatedBus(Bus, Protocol):
    """Bus to a simulated machine, which counts cycles."""

    @property
    def cycles(self) -> int:
        """Clock cycles since the bus was created."""

    def take_interval(self) -> int:
        """Cycles from the first beat sent to the last result beat since the previous call."""


class Measured(NamedTuple):
    """Results of the layers of a node, for the vectors of one call.

    Attributes
    ----------
    words : int64 (vectors, n_outputs)
        Results.
    cycles : :class:`int`
        Cycles from the first input beat to the last result beat, of all machines together.
    counters : :class:`list` of :class:`dict`
        Counters of the sampled vectors, which were run once more.
    sampled : int64 (samples, n_outputs)
        Results of these vectors.
    overflows : :class:`int`
        Number of these vectors for which the hardware reported an overflow.
    loads, load_cycles : :class:`int`
        Number of times that the memories of a machine were loaded, and cycles of that.
    """

    words: NDArray[np.int64]
    cycles: int
    counters: list[dict[str, int]]
    sampled: NDArray[np.int64]
    overflows: int
    loads: int
    load_cycles: int


class MeasuredDriver:
    """Driver of a graph on a simulated machine.

    Parameters
    ----------
    bus : :class:`SimulatedBus`
        Bus to the machine.
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network for this machine.
    timeout : :class:`float`, seconds
        Longest wait for a response of the machine, in simulated time.
    """

    def __init__(self, bus: SimulatedBus, build: GraphBuild, timeout: float) -> None:
        self._bus = bus
        self._driver = NetworkDriver(Accelerator(bus, timeout=timeout), build)

    def run(self, path: str, words: NDArray[np.int64], sample: NDArray[np.int64]) -> Measured:
        """Run the program of a node for words (vectors, n_inputs), back to back.

        Parameters
        ----------
        sample : int64 (samples,)
            Numbers of the vectors that are run once more, one after another, to read the counters.
            Of a program with states, they are whole sequences.
        """
        begin = self._bus.cycles
        loads = int(self._driver.select(path))
        load_cycles = self._bus.cycles - begin if loads else 0
        self._bus.take_interval()
        results = self._driver.run_layers(path, words)
        cycles = self._bus.take_interval()
        if not len(sample):
            return Measured(results.outputs[0], cycles, [], results.outputs[0][:0], 0, loads,
                            load_cycles)
        counted = self._driver.run_layers(path, words[sample], read_counters=True)
        return Measured(results.outputs[0], cycles, counted.counters, counted.outputs[0],
                        sum(tile is not None for tile in counted.overflow_tiles), loads,
                        load_cycles)


def join(parts: Sequence[Measured], *, loads: Sequence[Measured]) -> Measured:
    """Join the parts of a call; `loads` are those of one machine, whose loads count."""
    return Measured(
        np.concatenate([part.words for part in parts]), sum(part.cycles for part in parts),
        [counters for part in parts for counters in part.counters],
        np.concatenate([part.sampled for part in parts]), sum(part.overflows for part in parts),
        sum(part.loads for part in loads), sum(part.load_cycles for part in loads))
