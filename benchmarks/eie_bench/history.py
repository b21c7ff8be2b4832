"""Size, clock rate and cycles of the machine by commit: a CSV, and its picture.

``python -m eie_bench.history docs/history.csv FOLDER REPORT…`` adds reports of `eie synth` for the
commit that is checked out, and draws all rows to FOLDER. Without a report it only checks both.
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from eie_compiler.files.json_file import JsonError, parse_json
from eie_hdl.checkout import CheckoutError, find_checkout
from eie_hdl.files import write_file
from eie_sim.rtl.toolchain import ToolError

from .end_to_end import PES, make_case, measure, read_digits
from .plotting import PlottingError, require_matplotlib, save_figure

__all__ = ["HistoryError", "Row", "add_row", "checked_out", "draw", "format_history", "make_row",
           "read_history", "read_report"]

#: Axis labels of the figures that are drawn.
_FIGURES = {"luts": "LUTs", "flipflops": "flip-flops", "mhz": "MHz",
            "cycles": f"cycles per inference, digits, {PES[0]} PEs"}


class HistoryError(ValueError):
    """Damaged history, report without a clock rate, or checkout with changes; and the remedy."""


class Row(NamedTuple):
    """A module at a commit.

    Attributes
    ----------
    commit, date : :class:`str`
        Hash in full, and date of the commit.
    target, module : :class:`str`
        FPGA family, and Verilog module.
    n_pe, luts, flipflops : :class:`int`
        PEs and cells of the module.
    mhz : :class:`float`
        Clock rate, median of all seeds.
    seeds : :class:`str`
        Seeds of the placer.
    cycles : :class:`float`
        End-to-end cycles of the digits on 16 PEs, by the cycle model.
    tools : :class:`str`
        Versions of the tools.
    """

    commit: str
    date: str
    target: str
    module: str
    n_pe: int
    luts: int
    flipflops: int
    mhz: float
    seeds: str
    cycles: float
    tools: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Commit, family, module and PEs, which together a history has once."""
        return self.commit, self.target, self.module, self.n_pe


def read_history(path: Path) -> list[Row]:
    """Read a history; an empty one if there is no file.

    Raises
    ------
    HistoryError
        If a line is damaged.
    """
    if not path.exists():
        return []
    rows: list[Row] = []
    lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    for line_number, line in enumerate(lines or [[]], 1):
        try:
            if line_number == 1:
                _check(line == list(Row._fields), f"the columns {', '.join(Row._fields)}")
                continue
            _check(len(line) == len(Row._fields), f"{len(Row._fields)} columns, not {len(line)}")
            row = Row(*(kind(cell) for kind, cell in zip(Row.__annotations__.values(), line)))
            _check(all(0 < number < math.inf for number in (
                row.n_pe, row.luts, row.flipflops, row.mhz, row.cycles)), "positive numbers")
            _check(all(row.key != other.key for other in rows),
                   f"{row.module} of commit {row.commit} once")
        except ValueError as error:
            problem = error if isinstance(error, HistoryError) else f"must have numbers: {error}"
            raise HistoryError(f"{path}, line {line_number} {problem}: restore the file from the "
                               f"repository") from error
        rows.append(row)
    return rows


def _check(holds: bool, requirement: str) -> None:
    if not holds:
        raise HistoryError(f"must have {requirement}")


