"""`eie registers`: the register map for other tools."""

from pathlib import Path

import click

from .options import FOLDER, command

__all__ = ["registers_command"]


@command("registers")
@click.option("--no-peakrdl", is_flag=True,
              help="Write only eie.rdl and registers.md, which do not need PeakRDL.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder to write the descriptions to.")
def registers_command(no_peakrdl: bool, folder: Path) -> None:
    """Write the register map for other tools.

    Writes SystemRDL (eie.rdl) and a reference in Markdown (registers.md); then, by PeakRDL, a C
    header (eie_registers.h), IP-XACT (eie.ipxact.xml) and a folder of HTML (html), which need the
    extra [registers]. All machines have the same registers, so there is no option for a
    configuration. Prints the path of each.
    """
    from eie_hdl.export.peakrdl import write_descriptions, write_exports

    paths = write_descriptions(folder) if no_peakrdl else write_exports(folder)
    click.echo("\n".join(map(str, paths)))
