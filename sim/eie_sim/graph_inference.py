"""Inferences of a graph on the golden model or on simulated hardware, compared node by node."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph.execution import Execution
from eie_compiler.graph_build import GraphBuild, Inputs
from eie_compiler.vectors import gather, scatter

from .cycles.model import predict_back_to_back, predict_build
from .golden.model import GoldenModel, Statistics
from .inference import Engine, EngineError
from .node_runs import SAMPLE, NodeRun, make_runs
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
    """

    engine: Engine
    simulator: str | None
    batch: int
    outputs: dict[str, Words]
    nodes: dict[str, NodeRun]
    saturated_inputs: dict[str, int]
    seconds: float

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
    def total(self) -> dict[str, Any]:
        """Sums over all nodes and inferences, as plain JSON; cycles are None if not known."""
        runs = [node for node in self.nodes.values() if node.on_accelerator]
        sums = {name: sum(node.counters[name] for node in runs)
                for name in (runs[0].counters if runs else ())}
        timed = all(node.sampled for node in runs)
        return {**sums, "vectors": sum(node.vectors for node in runs),
                "net_cycles": sum(node.scaled(node.net_cycles, node.sampled) or 0
                                  for node in runs) if timed else None,
                "cycles": sum(node.scaled(node.cycles, node.timed) or 0
                              for node in runs) if timed else None,
                "loads": sum(node.loads for node in runs),
                "load_cycles": sum(node.load_cycles for node in runs),
                "host_elements": sum(node.elements for node in self.nodes.values()
                                     if not node.on_accelerator),
                "saturated": sum(node.saturated for node in self.nodes.values()),
                "compared": self.compared, "differences": self.differences}

    def summary(self) -> dict[str, Any]:
        """Return everything except the outputs, as plain JSON."""
        return {"engine": self.engine, "simulator": self.simulator, "predicted": self.predicted,
                "inferences": self.batch, "seconds": self.seconds, "outputs": list(self.outputs),
                "saturated_inputs": self.saturated_inputs, "total": self.total,
                "nodes": [node.summary() for node in self.nodes.values()]}


class _Hardware(Protocol):
    def run(self, path: str, words: Words, sample: Words, advance: Callable[[int], None]
            ) -> Measured: ...


def infer_graph(build: GraphBuild, inputs: Inputs, *, engine: Engine, words: bool = False,
                cache: str | Path | None = None, machines: int | None = None,
                progress: Progress = lambda step, done, total: None) -> GraphInference:
    """Run a batch, and compare all results of the hardware with the golden model, bit by bit.

    Hardware and golden model compute the whole network, each from its own results. The results of
    all nodes are compared, in every step of a scan.

    Parameters
    ----------
    inputs, words
        As for :meth:`eie_compiler.graph_build.GraphBuild.to_words`.
    engine : ``"golden"``, ``"cycle-model"`` or ``"verilator"``
        The golden model alone; with predicted cycles; or also the hardware.
    cache
        As for :func:`.rtl.cocotb_engine.run`.
    machines : :class:`int`, optional
        Machines of the engine ``verilator`` that share the vectors of each node. Default: one per
        processor core.
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
    if engine == "cocotb":
        raise EngineError("engine must be golden, cycle-model or verilator for a graph, not "
                          "'cocotb'")
    tensors = build.to_words(inputs, words=words)
    runs = make_runs(build, tensors.batch)
    passes = 1 if engine == "golden" else 2
    advance = _Advance(progress, passes * sum(run.planned for run in runs.values()))
    with _open_hardware(build, engine, cache=cache, machines=machines) as hardware:
        start = time.perf_counter()
        golden = _Golden(build, runs, advance, predict=engine == "cycle-model")
        outputs = [_run_part(build, part, golden, hardware, runs, advance)
                   for part in build.parts(tensors)]
    return GraphInference(
        engine, "verilator" if hardware else None, tensors.batch,
        {name: np.concatenate([part[name] for part in outputs]) for name in build.graph.outputs},
        runs, tensors.saturated, time.perf_counter() - start)


@contextlib.contextmanager
def _open_hardware(build: GraphBuild, engine: Engine, *, cache: str | Path | None,
                   machines: int | None) -> Iterator[_Hardware | None]:
    if engine == "verilator":
        with VerilatorMachines(build, cache=cache, machines=machines) as hardware:
            yield hardware
    else:
        yield None


def _run_part(build: GraphBuild, part: dict[str, Words], golden: "_Golden",
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
    calls, steps = iter(golden.calls), iter(golden.steps)

    def run(path: str, words: Words) -> Words:
        _, expected, sample = next(calls)
        measured = hardware.run(path, words, sample, lambda n: advance(path, n))
        node = runs[path]
        node.measure(measured, len(words))
        node.compare(measured.words, expected)
        node.compare(measured.sampled, expected[sample])
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


class _Golden:
    """Runner of layers on the golden model.

    Attributes
    ----------
    calls : :class:`list`
        Path, results and sampled vectors of each call.
    steps : :class:`list`
        Result of each step of the host.
    """

    def __init__(self, build: GraphBuild, runs: dict[str, NodeRun], advance: _Advance, *,
                 predict: bool) -> None:
        self.calls: list[tuple[str, Words, Words]] = []
        self.steps: list[Words] = []
        self._build = build
        self._runs = runs
        self._advance = advance
        self._predict = predict
        self._models: dict[str, GoldenModel] = {}

    def run(self, path: str, words: Words) -> Words:
        program, node = self._build.programs[path], self._runs[path]
        words = program.to_words(words, words=True).values
        sample = node.choose(len(words))
        results, statistics = self._compute(path, words)
        node.count(results, statistics)
        self._advance(path, len(words))
        if self._predict:
            for prediction in predict_build(program, words[sample]):
                node.add_counters(prediction.counters)
            first = words[:SAMPLE] if len(sample) else words[:0]
            node.timed += len(first)
            node.cycles += predict_back_to_back(program, first).interval if len(first) else 0
            self._advance(path, len(words))
        self.calls.append((path, results, sample))
        return results

    def watch(self, path: str, words: Words) -> None:
        """Keep the result of a step of the host."""
        if not self._runs[path].on_accelerator:
            self.steps.append(words)

    def _compute(self, path: str, words: Words) -> tuple[Words, Statistics]:
        program = self._build.programs[path]
        if path not in self._models:
            self._models[path] = GoldenModel(program.config, program.images,
                                             program.first_descriptor)
        placed, statistics = self._models[path].run_counted(
            scatter(program.input, words, program.config.n_pe), program.input.base_word)
        return gather(program.outputs[0], placed[0]), statistics