def format_history(rows: Sequence[Row]) -> str:
    """Format a history as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(rows)
    return text.getvalue()


def checked_out(folder: Path, own: Sequence[str]) -> tuple[str, str]:
    """Return the hash and the date of the commit that is checked out.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder in the checkout.
    own : sequence of :class:`str`
        Files in it that may have changes: those of the history.

    Raises
    ------
    HistoryError
        If another file has changes, or it is no checkout.
    """
    try:
        found = find_checkout(folder, [":/", *(f":(exclude){path}" for path in own)])
    except CheckoutError as error:
        raise HistoryError(f"{folder} must be in a checkout with a commit: {error}") from error
    if found.changes:
        changes = "\n".join(found.changes)
        raise HistoryError(f"the checkout must have no changes, or figures would be those of no "
                           f"commit: commit or stash\n{changes}")
    return found.commit, found.date


def read_report(path: Path) -> dict[str, Any]:
    """Read a report of `eie synth`.

    Raises
    ------
    HistoryError
        If it cannot be read, or is damaged.
    """
    try:
        return dict(parse_json(path.read_bytes()))
    except (JsonError, OSError, TypeError, ValueError) as error:
        raise HistoryError(f"{path} must be a synth.json of `eie synth`: {error}") from error


def make_row(report: Mapping[str, Any], commit: str, date: str, cycles: float) -> Row:
    """Make the row of a report of `eie synth`.

    Raises
    ------
    HistoryError
        If the module was not placed and routed, or it is another file.
    """
    try:
        if report["mhz"] is None:
            raise HistoryError("a report must have a clock rate: run `eie synth` without "
                               "--no-route, for a family that is placed and routed")
        return Row(commit, date, report["target"], report["module"], report["n_pe"],
                   report["luts"], report["flipflops"], round(report["mhz"], 1),
                   " ".join(str(route["seed"]) for route in report["routes"]), round(cycles, 1),
                   ", ".join(f"{name} {version}" for name, version in report["tools"].items()))
    except (KeyError, TypeError) as error:
        raise HistoryError(f"a report must be a synth.json of `eie synth`, but lacks {error}"
                           ) from error


def add_row(rows: Sequence[Row], row: Row) -> list[Row]:
    """Add a row at the end, or replace that of the same commit and module."""
    if any(row.key == other.key for other in rows):
        return [row if row.key == other.key else other for other in rows]
    return [*rows, row]


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw a history as ``history.png`` and ``history.svg``; return both paths."""
    require_matplotlib()
    from matplotlib.figure import Figure

    commits = list(dict.fromkeys(row.commit for row in rows))
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    for place, (name, label) in zip(figure.subplots(1, len(_FIGURES)), _FIGURES.items()):
        lines: dict[str, list[Row]] = {}
        for row in rows:
            line = "" if name == "cycles" else f"{row.module}, {row.n_pe} PE, {row.target}"
            lines.setdefault(line, []).append(row)
        for marker, (line, points) in zip(cycle("osD^v<>Ph*"), lines.items()):
            place.plot([commits.index(row.commit) for row in points],
                       [getattr(row, name) for row in points], marker=marker, label=line)
        greatest = max((getattr(row, name) for row in rows), default=1)
        place.set(ylabel=label, ylim=(0, 1.1 * greatest))
        place.set_xticks(range(len(commits)), [
            f"{commit[:7]}\n{next(row.date for row in rows if row.commit == commit)}"
            for commit in commits], rotation=90, fontsize=7)
    if rows:
        figure.axes[0].legend(fontsize=7)
    return save_figure(figure, folder, "history")


def measure_cycles() -> float:
    """Measure the end-to-end cycles of the digits on 16 PEs, by the cycle model."""
    case = make_case("digits", read_digits(), PES[0])
    return measure(case._replace(engine="cycle-model")).cycles


def _main(path: Path, folder: Path, reports: Sequence[Path]) -> None:
    require_matplotlib()
    rows = read_history(path)
    commit, date = checked_out(path.parent, [path.name, "figures/history.svg"])
    cycles = measure_cycles() if reports else 0.0
    for report in reports:
        rows = add_row(rows, make_row(read_report(report), commit, date, cycles))
    if reports:
        draw(rows, folder)
        write_file(path, format_history(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser("eie_bench.history", description=__doc__)
    parser.add_argument("path", type=Path, help="CSV of the history, in its checkout")
    parser.add_argument("folder", type=Path, help="folder for the picture")
    parser.add_argument("reports", type=Path, nargs="*", help="synth.json of `eie synth`")
    try:
        _main(**vars(parser.parse_args()))
    except (HistoryError, PlottingError, ToolError) as error:
        sys.exit(f"eie_bench.history: {error}")
