"""`eie registers`: the register map for other tools."""

from pathlib import Path

import click

from .options import FOLDER

__all__ = ["registers_command"]


@click.command("registers")
@click.option("--no-peakrdl", is_flag=True,
              help="Write only SystemRDL and Markdown, for which PeakRDL is not needed.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def registers_command(no_peakrdl: bool, folder: Path) -> None:
    """Describe the registers to other tools.

    Writes SystemRDL and a reference in Markdown, and by PeakRDL a C header, IP-XACT and HTML. All
    machines have the same registers.
    """
    from eie_hdl.export.peakrdl import write_descriptions, write_exports

    paths = write_descriptions(folder)
    if not no_peakrdl:
        paths += write_exports(folder)
    click.echo("\n".join(map(str, paths)))
