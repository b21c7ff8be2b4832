"""`eie demo`: handwritten digits in the hardware."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .console import format_count, make_console, make_table, print_table, working
from .options import FOLDER, command, pes_option, simulator_option

if TYPE_CHECKING:
    from eie_sim.c_driver.demo import Run

__all__ = ["demo_command"]


@command("demo")
@click.option("--driver", type=click.Choice(["python", "c"]), default="python", show_default=True,
              help="Driver of the machine: the one in Python, or the one in C, which polls and "
                   "takes interrupts.")
@pes_option(default=16, show_default=True)
@click.option("--images", type=click.IntRange(1, 360),
              help="Number of images to run, 360 at most.  [default: all 360]")
@simulator_option
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/demo"),
              show_default=True, help="Folder for Verilog, images, sources and report.json.")
def demo_command(driver: Literal["python", "c"], pes: int, images: int | None, simulator: str,
                 folder: Path) -> None:
    """Recognise handwritten digits in the hardware.

    Writes the Verilog, compiles the network, simulates every image that it was not trained
    on, and compares every bit with the golden model. The exit code is 1 if a bit differs.
    """
    if driver == "c":
        if simulator != "verilator":
            raise click.UsageError("--driver c needs --sim verilator: the program is linked with "
                                   "Verilator's library of the machine")
        from eie_sim.c_driver.demo import demo_in_c

        with working("starting") as progress:
            runs = demo_in_c(folder, n_pe=pes, images=images, progress=progress)
        _show_runs(runs, pes)
        return
    from eie_sim.demo.demo import demo

    from .console import show_demo

    with working("starting") as progress:
        result = demo(folder, n_pe=pes, images=images, simulator=simulator, progress=progress)
    show_demo(str(folder), result)
    if not result.inference.ok:
        sys.exit(1)


def _show_runs(runs: "dict[str, Run]", n_pe: int) -> None:
    """Figures of the program in C, a column for each way to wait."""
    title = f"handwritten digits by the C driver, {format_count(n_pe, 'PE')}"
    print_table(make_table(title, *runs), [
        ["accuracy", *(f"{run.accuracy:.2%}" for run in runs.values())],
        ["program cycles per image, mean (least to greatest)",
         *(f"{run.cycles:,.1f} ({run.least} to {run.greatest})" for run in runs.values())],
        ["cycles per image with the host, one by one",
         *(f"{run.single:,.1f}" for run in runs.values())],
        ["end-to-end cycles per image, back to back",
         *(f"{run.batch:,.1f}" for run in runs.values())]])
    make_console().print(f"All {sum(run.outputs for run in runs.values()):,} outputs match the "
                  f"golden model bit for bit.", style="green")
