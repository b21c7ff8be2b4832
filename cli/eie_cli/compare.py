"""`eie compare`: what densities and widths of codes cost and save."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.text import Text

from eie_hdl.config import EIEConfig

from .console import Cell, format_count, make_console, make_table, print_table
from .model_options import model_options
from .options import (
    FILE,
    FILE_OR_FOLDER,
    OUTPUT_FILE,
    command,
    labels_option,
    machine_options,
    numbers,
    task_option,
)
from .progress import progress_bar
from .verdict import COLOURS, warn, warn_of_labels, warn_of_outputs

__all__ = ["compare_command"]


@command("compare")
@click.argument("model", type=FILE_OR_FOLDER)
@model_options
@click.option("--calibrate", type=FILE, required=True, metavar="X.npy",
              help="Inputs, one per row or image: formats are chosen for them, and accuracy is "
                   "measured with them.")
@labels_option
@task_option
@click.option("--density", default="1,0.5,0.3,0.15,0.08", show_default=True,
              callback=numbers(float), metavar="SHARE[,SHARE...]",
              help="Shares of the weights to keep by magnitude, above 0 to 1.")
@click.option("--bits", default="2,3,4,5,6,7,8", show_default=True,
              callback=numbers(int), metavar="N[,N...]",
              help="Widths of a codebook index, 2 to 8 bits.")
@machine_options
@click.option("-o", "--output", type=OUTPUT_FILE,
              help="JSON file for the table.  [default: none]")
@click.pass_context
def compare_command(context: click.Context, model: Path, reading: dict[str, Any], calibrate: Path,
                    labels: Path | None, task: str | None, density: tuple[float, ...],
                    bits: tuple[int, ...], config: EIEConfig, output: Path | None) -> None:
    """Compare densities and widths of codes.

    MODEL is a file that `eie compress` reads: a chain of layers, not a graph. For each combination
    the model is compressed without retraining, as `eie compress` does, and measured: accuracy with
    --labels, else the agreement with the model in floating point, in the arithmetic of the machine;
    bytes of the network file; program cycles and end-to-end cycles of an inference by the cycle
    model; and the memory used, in all and of the fullest spmat SRAM, which holds the weights. What
    does not fit the machine is said below the table; without --config and --preset the machine has
    codes as wide as the network's. Ctrl-C prints and writes the rows that are measured. Cycles need
    the extra [bench].
    """
    from eie_bench.compare import Data, compare
    from eie_compiler.files.json_file import write_json
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.frontends import read_chain

    given = any(context.get_parameter_source(name) is not ParameterSource.DEFAULT
                for name in ("file", "preset"))
    data = Data(read_array(calibrate), read_array(labels) if labels else None, task)
    measured = compare(read_chain(model, **reading), data, config, densities=density, bits=bits,
                       widen=not given)
    rows, total = [], len(density) * len(bits)
    try:
        with progress_bar("comparing") as progress:
            progress("comparing", 0, total)
            for row in measured:
                rows.append(row)
                progress(f"density {row['density']:g}, {row['v_width']} bits", len(rows), total)
    finally:
        # Ctrl-C loses no row that is measured.
        if rows:
            if output:
                write_json(output, {"model": model.name, "config": config.as_dict(),
                                    "complete": len(rows) == total, "rows": rows})
            _show(model, config, rows)
            _warn(rows)
            if len(rows) < total:
                warn(f"only {len(rows)} of {total} combinations were measured")
    if all(row["check"] is None for row in rows):
        sys.exit(1)


def _show(model: Path, config: EIEConfig, rows: list[dict[str, Any]]) -> None:
    checks = [row["check"] for row in rows if row["check"]]
    name, form = _measure(checks[0]) if checks else ("accuracy", ".1%")
    title = f"{model}: {format_count(config.n_pe, 'PE')}"
    if checks:
        title += f", {format_count(checks[0]['samples'], 'input')}"
        if checks[0].get("labels"):
            title += f"; {checks[0]['labels']['model']:{form}} in floating point"
    print_table(make_table("density", "bits", name, "verdict", "bytes", "program cycles",
                           "end-to-end cycles", "KiB used", "spmat used", title=title),
                [_cells(row, form) for row in rows])
    for reason in dict.fromkeys(row["error"] for row in rows if row["error"]):
        points = _points(row for row in rows if row["error"] == reason)
        make_console().print(f"{points}: {reason}", style="red", soft_wrap=True)


def _warn(rows: list[dict[str, Any]]) -> None:
    """Warn of labels, and of the outputs that are worst of all combinations not bad already."""
    checks = [row["check"] for row in rows if row["check"] and row["check"]["cause"] != "format"]
    if checks:
        warn_of_labels(checks[0])
    hidden = [row for row in rows if row["check"] in checks and row["check"]["verdict"] != "bad"
              and row["check"]["bad_outputs"]]
    if hidden:
        worst = min(hidden, key=lambda row: min(one["network"] - one["model"]
                                                for one in row["check"]["bad_outputs"]))
        warn_of_outputs(worst["check"], f"{_points(hidden)}: the verdict is of all outputs; with "
                                        f"{_points([worst])}, ")


def _points(rows: Iterable[dict[str, Any]]) -> str:
    """Density and bits of combinations."""
    return ", ".join(f"{row['density']:g} × {row['v_width']}" for row in rows)


def _measure(check: dict[str, Any]) -> tuple[str, str]:
    """Name of the score and its format."""
    if check["task"] == "classification":
        return ("accuracy" if check.get("labels") else "agreement"), ".1%"
    return "R²", ".4f"


def _cells(row: dict[str, Any], form: str) -> list[Cell]:
    check = row["check"]
    score: str = "–"
    if check and check["cause"] != "format":
        value = check["labels"]["network"] if check["labels"] else (
            check["r2"] if check["agreement"] is None else check["agreement"])
        score = f"{value:{form}}"
    used = spmat = "–"
    if memory := row["memory"]:
        used = f"{sum(each['bits_used'] for each in memory.values()) / 8192:,.1f}"
        spmat = f"{memory['spmat']['words_used'] / memory['spmat']['words']:.0%}"
    return [f"{row['density']:g}", str(row["v_width"]), score,
            Text(check["verdict"], COLOURS[check["verdict"]]) if check else "–",
            "–" if row["bytes"] is None else f"{row['bytes']:,}",
            *("–" if row[key] is None else f"{row[key]:,.0f}" for key in ("cycles", "end_to_end")),
            used, spmat]
