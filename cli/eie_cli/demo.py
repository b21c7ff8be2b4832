"""`eie demo`: handwritten digits in the hardware."""

import sys
from pathlib import Path

import click

from .options import FOLDER, simulator_option

__all__ = ["demo_command"]


@click.command("demo")
@click.option("--pes", type=int, default=16, show_default=True, help="Processing elements.")
@click.option("--images", type=click.IntRange(min=1), help="Images to run.  [default: all 360]")
@simulator_option
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/demo"),
              show_default=True, help="Folder for Verilog, images and report.json.")
def demo_command(pes: int, images: int | None, simulator: str, folder: Path) -> None:
    """Recognise handwritten digits in the hardware.

    Writes the Verilog, compiles the network, simulates every image that it was not trained
    on, and compares every bit with the golden model. The exit code is 1 if one differs.
    """
    from eie_sim.demo.demo import demo

    from .console import show_demo, working

    with working("starting") as progress:
        result = demo(folder, n_pe=pes, images=images, simulator=simulator, progress=progress)
    show_demo(str(folder), result)
    if not result.inference.ok:
        sys.exit(1)
