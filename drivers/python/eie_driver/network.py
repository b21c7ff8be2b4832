"""Driver of a network that is a graph: programs of one machine, and steps of the host."""

import collections
import dataclasses
import warnings

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.graph.execution import Execution
from eie_compiler.graph_build import GraphBuild, Inputs

from .accelerator import Accelerator
from .batch import Run
from .errors import SaturationWarning

__all__ = ["NetworkDriver", "NetworkRun"]


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkRun:
    """Results of a batch of a network.

    Attributes
    ----------
    outputs : :class:`dict` of :class:`str` to int64 (batch, ...)
        Fixed-point words of each output.
    saturated : :class:`dict` of :class:`str` to :class:`int`
        Number of elements that were beyond their format and became its least or greatest number,
        of each input and of each step of the host that had any. Those of layers are not counted
        by the machine.
    """

    outputs: dict[str, NDArray[np.int64]]
    saturated: dict[str, int]


class NetworkDriver:
    """Driver of a graph on one machine.

    Layers are computed by the machine, all vectors of a batch back to back, in the order of the
    graph; the other nodes by the host between them. The memories are loaded when the next program
    is not in them, so once for each load and batch, or part of a batch (:attr:`GraphBuild.part`),
    except within a scan whose programs do not fit the memories together.

    States of a network that keeps them from call to call are inputs and outputs of its graph.

    Parameters
    ----------
    machine : :class:`~.accelerator.Accelerator`
        The machine.
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network for this machine.
    """

    def __init__(self, machine: Accelerator, build: GraphBuild) -> None:
        self.machine = machine
        self.build = build
        self._selected: Build | None = None

    def infer(self, inputs: Inputs, *, words: bool = False) -> dict[str, NDArray[np.float64]]:
        """Run inferences.

        Parameters
        ----------
        inputs : mapping of :class:`str` to (batch, ...) or (...), or such an array
            Numbers, which are preprocessed and rounded to the format of each input; by name, or of
            the only input.
        words : :class:`bool`
            True if `inputs` are fixed-point words already, which are not preprocessed.

        Returns
        -------
        :class:`dict` of :class:`str` to float64 (batch, ...)
            Results of each output.

        Raises
        ------
        VectorError
            If `inputs` do not match those of the network.
        SaturationWarning
            As a warning, if elements of `inputs` are beyond their format.
        DriverError, BusError
            As for :meth:`.accelerator.Accelerator.run`.
        """
        run = self.run(inputs, words=words)
        for name in self.build.graph.inputs:
            if n_saturated := run.saturated.get(name):
                after = ", after preprocessing," if name in self.build.preprocessing else ""
                warnings.warn(f"{n_saturated:,} elements of input {name!r}{after} were beyond the "
                              "range of the network and saturated: scale the inputs, or compress "
                              "the network with calibration=", SaturationWarning, stacklevel=2)
        return self.build.to_numbers(run.outputs)

    def run(self, inputs: Inputs, *, words: bool = False) -> NetworkRun:
        """Run inferences; results are fixed-point words.

        Parameters and errors are those of :meth:`infer`.
        """
        tensors = self.build.to_words(inputs, words=words)
        execution = Execution(self.build.graph, self.build.config.act_width,
                              lambda path, vectors: self.run_layers(path, vectors).outputs[0])
        parts = [execution.run(part) for part in self.build.parts(tensors)]
        outputs = {name: np.concatenate([part[name] for part in parts])
                   for name in self.build.graph.outputs}
        return NetworkRun(outputs, dict(
            collections.Counter(tensors.saturated) + collections.Counter(execution.saturated)))

    def run_layers(self, path: str, words: NDArray[np.int64], *, read_counters: bool = False
                   ) -> Run:
        """Run the program of a node of layers for words (vectors, n_inputs), as
        :meth:`.accelerator.Accelerator.run` does.
        """
        self.select(path)
        return self.machine.run(words, words=True, read_counters=read_counters)

    def select(self, path: str) -> bool:
        """Select the program of a node of layers; return true if the memories were loaded for it.
        """
        build, former = self.build.programs[path], self._selected
        self._selected = None    # until it succeeds
        self.machine.select(build)
        self._selected = build
        return former is None or build.images is not former.images
