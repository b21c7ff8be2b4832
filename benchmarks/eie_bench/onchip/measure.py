"""Cycles of networks that are one program each, with every result compared."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph
from eie_sim.node_runs import NodeRun
from eie_sim.rtl.simulators import compile_design
from eie_sim.rtl.verilator_engine import make_library
from eie_sim.rtl.verilator_host import verilog

from .cases import DEPTHWISE, LENET, MACHINE, Case, Engine
from .cells import LSTM, PRODUCTS

__all__ = ["Row", "headline", "make_simulators", "measure", "measure_all", "summarise"]


class Row(NamedTuple):
    """Figures of a case.

    Attributes
    ----------
    part, name : :class:`str`
        As of the :class:`~.cases.Case`.
    engine : :data:`~.cases.Engine`
        Simulator.
    n_pe, images, pixels : :class:`int`
        Number of PEs, of images, or of steps, and of pixels of a result.
    layers, local : :class:`int`
        Layers of the program, and how many of them are in local mode.
    cycles : :class:`float`
        End-to-end cycles of an image or step, back to back.
    predicted : :class:`float`, optional
        The same by the cycle model; None on Icarus, where the host pauses.
    broadcasts, entries : :class:`float`
        Of an image: broadcasts, and entries of the busiest PE.
    compared, differences : :class:`int`
        Numbers compared, and those that differ: results of the machine from the golden model, and
        from a host that computes node by node; and cycles from the cycle model. Overflows count as
        differences; means and integers may differ from those of the host by a step.
    steps : :class:`int`
        Largest difference of a result from that of the host.
    """

    part: str
    name: str
    engine: Engine
    n_pe: int
    images: int
    pixels: int
    layers: int
    local: int
    cycles: float
    predicted: float | None
    broadcasts: float
    entries: float
    compared: int
    differences: int
    steps: int

    @property
    def bound(self) -> float:
        """Lower bound of the cycles: the greater of broadcasts and entries of the busiest PE."""
        return max(self.broadcasts, self.entries)

    @property
    def ratio(self) -> float | None:
        """Cycles over their bound; None if no activation has an entry."""
        return self.cycles / self.bound if self.bound else None


def make_simulators(cases: Sequence[Case], cache: str | Path | None = None, workers: int = 2
                    ) -> None:
    """Build the simulators of the cases, except those in the cache.

    Raises
    ------
    SimulationError, ToolError
        If a simulator cannot be built, or is missing.
    """
    def make(job: tuple[EIEConfig, Engine]) -> None:
        config, engine = job
        if engine == "verilator":
            make_library(config, cache)
        else:
            compile_design(verilog(config, cache), top="eie", simulator=engine, cache=cache,
                           repeated=["eie_pe"])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(make, dict.fromkeys((case.build.config, case.engine) for case in cases)))


def measure_all(cases: Sequence[Case], *, cache: str | Path | None = None, workers: int = 2,
                progress: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """Build the simulators, and measure the cases, `workers` at a time.

    Yields
    ------
    Row
        In the order of the cases.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If a simulator cannot be built, or the hardware hangs.
    """
    progress("building the simulators")
    make_simulators(cases, cache, workers)
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(measure, case, cache=cache) for case in cases]
        try:
            for job in jobs:
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def measure(case: Case, *, cache: str | Path | None = None) -> Row:
    """Run a case, and compare every number.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If the hardware hangs, or the simulator is missing.
    """
    build, is_fast = case.build, case.engine == "verilator"
    (name,), (image,) = case.graph.outputs, case.graph.inputs
    found = infer_graph(build, case.images, engine="verilator" if is_fast else "cocotb",
                        simulator=case.engine, cache=cache, machines=1)
    run, results = found.nodes[name], found.outputs[name]
    # NumPy computes these from the network, not from the program.
    exact, host = (IntegerGraph(graph, build.config).run({image: case.images})[name]
                   for graph in (build.graph, case.graph))
    errors = np.abs(results - host) // case.step
    differences = found.differences + run.overflows + int(np.count_nonzero(
        (results != exact) | (errors > case.tolerance)))
    compared = found.compared + results.size
    predicted = None
    if is_fast:
        predicted = _count_cycles(infer_graph(build, case.images, engine="cycle-model")
                                  .nodes[name])
        compared += 1
        differences += predicted != _count_cycles(run)
    layers = build.programs[name].report["layers"]
    return Row(case.part, case.name, case.engine, build.config.n_pe, run.vectors, case.pixels,
               len(layers), sum(layer["local"] for layer in layers), _count_cycles(run), predicted,
               run.counters["broadcasts"] / run.vectors,
               float(np.max(run.entries)) / run.vectors, compared, differences, int(errors.max()))


def _count_cycles(run: NodeRun) -> float:
    """Cycles of an image, back to back."""
    return run.cycles / run.timed


def headline(rows: Sequence[Row]) -> str:
    """Format the verdict, with the ratios that changes are judged by; one left out is ``-``."""
    cycles = {row.name: row.cycles for row in rows}
    of_lstm = f"{cycles[LSTM] / cycles[PRODUCTS]:.2f}" if LSTM in cycles else "-"
    of_lenet = next((f"{row.ratio:.2f}" for row in rows if row.name == LENET), "-")
    of_depthwise = next((f"{row.cycles / row.entries:.2f}" for row in rows
                         if row.name == DEPTHWISE), "-")
    return (f"onchip: {sum(row.compared for row in rows):,} numbers compared, "
            f"{sum(row.differences for row in rows):,} differ; lenet5 {of_lenet} x bound, "
            f"depthwise{MACHINE.n_pe} {of_depthwise} x, lstm {of_lstm} x")


def summarise(rows: Sequence[Row], seed: int, images: str) -> dict[str, Any]:
    """Return the rows as plain JSON.

    Parameters
    ----------
    images : :class:`str`
        Origin of the images of LeNet-5.
    """
    return {"seed": seed, "images": images, "headline": headline(rows), "rows": [
        {**row._asdict(), "bound": row.bound, "ratio": row.ratio} for row in rows]}
