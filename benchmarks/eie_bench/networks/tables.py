"""Rows of networks as plain JSON, as tables and as a verdict in one line."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .measure import Row

__all__ = ["COLUMNS", "Table", "format_rows", "headline", "markdown", "summarise"]

COLUMNS = ("network", "matrices", "weights", "inputs", "floating point", "8 bits", "4 bits",
           "in Verilog", "cycles", "compared", "differences")

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


def format_rows(rows: Sequence[Plain]) -> Table:
    """Format the table of :data:`COLUMNS`."""
    return Table(COLUMNS, [_format(row) for row in rows])


def _format(row: Plain) -> tuple[str, ...]:
    if row["refusal"]:
        return row["name"], *("–",) * (len(COLUMNS) - 2), "does not run"
    runs = [run for _, run in sorted(row["verilog"].items())]
    return (row["name"], f"{row['n_matrices']}", f"{row['n_weights']:,}", f"{row['n_inputs']:,}",
            _score(row["real"], of_model=True),
            *(_score(row["words"].get(width)) for width in ("8", "4")),
            _join(f"{run['inferences']:,}" for run in runs),
            _join(f"{run['cycles']:,.0f}" for run in runs),
            f"{sum(run['compared'] for run in runs):,}" if runs else "–",
            f"{sum(run['differences'] for run in runs):,}" if runs else "–")


def _join(cells: Iterator[str]) -> str:
    return " / ".join(cells) or "–"


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
    """Format the table in Markdown, then origins, remarks and reasons of refusals."""
    table = format_rows(rows)
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    notes: dict[str, list[str]] = {}
    for row in rows:
        parts = row["source"], row["refusal"] or row["remark"]
        notes.setdefault("; ".join(filter(None, parts)), []).append(row["name"])
    return "".join([*(f"| {' | '.join(cells)} |\n" for cells in lines), "\n",
                    *(f"- {', '.join(names)}: {note}.\n" for note, names in notes.items())])
