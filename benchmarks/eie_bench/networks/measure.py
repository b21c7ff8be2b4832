"""Accuracy of a network in floating point and in machine arithmetic, and its run in Verilog."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.errors import CompileError, CompressError
from eie_compiler.frontends import FrontEndError
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.layers import find_layers
from eie_compiler.graph.operation import GraphError
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.model import Model
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph

from .arithmetic import run_in_words, run_real
from .proof import Proof, prove, turn_batches
from .task import Floats, Task

__all__ = ["Row", "Score", "Verilog", "measure", "measure_all"]

#: Classes from which the five greatest results are compared.
_MANY_CLASSES = 100


@dataclasses.dataclass(frozen=True)
class Score:
    """Results of a network, compared with labels and with those in floating point.

    Attributes
    ----------
    accuracy : :class:`float`, optional
        Share of the inputs whose greatest result is that of the label.
    agreement : :class:`float`
        Share whose greatest result is that in floating point.
    top_5 : :class:`float`, optional
        Share whose five greatest results are those in floating point, in order.
    error : :class:`float`, optional
        Largest difference to floating point; of floating point, to another implementation.
    magnitude : :class:`float`
        Largest magnitude of a result in floating point.
    saturated : :class:`int`
        Elements that saturated in steps of the host.
    proof : :class:`~.proof.Proof`, optional
        Differences beside their proven bounds.
    """

    accuracy: float | None
    agreement: float
    top_5: float | None
    error: float | None
    magnitude: float
    saturated: int = 0
    proof: Proof | None = None


@dataclasses.dataclass(frozen=True)
class Verilog:
    """Run in Verilog, with all results compared with the golden model.

    Attributes
    ----------
    n_pe, inferences : :class:`int`
        Machine, and inputs that it ran.
    vectors : :class:`int`
        Inferences of programs: pixels, or steps, of all layers.
    compared, differences : :class:`int`
        Numbers compared, and those that differ, overflows included.
    cycles : :class:`float`
        Cycles of the accelerator per inference, vectors of a node back to back.
    loads : :class:`int`
        Contents of the memories that the network needs, one after another.
    seconds : :class:`float`
        Wall-clock time of the run.
    """

    n_pe: int
    inferences: int
    vectors: int
    compared: int
    differences: int
    cycles: float
    loads: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Row:
    """Figures of a network.

    Attributes
    ----------
    name, source, remark : :class:`str`
        As of the :class:`~.task.Task`.
    n_inputs : :class:`int`
        Inputs that are measured.
    refusal : :class:`str`, optional
        Why it does not run.
    n_matrices, n_weights : :class:`int`
        Matrices of the model, and their weights that are not zero.
    real : :class:`Score`, optional
        In floating point.
    words : :class:`dict` of :class:`int` to :class:`Score`
        In machine arithmetic, by width of a code in bits.
    verilog : :class:`dict` of :class:`int` to :class:`Verilog`
        In Verilog, likewise.
    """

    name: str
    source: str
    remark: str
    n_inputs: int
    refusal: str | None = None
    n_matrices: int = 0
    n_weights: int = 0
    real: Score | None = None
    words: dict[int, Score] = dataclasses.field(default_factory=dict)
    verilog: dict[int, Verilog] = dataclasses.field(default_factory=dict)


def measure_all(tasks: Sequence[Task], *, verilog: bool = True, cache: str | Path | None = None,
                progress: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """Measure networks, if `verilog` is true also in Verilog, as :func:`measure` does."""
    for task in tasks:
        chosen = task if verilog else dataclasses.replace(task, n_verilog=0)
        yield measure(chosen, cache=cache, progress=progress)


def measure(task: Task, *, cache: str | Path | None = None,
            progress: Callable[[str], None] = lambda step: None) -> Row:
    """Measure a network; one that cannot be run gives a row with the reason.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If the hardware hangs, or the simulator is missing.
    """
    def report(step: str) -> None:
        progress(f"{task.name}: {step}")

    n_inputs = len(next(iter(task.inputs.values())))
    row = Row(task.name, task.source, task.remark, n_inputs)
    try:
        model = task.read()
        layers = [layer for found in find_layers(model, Model).values() for layer in found.layers]
        report("in floating point")
        real = run_real(model, task.inputs, batch=task.batch)
        expected = _expected(task, real)
        row = dataclasses.replace(
            row, n_matrices=len(layers), n_weights=sum(
                int(np.count_nonzero(layer.weight if isinstance(layer.weight, np.ndarray)
                                     else layer.weight.data)) for layer in layers),
            real=_compare_expected(task, real, expected))
        for v_width in task.v_widths:
            report(f"compressing to {v_width} bits")
            network = task.compress(model, v_width)
            config = dataclasses.replace(task.config, v_width=v_width)
            report(f"{v_width} bits in machine arithmetic")
            outputs, saturated = run_in_words(network, config, task.inputs, batch=task.batch)
            row.words[v_width] = dataclasses.replace(
                _compare(task, outputs, real, sum(saturated.values())),
                proof=prove(network, model, config, task.inputs, expected) if task.proven
                else None)
            if task.n_verilog:
                report(f"{v_width} bits in Verilog")
                row.verilog[v_width] = _run(task, network, config, cache)
    except (FrontEndError, GraphError, CompressError, CompileError) as error:
        return dataclasses.replace(row, refusal=str(error))
    return row


def _run(task: Task, network: Graph, config: EIEConfig, cache: str | Path | None) -> Verilog:
    build = compile_graph(network, config)
    found = infer_graph(build, {name: values[:task.n_verilog]
                                for name, values in task.inputs.items()},
                        engine="verilator", cache=cache)
    total = found.total
    overflows = sum(node.overflows for node in found.nodes.values())
    return Verilog(config.n_pe, found.batch, total["vectors"], found.compared,
                   found.differences + overflows, total["cycles"] / found.batch, len(build.loads),
                   found.seconds)


def _expected(task: Task, real: Mapping[str, Floats]) -> dict[str, Floats]:
    """Results of another implementation by output: of all of them, if bounds are proven."""
    if len(task.expected) > len(real) or task.proven and len(task.expected) < len(real):
        raise GraphError(f"there must be results of another implementation for {len(real)} "
                         f"outputs, not {len(task.expected)}")
    return turn_batches(task.expected, real)


def _compare_expected(task: Task, real: Mapping[str, Floats], expected: Mapping[str, Floats]
                      ) -> Score:
    score = _compare(task, real, real, 0)
    if task.recorded is not None:
        score = dataclasses.replace(score, accuracy=task.recorded)
    return dataclasses.replace(score, error=max(
        (float(np.abs(real[name][:len(results)] - results).max())
         for name, results in expected.items()), default=None))


def _compare(task: Task, outputs: Mapping[str, Floats], real: Mapping[str, Floats],
             saturated: int) -> Score:
    """Compare results: classes by the first output, the largest difference over all outputs."""
    found, expected = (next(iter(values.values())).reshape(len(next(iter(values.values()))), -1)
                       for values in (outputs, real))
    best = found.argmax(axis=1)
    return Score(
        None if task.labels is None else float((best == task.labels).mean()),
        float((best == expected.argmax(axis=1)).mean()),
        float((_top_5(found) == _top_5(expected)).all(axis=1).mean())
        if next(iter(real.values())).ndim == 2 and found.shape[1] >= _MANY_CLASSES else None,
        max(float(np.abs(outputs[name] - values).max()) for name, values in real.items()),
        max(float(np.abs(values).max()) for values in real.values()), saturated)


def _top_5(values: Floats) -> NDArray[np.int64]:
    return np.argsort(-values, axis=1, kind="stable")[:, :5]
