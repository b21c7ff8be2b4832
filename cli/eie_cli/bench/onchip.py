"""`eie bench onchip`: networks that are one program each, from their input to their results."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import make_console, make_table, print_table
from ..options import FILE, OUTPUT_FILE, command, simulators_option
from ..progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.onchip.measure import Row

__all__ = ["onchip_command"]


@command("onchip")
@click.option("--lenet", type=FILE, metavar="NETWORK.npz",
              help="Compressed LeNet-5, such as examples/convolutional/trained/lenet5/network.npz. "
                   " [default: left out]")
@click.option("--mnist", type=FILE, metavar="DATA.npz",
              help="File of test_images and test_labels, for --lenet.  [default: random images]")
@click.option("--icarus/--no-icarus", default=True, show_default=True,
              help="Run the small geometries, cells and integer models on Icarus too.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of all other networks and inputs, and of the choice of images.")
@simulators_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("-o", "--output", type=OUTPUT_FILE, default=Path("build/bench-onchip.json"),
              show_default=True, help="JSON file for the table.")
def onchip_command(lenet: Path | None, mnist: Path | None, icarus: bool, seed: int,
                   cache: Path | None, as_json: bool, output: Path) -> None:
    """Measure networks whose maps stay on the chip.

    Each network is one program, from its input to its results: LeNet-5, a depthwise convolution of
    64 channels, all forms of pooling, and small or unusual geometries; and recurrent cells of all
    kinds, of which a step is one program that keeps their states; and integer models in ONNX. Small
    ones also run on Icarus.
    Images, or steps, run back to back in Verilog. The bound of their cycles is the greater of
    broadcasts and entries of the busiest PE. The exit code is 1 if a result differs from the golden
    model, or from the arithmetic of a host that computes node by node, of which only means and
    integers may differ, by one step of the result; or the cycles from the cycle model.
    """
    from eie_bench.onchip.all_cases import make_cases
    from eie_bench.onchip.measure import headline, measure_all, summarise
    from eie_compiler.files.json_file import to_json, write_json

    rows: list[Row] = []
    if not lenet:
        click.echo("left out, as --lenet is not given: LeNet-5", err=True)
    images = mnist.name if mnist else f"random, seed {seed}"
    with progress_bar("compiling", log=True) as progress:
        cases = make_cases(lenet, mnist, seed=seed, icarus=icarus)
        for row in measure_all(cases, cache=cache,
                               progress=lambda step: progress(step, len(rows), len(cases))):
            rows.append(row)
            progress(f"{row.name} on {row.engine}, {row.n_pe} PEs", len(rows), len(cases))
    summary = summarise(rows, seed, images)
    write_json(output, summary)
    if as_json:
        click.echo(to_json(summary))
    else:
        _show(rows, images)
    for row in rows:
        if row.differences:
            make_console(stderr=as_json).print(
                f"{row.name} on {row.engine}, {row.n_pe} PEs: {row.differences:,} of "
                f"{row.compared:,} numbers differ", style="red")
    click.echo(headline(rows), err=as_json)
    if any(row.differences for row in rows):
        sys.exit(1)


def _show(rows: "list[Row]", images: str) -> None:
    """Print the table."""
    print_table(make_table(
        "part", "network", "simulator", "PEs", "layers", "local", "images", "cycles", "/ pixel",
        "predicted", "broadcasts", "entries", "/ bound", "compared", "differ", "steps",
        title=f"cycles of an image, or a step, back to back; entries: of the busiest PE; steps: "
              f"largest difference from means and integers of a host; images of LeNet-5: {images}"),
        [[row.part, row.name, row.engine, f"{row.n_pe}", f"{row.layers}", f"{row.local}",
          f"{row.images}", f"{row.cycles:,.0f}", f"{row.cycles / row.pixels:,.1f}",
          "–" if row.predicted is None else f"{row.predicted:,.0f}", f"{row.broadcasts:,.0f}",
          f"{row.entries:,.0f}", "–" if row.ratio is None else f"{row.ratio:.2f}",
          f"{row.compared:,}", f"{row.differences}", f"{row.steps}"] for row in rows])
