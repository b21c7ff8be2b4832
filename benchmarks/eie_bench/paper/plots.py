"""Figures of a report."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..plotting import require_matplotlib, save_figure
from .energy import PARTS, count_energy, sum_parts
from .measure import Measurement
from .nine_layers import CLOCK_MHZ
from .report import Report

__all__ = ["draw"]

#: Characters per line of a label.
_LABEL_WIDTH = 16


def draw(report: Report, folder: Path) -> list[Path]:
    """Draw ``ratio``, ``time``, ``steps`` and ``energy`` into a folder, each as PNG and SVG.

    Raises
    ------
    PlottingError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    paths = []
    with rc_context({"axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True,
                     "grid.alpha": 0.3}):
        for name, plot in _PLOTS.items():
            figure = Figure(figsize=(9, 4), layout="constrained")
            plot(figure.add_subplot(), report)
            figure.legend(loc="outside upper center", ncols=6)
            paths += save_figure(figure, folder, name)
    return paths


def _draw_ratio(axes: Any, report: Report) -> None:
    _bars(axes, report, lambda one: one.ratio)
    for number, machine in enumerate(report.machines):
        measured = [one for one in report.measured if one.machine == machine]
        wanted = [one.layer.target if machine == "tuned" else one.layer.expected
                  for one in measured]
        axes.plot(_places(len(measured), number, len(report.machines)), wanted, "k_", ms=12,
                  label=None if number else "expected of isca2016, wanted of tuned")
    axes.set(ylabel="cycles / ideal cycles", ylim=(1, None))


def _draw_time(axes: Any, report: Report) -> None:
    measured = [one for one in report.measured if one.machine == report.machines[0]]
    columns = {"paper, theoretical": [one.layer.theoretical_us for one in measured],
               "paper, actual": [one.layer.actual_us for one in measured]}
    columns |= {machine: [one.microseconds for one in report.measured if one.machine == machine]
                for machine in report.machines}
    for number, (name, values) in enumerate(columns.items()):
        axes.bar(_places(len(measured), number, len(columns)), values, 0.8 / len(columns),
                 label=name)
    _name_layers(axes, measured)
    axes.set(ylabel=f"µs at {CLOCK_MHZ} MHz")


def _draw_steps(axes: Any, report: Report) -> None:
    for name in report.steps[0].ratios:
        axes.plot([step.ratios[name] for step in report.steps], "o-", label=name)
    axes.set_xticks(range(len(report.steps)),
                    [textwrap.fill(step.title, _LABEL_WIDTH) for step in report.steps])
    axes.set(ylabel="cycles / ideal cycles")


def _draw_energy(axes: Any, report: Report) -> None:
    for number, machine in enumerate(report.machines):
        measured = [one for one in report.measured if one.machine == machine]
        places = _places(len(measured), number, len(report.machines))
        energy = [sum_parts(count_energy(one)) for one in measured]
        bottom = np.zeros(len(measured))
        for color, part in enumerate(PARTS):
            height = np.array([one[part] for one in energy]) / 1000
            axes.bar(places, height, 0.36, bottom, color=f"C{color}",
                     label=None if number else part)
            bottom += height
    _name_layers(axes, measured)
    axes.set(ylabel=f"µJ; left to right {', '.join(report.machines)}")


def _bars(axes: Any, report: Report, value: Callable[[Measurement], float]) -> None:
    """Draw a group of bars per layer, with one bar per machine."""
    for number, machine in enumerate(report.machines):
        measured = [one for one in report.measured if one.machine == machine]
        axes.bar(_places(len(measured), number, len(report.machines)), list(map(value, measured)),
                 0.8 / len(report.machines), label=machine)
    _name_layers(axes, measured)


def _places(n_layers: int, number: int, n_bars: int) -> Any:
    """Return the positions of bar `number` of each layer."""
    return np.arange(n_layers) + 0.8 * ((number + 0.5) / n_bars - 0.5)


def _name_layers(axes: Any, measured: list[Measurement]) -> None:
    axes.set_xticks(range(len(measured)), [one.layer.name for one in measured])


_PLOTS = {"ratio": _draw_ratio, "time": _draw_time, "steps": _draw_steps, "energy": _draw_energy}
