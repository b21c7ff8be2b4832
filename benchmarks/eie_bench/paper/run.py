"""Benchmark of the paper, from the measurements to the files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eie_compiler.files.json_file import write_json
from eie_hdl.files import write_file

from ..plotting import require_matplotlib
from .ablation import measure_steps
from .measure import Engine, Measurement, make_simulators, measure_all
from .nine_layers import MACHINES, Machine, PaperLayer
from .plots import draw
from .report import Report
from .tables import refresh, to_markdown

__all__ = ["prepare_folder", "refresh_document", "run", "write_report"]


def prepare_folder(folder: Path) -> None:
    """Create the folder of :func:`write_report` and check the packages it needs.

    Raises
    ------
    PlottingError
        If matplotlib is not installed.
    """
    require_matplotlib()
    folder.mkdir(parents=True, exist_ok=True)


def run(layers: Sequence[PaperLayer], machines: Mapping[str, Machine], *, engine: Engine, seed: int,
        cache: str | Path | None = None,
        progress: Callable[[str, int, int], None] = lambda step, done, total: None) -> Report:
    """Measure layers on machines, and the steps between the two machines.

    Parameters
    ----------
    layers, machines, engine, seed, cache
        As for :func:`.measure.measure_all`.
    progress
        Called with the current step, the number of steps done and the total.

    Raises
    ------
    CompileError, SimulationError, ToolError, DriverError, BusError
        As for :func:`.measure.measure`.
    """
    order = [(machine, layer.name) for machine in machines for layer in layers]
    done, total = 0, len(layers) + len(order)

    def advance(step: str) -> None:
        nonlocal done
        done += 1
        progress(step, done, total)

    progress("steps, by the cycle model", done, total)
    steps = measure_steps(layers, MACHINES, seed=seed,
                          progress=lambda layer: advance(f"steps, {layer.name}"))
    if engine == "verilator":
        progress("building the simulators", done, total)
        make_simulators(machines, cache)
    progress("running", done, total)
    measured: list[Measurement] = []
    for one in measure_all(layers, machines, seed=seed, engine=engine, cache=cache):
        measured.append(one)
        advance(f"{one.layer.name} on {one.machine}: {one.cycles:,} cycles, {one.ratio:.3f}")
    measured.sort(key=lambda one: order.index((one.machine, one.layer.name)))
    return Report(measured, steps, seed)


def write_report(report: Report, folder: Path) -> None:
    """Write ``bench.json``, ``bench.md`` and the plots as PNG and SVG."""
    write_json(folder / "bench.json", report.summary())
    write_file(folder / "bench.md", "\n".join(
        f"## {table.title}\n{to_markdown(table)}" for table in report.tables().values()))
    draw(report, folder)


def refresh_document(report: Report, document: Path) -> None:
    """Replace the tables of a Markdown document, as :func:`.tables.refresh` does."""
    write_file(document, refresh(document.read_text(encoding="utf-8"), report.tables()))
