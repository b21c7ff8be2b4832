"""Inferences of a graph on the golden model or on simulated hardware, compared node by node."""

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.execution import Execution
from eie_compiler.graph_build import GraphBuild, Inputs

from .golden_runner import Call, GoldenRunner
from .inference import Engine, EngineError
from .node_runs import NodeRun, make_runs
from .rtl import cocotb_network
from .rtl.measured_driver import Measured
from .rtl.verilator_machines import VerilatorMachines

__all__ = ["GraphInference", "Progress", "infer_graph"]

Words = NDArray[np.int64]

#: Function of the step, and of the parts of the work that are done and in all.
Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class GraphInference:
    """Results of a batch.

    Attributes
    ----------
    engine : :data:`~.inference.Engine`
        Engine that ran the batch.
    simulator : :class:`str`, optional
        ``verilator`` or ``icarus``; None for the golden model and the cycle model.
    batch : :class:`int`
        Number of inferences.
    outputs : :class:`dict` of :class:`str` to int64 (batch, ...)
        Fixed-point words of each output.
    nodes : :class:`dict` of :class:`str` to :class:`~.node_runs.NodeRun`
        Work and comparison of each node, by path.
    saturated_inputs : :class:`dict` of :class:`str` to :class:`int`
        Number of elements of each input that were beyond its format.
    seconds : :class:`float`
        Wall-clock time, without compiling the simulator.
    machines : :class:`int`
        Machines that shared the vectors of each node. Each fills and drains its pipeline, so cycles
        are more than those of one, which the cycle model predicts.
    """

    engine: Engine
    simulator: str | None
    batch: int
    outputs: dict[str, Words]
    nodes: dict[str, NodeRun]
    saturated_inputs: dict[str, int]
    seconds: float
    machines: int = 1

    @property
    def compared(self) -> int:
        """Numbers of hardware that were compared with the golden model."""
        return sum(node.compared for node in self.nodes.values())

    @property
    def differences(self) -> int:
        """Numbers that differ from those of the golden model."""
        return sum(node.differences for node in self.nodes.values())

    @property
    def ok(self) -> bool:
        """True if hardware and golden model agree and no accumulator overflowed."""
        return not self.differences and not any(node.overflows for node in self.nodes.values())

    @property
    def predicted(self) -> bool:
        """True if the cycle model predicted the cycles, without any Verilog."""
        return self.engine == "cycle-model"

    @property
    def all_equal(self) -> bool:
        """True if several inferences all give the same results."""
        return self.batch > 1 and all(bool((words == words[:1]).all())
                                      for words in self.outputs.values())

    @property
    def total(self) -> dict[str, Any]:
        """Sums over all nodes and inferences, as plain JSON; cycles are None if not known."""
        runs = [node for node in self.nodes.values() if node.on_accelerator]
        sums = {name: sum(node.counters[name] for node in runs) for name in runs[0].counters}
        net = _add([node.scaled(node.net_cycles, node.sampled) for node in runs])
        cycles = _add([node.scaled(node.cycles, node.timed) for node in runs])
        return {**sums, "vectors": sum(node.vectors for node in runs), "net_cycles": net,
                "cycles": cycles, "pe_utilisation":
                    sums["macs"] / (cycles * np.size(runs[0].entries)) if cycles else None,
                "loads": sum(node.loads for node in runs),
                "load_cycles": sum(node.load_cycles for node in runs),
                "host_elements": sum(node.elements for node in self.nodes.values()
                                     if not node.on_accelerator),
                "saturated": sum(node.saturated for node in self.nodes.values()),
                "compared": self.compared, "differences": self.differences}

    def summary(self) -> dict[str, Any]:
        """Return everything except the outputs, as plain JSON."""
        return {"engine": self.engine, "simulator": self.simulator, "predicted": self.predicted,
                "machines": self.machines, "inferences": self.batch, "seconds": self.seconds,
                "outputs": list(self.outputs),
                "saturated_inputs": self.saturated_inputs, "all_equal": self.all_equal,
                "total": self.total,
                "nodes": [node.summary() for node in self.nodes.values()]}


def _add(cycles: list[float | None]) -> float | None:
    """Sum of the cycles of all nodes; None if some are not known."""
    known = [each for each in cycles if each is not None]
    return sum(known) if len(known) == len(cycles) else None


class _Runner(Protocol):
    """Runner of layers on hardware: path, words, sampled vectors, and function of progress."""

    def __call__(self, path: str, words: Words, sample: Words, advance: Callable[[int], None]
                 ) -> Measured: ...


#: Makes the runner for a part of a batch, whose calls the golden model has made.
_Hardware = Callable[[dict[str, Words], list[Call]], _Runner]


