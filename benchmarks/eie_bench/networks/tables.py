"""Rows of networks as plain JSON, as tables and as a verdict in one line."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .measure import Row
from .probes import PROBE

__all__ = ["COLUMNS", "PROBE_COLUMNS", "Table", "format_rows", "headline", "make_tables",
           "markdown", "summarise"]

COLUMNS = ("network", "matrices", "weights", "inputs", "floating point", "8 bits", "4 bits",
           "in Verilog", "cycles", "compared", "differences")

#: Columns of probes, which have random weights and inputs.
PROBE_COLUMNS = ("probe", "matrices", "weights", "floating point", "4 bits", "in Verilog", "cycles",
                 "compared", "differences")

#: A row of :func:`summarise`.
Plain = Mapping[str, Any]


class Table(NamedTuple):
    """Table of text."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain JSON."""
    return [{**dataclasses.asdict(row),
             **{name: {str(width): dataclasses.asdict(one)
                       for width, one in getattr(row, name).items()}
                for name in ("words", "verilog")}} for row in rows]


def headline(rows: Sequence[Plain]) -> str:
    """Format the verdict."""
    runs = [run for row in rows for run in row["verilog"].values()]
    n_run = sum(not row["refusal"] and bool(row["verilog"]) for row in rows)
    return (f"networks: {n_run} of {len(rows)} run, "
            f"{sum(run['compared'] for run in runs):,} numbers compared, "
            f"{sum(run['differences'] for run in runs):,} differ")


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
        *("".join(f"| {' | '.join(cells)} |\n" for cells in (
            table.columns, ("---",) * len(table.columns), *table.rows))
          for table in make_tables(rows)),
        "".join(f"- {', '.join(names)}: {note}.\n" for note, names in notes.items())])
