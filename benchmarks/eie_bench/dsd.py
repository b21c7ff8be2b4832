"""Comparison of dense-sparse-dense training with a control: rows of several seeds, and files.

The control has the same seeds, stages, epochs and rates, but no weights held at zero.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json

__all__ = ["SEEDS", "SHARE", "format_comparison", "make_row", "write_comparison"]

#: Share of weights held at zero, 0.25 to 0.5 in the paper, and seeds; fixed before any run.
SHARE = 0.3
SEEDS = (1, 2, 3)


def make_row(seed: int, control: Sequence[dict[str, Any]], dsd: Sequence[dict[str, Any]]
             ) -> dict[str, Any]:
    """Make the row of a seed from the last record of each stage of both runs."""
    return {"seed": seed, "dense": dsd[0]["test"], "control": control[-1]["test"],
            "dsd": dsd[-1]["test"], "change": dsd[-1]["test"] - control[-1]["test"],
            "stages": {"control": list(control), "dsd": list(dsd)}}


def format_comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows and their mean in Markdown: errors in percent, changes in points."""
    changes = [row["change"] for row in rows]
    lines = ["| seed | after the first phase | control | DSD | change |", "|---|---|---|---|---|"]
    lines += [f"| {row['seed']} | {row['dense']:.2%} | {row['control']:.2%} | {row['dsd']:.2%} | "
              f"{100 * row['change']:+.2f} |" for row in rows]
    means = [statistics.mean(row[key] for row in rows) for key in ("dense", "control", "dsd")]
    lines.append(f"| mean | {' | '.join(f'{mean:.2%}' for mean in means)} | "
                 f"{100 * statistics.mean(changes):+.2f} ± {100 * statistics.stdev(changes):.2f} |")
    return "\n".join(lines) + "\n"


def write_comparison(folder: Path, options: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
                     ) -> str:
    """Write ``dsd.json`` and ``dsd.md`` to a folder; return the table."""
    text = format_comparison(rows)
    write_json(folder / "dsd.json", {"share": SHARE, "options": options, "rows": rows})
    (folder / "dsd.md").write_text(text, encoding="utf-8")
    return text