def infer_graph(build: GraphBuild, inputs: Inputs, *, engine: Engine, words: bool = False,
                simulator: str = "verilator", folder: str | Path | None = None,
                cache: str | Path | None = None, machines: int | None = None,
                progress: Progress = lambda step, done, total: None) -> GraphInference:
    """Run a batch, and compare all results of the hardware with the golden model, bit by bit.

    Hardware and golden model compute the whole network, each from its own results. The results of
    all nodes are compared, in every step of a scan.

    Parameters
    ----------
    inputs, words
        As for :meth:`eie_compiler.graph_build.GraphBuild.to_words`.
    engine : ``"golden"``, ``"cycle-model"``, ``"cocotb"`` or ``"verilator"``
        The golden model alone; with predicted cycles; or also the hardware.
    simulator, folder
        As for :func:`.rtl.cocotb_engine.run`; for cocotb only.
    cache
        As for :func:`.rtl.cocotb_engine.run`.
    machines : :class:`int`, optional
        Machines of the engine ``verilator`` that share the vectors of each node. Default: one per
        processor core; 1 measures the cycles of hardware.
    progress : function of :class:`str`, :class:`int` and :class:`int`
        Called with the path of a node, and with the vectors that are done and of all nodes.

    Raises
    ------
    EngineError
        If the engine is unknown.
    VectorError
        If `inputs` do not match the network.
    GoldenError, CycleModelError, SimulationError, ToolError, DriverError, BusError
        As for :func:`.inference.infer`.
    """
    if engine not in get_args(Engine):
        raise EngineError(f"engine must be golden, cycle-model, cocotb or verilator, not "
                          f"{engine!r}")
    tensors = build.to_words(inputs, words=words)
    runs = make_runs(build, tensors.batch)
    machines = (machines or len(os.sched_getaffinity(0))) if engine == "verilator" else 1
    passes = 1 if engine == "golden" else 2
    advance = _Advance(progress, passes * sum(run.planned for run in runs.values()))
    with contextlib.ExitStack() as stack:
        hardware = _open_hardware(stack, build, engine, simulator=simulator, folder=folder,
                                  cache=cache, machines=machines)
        start = time.perf_counter()
        golden = GoldenRunner(build, runs, advance, predict=engine == "cycle-model")
        outputs = [_run_part(build, part, golden, hardware, runs, advance)
                   for part in build.parts(tensors)]
    return GraphInference(
        engine, simulator if engine == "cocotb" else "verilator" if hardware else None,
        tensors.batch,
        {name: np.concatenate([part[name] for part in outputs]) for name in build.graph.outputs},
        runs, tensors.saturated, time.perf_counter() - start, machines)


def _open_hardware(stack: contextlib.ExitStack, build: GraphBuild, engine: Engine, *,
                   simulator: str, folder: str | Path | None, cache: str | Path | None,
                   machines: int) -> _Hardware | None:
    """Make the hardware of an engine, if it has any; the stack ends it."""
    if engine == "verilator":
        running = stack.enter_context(VerilatorMachines(build, cache=cache, machines=machines))
        return lambda part, calls: running.run
    if engine == "cocotb":
        return lambda part, calls: _replay(cocotb_network.run(
            build, part, [call.sample for call in calls], simulator=simulator, cache=cache,
            folder=folder))
    return None


def _replay(measured: list[Measured]) -> _Runner:
    """Make a runner of results that the hardware has computed already, in the same order."""
    results = iter(measured)

    def run(path: str, words: Words, sample: Words, advance: Callable[[int], None]) -> Measured:
        advance(len(words))
        return next(results)

    return run


def _run_part(build: GraphBuild, part: dict[str, Words], golden: GoldenRunner,
              hardware: _Hardware | None, runs: dict[str, NodeRun], advance: "_Advance"
              ) -> dict[str, Words]:
    """Run a part of a batch; return all tensors, those of the hardware if there is any."""
    graph, width = build.graph, build.config.act_width
    golden.calls.clear()
    golden.steps.clear()
    execution = Execution(graph, width, golden.run, golden.watch)
    results = execution.run(part)
    for path, count in execution.saturated.items():
        runs[path].saturated += count
    if hardware is None:
        return results
    runner, calls, steps = hardware(part, golden.calls), iter(golden.calls), iter(golden.steps)

    def run(path: str, words: Words) -> Words:
        call, node = next(calls), runs[path]
        measured = runner(path, words, call.sample, lambda vectors: advance(path, vectors))
        node.measure(measured, len(words))
        node.compare(measured.words, call.results)
        node.compare(measured.sampled, call.results[call.sample])
        return measured.words

    def watch(path: str, words: Words) -> None:
        if not runs[path].on_accelerator:    # results of layers are compared by their runner
            runs[path].compare(words, next(steps))

    return Execution(graph, width, run, watch).run(part)


class _Advance:
    """Progress in vectors, from any thread."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._lock = threading.Lock()

    def __call__(self, path: str, vectors: int) -> None:
        with self._lock:
            self._done += vectors
            self._progress(path, self._done, self._total)
