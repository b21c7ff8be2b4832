"""Comparison of dense-sparse-dense training with a control: rows of several seeds, and files.

The control has the same seeds, stages, epochs and rates, but no weights held at zero.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eie_compiler.files.json_file import write_json

from .seeds import format_changes

__all__ = ["SHARE", "format_comparison", "make_row", "write_comparison"]

#: Share of weights held at zero, 0.25 to 0.5 in the paper; fixed before any run.
SHARE = 0.3


def make_row(seed: int, control: Sequence[dict[str, Any]], dsd: Sequence[dict[str, Any]]
             ) -> dict[str, Any]:
    """Make the row of a seed from the last record of each stage of both runs."""
    return {"seed": seed, "dense": dsd[0]["test"], "control": control[-1]["test"],
            "dsd": dsd[-1]["test"], "change": dsd[-1]["test"] - control[-1]["test"],
            "stages": {"control": list(control), "dsd": list(dsd)}}


def format_comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows and their mean in Markdown, as :func:`~.seeds.format_changes` does."""
    return format_changes(rows, {"dense": "after the first phase", "control": "control",
                                 "dsd": "DSD"})


def write_comparison(folder: Path, options: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
                     ) -> str:
    """Write ``dsd.json`` and ``dsd.md`` to a folder; return the table."""
    text = format_comparison(rows)
    write_json(folder / "dsd.json", {"share": SHARE, "options": options, "rows": rows})
    (folder / "dsd.md").write_text(text, encoding="utf-8")
    return text
