"""Runs of `eie train` with several seeds: their records, and a table with mean and spread."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["SEEDS", "format_changes", "last_records", "run_training"]

#: Seeds of all comparisons; fixed before any run.
SEEDS = (1, 2, 3)


def run_training(mnist: Path, name: Path, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run `eie train`, or continue it; return the last record of each stage.

    Parameters
    ----------
    mnist : path
        Data.
    name : path
        Path of the weights and of the log, without a suffix.
    options : mapping
        Options by name, without ``--``.
    """
    log = Path(f"{name}.jsonl")
    subprocess.run(
        [Path(sys.executable).with_name("eie"), "train", mnist, "-o", f"{name}.npz",
         "--resume", f"--log={log}", *(f"--{option}={value}" for option, value in options.items())],
        check=True, stdout=subprocess.DEVNULL)
    return last_records(map(json.loads, log.read_text(encoding="utf-8").splitlines()))


def last_records(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the last record of each stage of training, which alone has the test error."""
    return [record for record in records if "test" in record]


def format_changes(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Format rows of errors and their mean in Markdown: errors in percent, changes in points.

    Parameters
    ----------
    rows : sequence of mappings
        One for each seed: ``seed``, the errors, and ``change``, the difference of two of them.
    columns : mapping of :class:`str` to :class:`str`
        Title of each error by its name.
    """
    changes = [row["change"] for row in rows]
    lines = [f"| seed | {' | '.join(columns.values())} | change |",
             "|---" * (len(columns) + 2) + "|"]
    lines += [f"| {row['seed']} | {' | '.join(f'{row[name]:.2%}' for name in columns)} | "
              f"{100 * row['change']:+.2f} |" for row in rows]
    means = [statistics.mean(row[name] for row in rows) for name in columns]
    lines.append(f"| mean | {' | '.join(f'{mean:.2%}' for mean in means)} | "
                 f"{100 * statistics.mean(changes):+.2f} ± {100 * statistics.stdev(changes):.2f} |")
    return "\n".join(lines) + "\n"
