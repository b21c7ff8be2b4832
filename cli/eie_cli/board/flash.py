"""`eie board ulx3s flash`: load the bitstream into the board."""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from ..options import FILE, command
from .build import BOARD_FOLDER

__all__ = ["flash_command"]

#: Programs that load a bitstream, the first that is installed is used: arguments for the memory of
#: the FPGA, and for the flash of the board.
_PROGRAMS = {
    "openFPGALoader": (["--board", "ulx3s"], ["--board", "ulx3s", "--write-flash"]),
    "fujprog": ([], ["-j", "flash"]),
}


@command("flash")
@click.option("--bitstream", type=FILE, metavar="FILE",
              help=f"Bitstream.  [default: {BOARD_FOLDER}/eie_ulx3s.bit]")
@click.option("--permanent", is_flag=True,
              help="Write the flash, from which the board starts, instead of the FPGA alone.")
def flash_command(bitstream: Path | None, permanent: bool) -> None:
    """Load the bitstream into an ULX3S at USB port US1.

    Calls openFPGALoader or fujprog, whichever is installed, and shows its output. The exit code is
    2 if neither is, or the program fails.
    """
    from eie_flows.ulx3s import BITSTREAM
    from eie_sim.rtl.toolchain import ToolError

    file = bitstream or BOARD_FOLDER / BITSTREAM
    if not file.exists():
        raise ToolError(f"Bitstream must be built first, but there is no {file}: eie board ulx3s "
                        f"build")
    program = next(filter(shutil.which, _PROGRAMS), None)
    if program is None:
        raise ToolError("A program to load bitstreams must be installed, but neither "
                        f"{' nor '.join(_PROGRAMS)} was found: apt install openfpgaloader")
    done = subprocess.run([program, *_PROGRAMS[program][permanent], str(file)], check=False)
    if done.returncode:
        click.echo(f"eie: {program} failed ({done.returncode}): check that the board is connected "
                   f"at US1, and that you may access it", err=True)
        sys.exit(2)
