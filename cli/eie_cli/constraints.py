"""`eie constraints`: clock and I/O timing for FPGA and ASIC tools."""

from pathlib import Path

import click

from eie_hdl.export.names import BRIDGES, Bridge

from .console import make_table, print_table
from .options import FOLDER, command

__all__ = ["constraints_command"]


@command("constraints")
@click.option("--mhz", type=click.FloatRange(min=0, min_open=True), required=True,
              help="Clock rate, in MHz.")
@click.option("--io-percent", type=click.FloatRange(min=0, max=100, max_open=True), default=40,
              show_default=True, help="Part of a cycle, in percent, that passes outside before "
                                      "inputs arrive and after outputs leave.")
@click.option("--name", default="eie", show_default=True,
              help="Name of the top module and of the files, as for `eie verilog`.")
@click.option("--bridge", type=click.Choice(BRIDGES),
              help="The top module is NAME_uart or NAME_spi, as for `eie verilog`.  "
                   "[default: none]")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def constraints_command(mhz: float, io_percent: float, name: str,
                        bridge: Bridge | None, folder: Path) -> None:
    """Write timing constraints of an accelerator.

    They are the clock rate and the delays at the ports, in the formats SDC, XDC, LPF, PCF and CST;
    comments explain which paths need no constraint or are false, and why. The ports are the same
    in every configuration.
    """
    from eie_hdl.export.constraints import FORMATS, write_constraints
    from eie_hdl.files import write_files

    files = write_constraints(mhz, name=name, bridge=bridge, io_percent=io_percent)
    write_files(folder, files)
    print_table(make_table("file", "read by"),
                [[str(folder / file), FORMATS[file.rsplit(".", 1)[1]][0]] for file in files])
