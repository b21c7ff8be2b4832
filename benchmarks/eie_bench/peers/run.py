"""All designs on all networks, and their tables."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .machine import measure_machine, read_verilog
from .nngen import SETTINGS, CountCells, measure_nngen, require_nngen
from .processor import measure_processor
from .row import Row
from .tasks import Task

__all__ = ["COLUMNS", "PES", "count_steps", "format_row", "markdown", "measure_all", "summarise"]

#: Numbers of PEs of this project's machine.
PES = (16, 64)

#: Patterns of the names of this project's memories.
_MEMORIES = "*eie_sram* *eie_regfile*"

#: Columns of the tables.
COLUMNS = ("design", "cycles", "latency", "net", "µs", "multipliers", "cycles × multipliers",
           "multiplications", "memory, kbit", "used, kbit", "read, kbit", "LUT4", "flip-flops",
           "carry", "DSP", "accuracy", "dense accuracy")


def count_steps(tasks: Sequence[Task]) -> int:
    """Number of steps of :func:`measure_all`."""
    return len(tasks) * (1 + len(SETTINGS) + len(PES))


def measure_all(tasks: Sequence[Task], folder: Path, *, count_cells: CountCells | None,
                clock: float | None, cache: str | Path | None = None,
                progress: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """Measure every network on every design.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder for Verilog, models and logs.
    count_cells : function, optional
        Counts the cells of a design; None leaves them out.
    clock : :class:`float`, Hz, optional
        Clock rate of the processor.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If a design cannot be built or hangs, or a tool is missing.
    """
    require_nngen()
    machines: dict[int, dict[str, int]] = {}
    for task in tasks:
        progress(f"{task.name}: processor")
        yield from measure_processor(task, folder / task.name / "processor", clock=clock)
        for n_pe in PES:
            progress(f"{task.name}: {n_pe} PEs")
            if count_cells and n_pe not in machines:
                machines[n_pe] = count_cells(read_verilog(n_pe, cache), "eie", _MEMORIES)
            yield measure_machine(task, n_pe, cells=machines.get(n_pe), cache=cache)
        for setting in SETTINGS:
            progress(f"{task.name}: {setting.name}")
            yield measure_nngen(task, setting,
                                folder / task.name / f"nngen-{setting.par}-{setting.bus}",
                                count_cells=count_cells, cache=cache)


def format_row(row: Row) -> list[str]:
    """Format the cells of a row, in the order of :data:`COLUMNS`."""
    cells = row.cells or {}

    def number(value: float | None, digits: int = 0) -> str:
        return "–" if value is None else f"{value:,.{digits}f}"

    def kbit(bits: int | None) -> str:
        return number(None if bits is None else bits / 1000)

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    return [row.design, *(number(value) for value in (row.cycles, row.latency, row.net)),
            number(row.seconds and row.seconds * 1e6, 1), number(row.multipliers),
            number(row.work), number(row.products), kbit(cells.get("memory_bits")),
            kbit(row.used_bits), kbit(row.external_bits),
            *(number(cells.get(name)) for name in ("lut4", "flipflops", "carry", "dsp")),
            share(row.accuracy), share(row.dense_accuracy)]


def markdown(tasks: Sequence[Task], rows: Sequence[Row]) -> str:
    """Format a Markdown table for each network."""
    lines = []
    for task in tasks:
        lines += [f"## {task.name}", "", f"| {' | '.join(COLUMNS)} |",
                  f"| {' | '.join(['---'] * len(COLUMNS))} |",
                  *(f"| {' | '.join(format_row(row))} |" for row in rows
                    if row.network == task.name), ""]
    return "\n".join(lines)


def summarise(tasks: Sequence[Task], rows: Sequence[Row], clock: float | None) -> dict[str, Any]:
    """Return everything as plain JSON."""
    return {"clock_hz": clock,
            "networks": [{"name": task.name, "weights": task.n_weights,
                          "nonzeros": task.n_nonzeros, "test_images": len(task.images)}
                         for task in tasks],
            "rows": [row.summary() for row in rows]}
