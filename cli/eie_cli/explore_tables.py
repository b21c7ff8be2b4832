"""Tables of `eie explore`, a summary of the files that it writes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING

from .console import make_console, make_table, print_table

if TYPE_CHECKING:
    from eie_bench.explore.figures import Plot, Series
    from eie_bench.explore.tables import Table

__all__ = ["show_errors", "show_sweep"]


def show_sweep(folder: Path, table: "Table") -> None:
    """Print a sweep: every layer of the user's own sweep, the mean of the layers otherwise."""
    from eie_bench.explore.figures import AXES, PLOTS, series
    from eie_bench.explore.sweep import GIVEN

    axis = next(iter(table.sweep.axes))
    each = table.sweep.name == GIVEN
    rows, ticks = [], list[str]()
    for plot in PLOTS:
        if plot.sweep != table.sweep.name:
            continue
        lines = series(plot, table)
        ticks = list(lines[0].points)
        shown = lines if each else _means(lines)
        rows += [[line.panel, f"{line.layer}: {plot.label}" if each else plot.label,
                  *(_show(plot, value) for value in line.points.values())] for line in shown]
    what = "layer" if each else "geometric mean of the layers"
    print_table(make_table("machine", what, *ticks,
                           title=f"{folder / table.sweep.name}.csv, by {AXES.get(axis, axis)}"),
                rows)


def show_errors(table: "Table") -> None:
    """Print each reason why points are impossible, with the first such point."""
    reasons = Counter(row.error for row in table.rows if row.error)
    for reason, count in reasons.items():
        first = next(row.point for row in table.rows if row.error == reason)
        values = ", ".join(f"{name} = {value}" for name, value in first.values.items())
        make_console().print(f"{count} of {len(table.rows)} points are impossible, such as "
                             f"{first.base}, {first.layer}, {values}: {reason}", style="red",
                             soft_wrap=True)


def _means(lines: "Sequence[Series]") -> "list[Series]":
    """Reduce each panel to the mean of its layers; None unless all of them have a value."""
    means = []
    for panel in dict.fromkeys(line.panel for line in lines):
        group = [line.points for line in lines if line.panel == panel]
        means.append(lines[0]._replace(panel=panel, points={
            tick: _mean([points[tick] for points in group]) for tick in group[0]}))
    return means


def _mean(values: "Sequence[float | None]") -> float | None:
    known = [value for value in values if value]
    return geometric_mean(known) if len(known) == len(values) else None


def _show(plot: "Plot", value: float | None) -> str:
    if value is None:
        return "–"
    if plot.percent:
        return f"{value:.1%}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3f}" if value < 10 else f"{value:.1f}"
