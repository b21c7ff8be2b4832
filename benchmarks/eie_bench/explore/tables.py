"""Tables of sweeps, and their JSON and CSV files."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eie_compiler.files.json_file import write_json
from eie_hdl.files import open_output

from ..paper.nine_layers import Machine
from .measure import Measurement
from .parallel import Results
from .sweep import Point, Sweep

__all__ = ["KIND", "Row", "Table", "make_table", "write_csv", "write_sweeps"]

#: Kind of a JSON file of sweeps.
KIND = "eie-explore"


class Row(NamedTuple):
    """A point and its results, or in `error` the reason why there are none."""

    point: Point
    measurement: Measurement | None
    error: str


class Table(NamedTuple):
    """A sweep and its rows, in order of :func:`~.sweep.plan`."""

    sweep: Sweep
    rows: list[Row]


def make_table(sweep: Sweep, points: Sequence[Point], results: Results) -> Table:
    """Create the table of a sweep from the result of each point."""
    rows = []
    for point in points:
        result = results[point.layer, point.machine] if point.machine else point.error
        rows.append(Row(point, None, result) if isinstance(result, str)
                    else Row(point, result, ""))
    return Table(sweep, rows)


def write_sweeps(path: Path, tables: Sequence[Table], machines: Mapping[str, Machine],
               about: Mapping[str, Any]) -> None:
    """Write all sweeps, the machines they start from, and the further keys `about`."""
    write_json(path, {
        "kind": KIND, **about,
        "machines": {name: {"config": config.as_dict(), "mapping": mapping}
                     for name, (config, mapping) in machines.items()},
        "sweeps": [{"name": table.sweep.name, "axes": table.sweep.axes,
                    "points": [_point(row) for row in table.rows]} for table in tables]})


def _point(row: Row) -> dict[str, Any]:
    point = {"machine": row.point.base, "layer": row.point.layer, "values": row.point.values}
    if row.measurement is None:
        return point | {"error": row.error}
    return point | row.measurement._asdict()


def write_csv(path: Path, table: Table) -> None:
    """Write a sweep, one point per row; the results of an impossible point are empty."""
    with open_output(path, text=True) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["machine", "layer", *table.sweep.axes, *Measurement._fields, "error"])
        writer.writerows(_cells(table))


def _cells(table: Table) -> Iterator[list[Any]]:
    for row in table.rows:
        figures = row.measurement or [""] * len(Measurement._fields)
        yield [row.point.base, row.point.layer, *map(show_value, row.point.values.values()),
               *figures, row.error]


def show_value(value: int | str) -> str:
    """Format the value of a parameter as in TOML and on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
