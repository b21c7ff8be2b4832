"""`eie board ulx3s run`: handwritten digits on a board."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator

import click

from eie_hdl.config import EIEConfig
from eie_hdl.frames import DEFAULT_BAUD

from ..console import format_count, make_console, make_table, print_table, working
from ..options import command
from .build import BOARD_PES

__all__ = ["run_command"]

#: Seconds for a request to the simulated board, which a loaded computer slows down.
_SIMULATED_PATIENCE = 2.0


@command("run")
@click.option("--port", metavar="PORT", help="Serial port of the board, such as /dev/ttyUSB0.")
@click.option("--simulated", is_flag=True,
              help="Simulate the board in Verilator, at a pseudo-terminal, instead of --port.")
@click.option("--baud", type=click.IntRange(1),
              help=f"Baud rate of the bitstream at --port.  [default: {DEFAULT_BAUD}]")
@click.option("--images", type=click.IntRange(1, 360), default=100, show_default=True,
              help="Number of images to run, 360 at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def run_command(port: str | None, simulated: bool, baud: int | None, images: int, as_json: bool
                ) -> None:
    """Recognise handwritten digits on a board.

    Reads the configuration of the machine at the port, compiles the network for it, loads it
    and runs images that it was not trained on. Every bit is compared with the golden model; the
    exit code is 1 if one differs. The same as `eie demo`, on hardware.
    """
    if (port is None) != simulated:
        raise click.UsageError("give either --port, or --simulated")
    if simulated and baud is not None:
        raise click.UsageError("--baud is for --port: leave it out, as the simulated board has its "
                               "own")
    from eie_compiler.files.json_file import to_json
    from eie_driver.serial_bus import open_serial
    from eie_sim.demo.on_board import run_digits

    with working("starting") as progress, _plug_in(port) as (name, settings):
        run = run_digits(open_serial(name, baud=baud or DEFAULT_BAUD, **settings), images=images,
                         progress=progress)
    if as_json:
        # Neither port nor baud rate of a simulated board means anything.
        click.echo(to_json({"simulated": simulated, "port": port,
                            "baud": None if simulated else baud or DEFAULT_BAUD,
                            **dataclasses.asdict(run)}))
    else:
        print_table(make_table(name, format_count(run.config.n_pe, "PE")), [
            ["images", str(run.images)],
            ["accuracy", f"{run.accuracy:.2%}"],
            ["program cycles per image, mean", f"{run.cycles:,.1f}"],
            ["seconds to load the network", f"{run.load_seconds:.2f}"],
            ["seconds per image, with all transfers", f"{run.run_seconds / run.images:.4f}"],
            ["requests sent again", str(run.repeats)]])
        if not run.mismatches:
            make_console().print("All outputs match the golden model bit for bit.", style="green")
    if run.mismatches:
        click.echo(f"{format_count(run.mismatches, 'output')} unlike those of the golden model",
                   err=True)
        sys.exit(1)


@contextlib.contextmanager
def _plug_in(port: str | None) -> Iterator[tuple[str, dict[str, float]]]:
    """Return the port and its settings; those of a simulated board if there is none."""
    if port is not None:
        yield port, {}
        return
    from eie_sim.rtl.serial_board import SerialBoard

    with SerialBoard(EIEConfig(n_pe=BOARD_PES)) as board:
        yield board.port, {"patience": _SIMULATED_PATIENCE}
