"""Figures of sweeps, including those of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..plotting import require_matplotlib, save_figure
from .sweep import GIVEN
from .tables import Table, show_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["AXES", "PLOTS", "Plot", "Series", "draw", "series"]


class Plot(NamedTuple):
    """One quantity against the first axis of a sweep.

    Attributes
    ----------
    name, sweep : :class:`str`
        Name of the files, and name of the sweep shown.
    quantity : :class:`str`
        Figure of a :class:`~.measure.Measurement`.
    label : :class:`str`
        Label of the quantity.
    relative : :class:`bool`
        True to divide the first value by each value, as for a speed-up.
    percent, log : :class:`bool`
        True for percent, and for a logarithmic scale.
    """

    name: str
    sweep: str
    quantity: str
    label: str
    relative: bool = False
    percent: bool = False
    log: bool = False


#: All plots. The numbers are those of the figures in Han et al., ISCA 2016.
PLOTS = [
    Plot("queue", "queue", "pe_activity", "PE activity (fig. 8)", percent=True),
    Plot("speedup", "pes", "cycles", "speed-up (fig. 11)", relative=True, log=True),
    Plot("padding", "pes", "real_work", "real work / all work (fig. 12)", percent=True),
    Plot("balance", "pes", "pe_activity", "PE activity (fig. 13)", percent=True),
    Plot("reads", "words", "spmat_reads", "spmat reads (fig. 9)", log=True),
    Plot("energy", "words", "spmat_nj", "energy of spmat reads, nJ (fig. 9)", log=True),
    Plot(GIVEN, GIVEN, "ratio", "cycles / ideal"),
    Plot("end-to-end", GIVEN, "end_to_end_ratio", "end-to-end cycles / ideal"),
]

#: Axis labels of parameters.
AXES = {"n_pe": "PEs", "queue_depth": "queue depth",
        "entries_per_word": "entries in a spmat word"}

#: Panels per row of a figure.
_COLUMNS = 4

#: One marker per layer, so that lines can be distinguished without colour.
_MARKERS = "osD^v<>Ph*"


class Series(NamedTuple):
    """A line of a plot and its points by the value on the axis; None if impossible."""

    panel: str
    layer: str
    points: dict[str, float | None]


def series(plot: Plot, table: Table) -> list[Series]:
    """Return the lines of a plot, with a panel per machine and per value of the other axes."""
    axis = next(iter(table.sweep.axes))
    found: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in table.rows:
        others = [f"{name} = {show_value(value)}" for name, value in row.point.values.items()
                  if name != axis]
        line = found.setdefault((", ".join([row.point.base, *others]), row.point.layer), {})
        line[show_value(row.point.values[axis])] = (
            None if row.measurement is None else getattr(row.measurement, plot.quantity))
    return [Series(panel, layer, _relate(line) if plot.relative else line)
            for (panel, layer), line in found.items()]


def _relate(line: Mapping[str, float | None]) -> dict[str, float | None]:
    first = next(iter(line.values()))
    return {tick: first / value if first and value else None for tick, value in line.items()}


def draw(plot: Plot, table: Table, folder: Path) -> list[Path]:
    """Draw a plot as PNG and SVG and return the files; none if all points are impossible.

    Raises
    ------
    PlottingError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    lines = [line for line in series(plot, table)
             if any(value is not None for value in line.points.values())]
    panels = list(dict.fromkeys(line.panel for line in lines))
    if not panels:
        return []
    layers = list(dict.fromkeys(line.layer for line in lines))
    columns = min(len(panels), _COLUMNS)
    n_rows = -(-len(panels) // columns)
    figure = Figure(figsize=(1.6 + 4.2 * columns, 0.6 + 3.2 * n_rows), layout="constrained")
    places = list(figure.subplots(n_rows, columns, sharey=True, squeeze=False).flat)
    axis = next(iter(table.sweep.axes))
    handles: dict[str, Line2D] = {}
    for place, panel in zip(places, panels):
        handles |= _draw_panel(place, plot, layers, [line for line in lines if line.panel == panel])
        place.set(title=panel, xlabel=AXES.get(axis, axis))
    for place in places[len(panels):]:
        place.set_axis_off()
    figure.legend([handles[layer] for layer in layers], layers, loc="outside right center",
                  frameon=False)
    return save_figure(figure, folder, plot.name)


def _draw_panel(place: "Axes", plot: Plot, layers: Sequence[str], lines: Sequence[Series]
                ) -> "dict[str, Line2D]":
    ticks = list(lines[0].points)
    handles = {}
    for line in lines:
        number = layers.index(line.layer)
        # Even spacing places powers of two as on a logarithmic scale, and leaves room for names.
        handles[line.layer], = place.plot(
            range(len(ticks)),
            [float("nan") if value is None else value for value in line.points.values()],
            color=f"C{number}", marker=_MARKERS[number % len(_MARKERS)], markersize=4,
            linewidth=1.2)
    place.set_xticks(range(len(ticks)), ticks)
    place.set_ylabel(plot.label)
    place.label_outer()
    place.grid(axis="y", alpha=0.3)
    if plot.log:
        place.set_yscale("log", base=2 if plot.relative else 10)
    if plot.relative:
        place.yaxis.set_major_formatter("{x:g}")
    if plot.percent:
        place.set_ylim(0, 1.02)
        place.yaxis.set_major_formatter("{x:.0%}")
    return handles
