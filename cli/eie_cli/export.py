"""`eie export`: builds for programs in C."""

from pathlib import Path

import click

from .options import FOLDER

__all__ = ["export_command"]


@click.command("export")
@click.argument("build", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", default="model", show_default=True,
              help="Name of the model in C, and of the two files.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def export_command(build: Path, name: str, folder: Path) -> None:
    """Write a build as C source.

    BUILD is a folder written by `eie compile`. The files are for the driver in drivers/c; they
    depend on nothing but the build.
    """
    from eie_compiler.build import Build
    from eie_driver.c_export import export

    sizes = export(Build.load(build), folder, name=name)
    click.echo("\n".join(f"{folder / file}: {size:,} bytes" for file, size in sizes.items()))
