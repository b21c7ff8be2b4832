"""`eie export`: builds for programs in C."""

from pathlib import Path

import click

from .options import BUILD, FOLDER, command

__all__ = ["export_command"]


@command("export")
@click.argument("build", type=BUILD)
@click.option("--name", default="model", show_default=True,
              help="Name of the `struct eie_model` in C, and of its two files: lower-case letters, "
                   "digits and underscores, but no name that C, C++ or POSIX uses.")
@click.option("--no-driver", is_flag=True,
              help="Write NAME.h and NAME.c alone, for a program that includes the driver already.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder to write the C files to.")
def export_command(build: Path, name: str, no_driver: bool, folder: Path) -> None:
    """Write a build as C source, with the driver that runs it.

    BUILD is a folder written by `eie compile`. Writes the network, its program and the positions
    of inputs and outputs as constants to NAME.h and NAME.c, and next to them the driver: eie.h,
    eie.c, eie_registers.h and eie_quantise.h. Together they compile as C99, and
    the headers as C++17 too. The program supplies a
    `struct eie_port`, whose functions access the machine. The same build and name always give the
    same text. Prints the size of each file, and the path of the guide to porting.
    """
    from eie_compiler.build import Build
    from eie_driver.c_export import export
    from eie_driver.c_sources import find_c_driver, write_driver

    sizes = export(Build.load(build), folder, name=name)
    if not no_driver:
        sizes |= write_driver(folder)
    click.echo("\n".join(f"{folder / file}: {size:,} bytes" for file, size in sizes.items()))
    click.echo(f"How to port the driver: {find_c_driver() / 'README.md'}")
