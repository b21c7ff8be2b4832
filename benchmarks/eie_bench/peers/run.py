"""All designs on all networks, and their tables."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .machine import measure_machine, read_verilog
from .nngen import SETTINGS, CountCells, measure_nngen, require_nngen
from .processor import measure_processor
from .row import Row
from .tasks import Task

__all__ = ["PES", "SIZE", "SPEED", "Table", "count_steps", "format_row", "make_tables", "markdown",
           "measure_all", "summarise"]

#: Numbers of PEs of this project's machine.
PES = (16, 64)

#: Patterns of the names of this project's memories.
_MEMORIES = "*eie_sram* *eie_regfile*"

#: Columns of the two tables of a network.
SPEED = ("design", "cycles", "latency", "net", "µs", "multipliers", "cycles × multipliers",
         "multiplications", "accuracy", "dense accuracy")
SIZE = ("design", "memory, kbit", "used, kbit", "read, kbit", "LUT4", "flip-flops", "carry", "DSP")


class Table(NamedTuple):
    """A table of one network: title, names of columns, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]


def count_steps(tasks: Sequence[Task]) -> int:
    """Number of steps of :func:`measure_all`."""
    return len(tasks) * (2 + len(SETTINGS) + len(PES))


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
        yield from measure_nngen(task, folder / task.name / "nngen", count_cells=count_cells,
                                 cache=cache, progress=progress)


def format_row(row: Row) -> dict[str, str]:
    """Format the figures of a row, by column."""
    cells = row.cells or {}

    def number(value: float | None, digits: int = 0) -> str:
        return "–" if value is None else f"{value:,.{digits}f}"

    def kbit(bits: int | None) -> str:
        return number(None if bits is None else bits / 1000)

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    return {
        "design": row.design, "cycles": number(row.cycles), "latency": number(row.latency),
        "net": number(row.net), "µs": number(row.seconds and row.seconds * 1e6, 1),
        "multipliers": number(row.multipliers), "cycles × multipliers": number(row.work),
        "multiplications": number(row.products), "accuracy": share(row.accuracy),
        "dense accuracy": share(row.dense_accuracy),
        "memory, kbit": kbit(cells.get("memory_bits")), "used, kbit": kbit(row.used_bits),
        "read, kbit": kbit(row.external_bits), "LUT4": number(cells.get("lut4")),
        "flip-flops": number(cells.get("flipflops")), "carry": number(cells.get("carry")),
        "DSP": number(cells.get("dsp"))}


def make_tables(task: Task, rows: Sequence[Row]) -> list[Table]:
    """Make the tables of a network: speed of all designs, and size of those in Verilog."""
    mine = [row for row in rows if row.network == task.name]
    chosen = {SPEED: mine, SIZE: [row for row in mine if row.multipliers]}
    title = f"{task.name}: {task.n_weights:,} weights, {task.n_nonzeros:,} not zero; " \
            f"{len(task.images):,} test images"
    return [Table(title, columns, [[format_row(row)[name] for name in columns] for row in some])
            for columns, some in chosen.items()]


def markdown(tasks: Sequence[Task], rows: Sequence[Row]) -> str:
    """Format all tables in Markdown."""
    lines = []
    for task in tasks:
        tables = make_tables(task, rows)
        lines += [f"### {tables[0].title}", ""]
        for table in tables:
            lines += [f"| {' | '.join(cells)} |" for cells in (
                table.columns, ["---"] * len(table.columns), *table.rows)]
            lines.append("")
    return "\n".join(lines)


def summarise(tasks: Sequence[Task], rows: Sequence[Row], clock: float | None) -> dict[str, Any]:
    """Return everything as plain JSON."""
    return {"clock_hz": clock,
            "networks": [{"name": task.name, "weights": task.n_weights,
                          "nonzeros": task.n_nonzeros, "test_images": len(task.images)}
                         for task in tasks],
            "rows": [row.summary() for row in rows]}
