"""Rows of networks as plain JSON, as tables, with their faults and as a verdict in one line."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .measure import Row
from .probes import PROBE

__all__ = ["COLUMNS", "PROBE_COLUMNS", "TOLERANCE", "Table", "find_faults", "format_rows",
           "headline", "make_tables", "markdown", "summarise"]

COLUMNS = ("network", "matrices", "weights", "inputs", "floating point", "8 bits", "4 bits",
           "in Verilog", "cycles", "compared", "differences")

#: Columns of probes, which have random weights and inputs.
PROBE_COLUMNS = ("probe", "matrices", "weights", "floating point", "4 bits", "proven", "rounding",
                 "in Verilog", "cycles", "compared", "differences")

#: Most that results in floating point may differ from those of another implementation, of the
#: largest result.
TOLERANCE = 1e-4

#: A row of :func:`summarise`.
Plain = Mapping[str, Any]


class Table(NamedTuple):
    """Table of text."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        """Format in Markdown."""
        return "".join(f"| {' | '.join(cells)} |\n"
                       for cells in (self.columns, ("---",) * len(self.columns), *self.rows))


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain JSON."""
    return [{**dataclasses.asdict(row),
             **{name: {str(width): dataclasses.asdict(one)
                       for width, one in getattr(row, name).items()}
                for name in ("words", "verilog")}} for row in rows]


def find_faults(row: Plain, *, verilog: bool = True) -> list[str]:
    """List what is wrong with a network; `verilog`: that nothing was compared in Verilog, too."""
    faults = []
    if row["refusal"]:
        faults.append(f"does not run: {row['refusal']}")
    elif verilog and not _count([row], "compared"):
        faults.append("has no result that was compared in Verilog")
    if differences := _count([row], "differences"):
        faults.append(f"has {differences:,} results in Verilog that differ")
    if _is_misread(row):
        faults.append(f"differs in floating point by {row['real']['error']:.2g}, of "
                      f"{row['real']['magnitude']:.3g}, from another implementation")
    if exceeded := _exceeded(row):
        faults.append(f"has {exceeded:,} results beyond their proven bounds")
    return faults


def headline(rows: Sequence[Plain], *, verilog: bool = True) -> str:
    """Format the verdict. A network that differs in floating point counts as one number that does,
    a result beyond its proven bound as another.

    `verilog`: a network is not run if nothing was compared in Verilog.
    """
    n_run = sum(not row["refusal"] and (not verilog or _count([row], "compared") > 0)
                for row in rows)
    differences = _count(rows, "differences") + sum(map(_is_misread, rows)) \
        + sum(map(_exceeded, rows))
    return (f"networks: {n_run} of {len(rows)} run, {_count(rows, 'compared'):,} numbers compared, "
            f"{differences:,} differ")


def _count(rows: Sequence[Plain], name: str) -> int:
    """Sum a number of the runs in Verilog."""
    return sum(run[name] for row in rows for run in row["verilog"].values())


def _is_misread(row: Plain) -> bool:
    """Check whether floating point differs from another implementation, be it as NaN."""
    real = row["real"]
    return real is not None and real["error"] is not None and \
        not real["error"] <= TOLERANCE * real["magnitude"]


def _exceeded(row: Plain) -> int:
    """Count the results beyond their proven bounds."""
    return sum(score["proof"]["exceeded"] for score in row["words"].values() if score.get("proof"))


def make_tables(rows: Sequence[Plain]) -> list[Table]:
    """Make a table of networks, and one of probes, without those that have no rows."""
    tables = [format_rows([row for row in rows if (row["source"] == PROBE) == is_probe])
              for is_probe in (False, True)]
    return [table for table in tables if table.rows]


def format_rows(rows: Sequence[Plain]) -> Table:
    """Format rows of networks, or of probes."""
    columns = PROBE_COLUMNS if rows and rows[0]["source"] == PROBE else COLUMNS
    return Table(columns, [tuple(_format(row)[column] for column in columns) for row in rows])


def _format(row: Plain) -> dict[str, str]:
    """Format all cells, by column."""
    cells = dict.fromkeys((*COLUMNS, *PROBE_COLUMNS), "–")
    cells["network"] = cells["probe"] = row["name"]
    if row["refusal"]:
        return cells | {"differences": "does not run"}
    cells |= {"matrices": f"{row['n_matrices']}", "weights": f"{row['n_weights']:,}",
              "inputs": f"{row['n_inputs']:,}",
              "floating point": _score(row["real"], of_model=True),
              "8 bits": _score(row["words"].get("8")), "4 bits": _score(row["words"].get("4"))}
    if proof := row["words"].get("4", {}).get("proof"):
        cells |= {"proven": f"≤ {proof['bound']:.2g}",
                  "rounding": f"± {proof['rounding']:.2g} ≤ {proof['rounding_bound']:.2g}"}
    if runs := [run for _, run in sorted(row["verilog"].items(), reverse=True)]:
        cells |= {"in Verilog": " / ".join(f"{run['inferences']:,}" for run in runs),
                  "cycles": " / ".join(f"{run['cycles']:,.0f}" for run in runs),
                  "compared": f"{sum(run['compared'] for run in runs):,}",
                  "differences": f"{sum(run['differences'] for run in runs):,}"}
    return cells


def _score(score: Mapping[str, Any] | None, *, of_model: bool = False) -> str:
    """Format an accuracy, or else the share of equal results or the largest difference."""
    if score is None:
        return "–"
    if score["accuracy"] is not None:
        return f"{score['accuracy']:.2%}"
    if of_model:
        return "–" if score["error"] is None else f"± {score['error']:.1g}"
    top = "" if score["top_5"] is None else f"top five {score['top_5']:.0%}, "
    return f"{top}± {score['error']:.2g} of {score['magnitude']:.3g}"


def markdown(rows: Sequence[Plain]) -> str:
    """Format the tables in Markdown, then origins, remarks and reasons of refusals."""
    notes: dict[str, list[str]] = {}
    for row in rows:
        parts = row["source"], row["refusal"] or row["remark"]
        notes.setdefault("; ".join(filter(None, parts)), []).append(row["name"])
    return "\n".join([
        *(table.markdown() for table in make_tables(rows)),
        "".join(f"- {', '.join(names)}: {note}.\n" for note, names in notes.items())])
