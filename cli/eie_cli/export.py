"""`eie export`: builds for programs in C, and for simulation in plain Verilog."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from .options import BUILD, FILE, FOLDER, command

__all__ = ["export_command"]


@command("export")
@click.argument("build", type=BUILD)
@click.option("--format", "kind", type=click.Choice(["c", "hex"]), default="c", show_default=True,
              help="C source with the driver, or files for $readmemh with a bench in Verilog.")
@click.option("--name", default="model", show_default=True,
              help="Name of the network: lower-case letters, digits and underscores. In C, of the "
                   "`struct eie_model` and its two files, so no name that C, C++ or POSIX uses; in "
                   "Verilog, prefix of the bench.")
@click.option("--no-driver", is_flag=True,
              help="Write NAME.h and NAME.c alone, for a program that includes the driver already.")
@click.option("--input", "inputs", type=FILE, metavar="X.npy",
              help="Inputs of the bench, as for `eie run`.  [default: 4 random ones]")
@click.option("--words", is_flag=True, help="The inputs are fixed-point words, not numbers.")
@click.option("--machine", metavar="NAME",
              help="Name of the machine in the bench, as for `eie verilog --name`.  [default: eie]")
@click.option("-o", "--output", "folder", type=FOLDER, required=True,
              help="Folder to write the files to.")
def export_command(build: Path, kind: Literal["c", "hex"], name: str, no_driver: bool,
                   inputs: Path | None, words: bool, machine: str | None, folder: Path) -> None:
    """Write a build as C source, or for simulation in plain Verilog.

    BUILD is a folder written by `eie compile`. The same build and options always give the same
    text. Prints the size of each file.

    C: writes the network, its program and the positions of inputs and outputs as constants to
    NAME.h and NAME.c, and next to them the driver, eie.c and its headers. Together they compile as
    C99, and the headers as C++17 too. The program supplies a `struct eie_port`, whose functions
    access the machine. A network that is a graph has all its programs, and the operations of the
    processor between them as a table of steps for eie_network.c, with the size of its memory.

    hex, of a chain of layers only, not of a graph: writes a file for each memory to the folder
    images, packets of inputs and the results of the golden model to inputs.hex and results.hex, and
    NAME_bench.v. Compile it with the files of `eie verilog` in Icarus Verilog or Verilator, and run
    it in the folder: it loads the images, sends the inputs, compares the results, and ends with
    PASS or FAIL.
    """
    from eie_compiler.graph_build import GraphBuild
    from eie_compiler.graph_folder import read_any_build

    given = {"--no-driver": no_driver, "--input": inputs, "--words": words, "--machine": machine}
    others = {"c": ("--input", "--words", "--machine"), "hex": ("--no-driver",)}[kind]
    for option in others:
        if given[option]:
            raise click.UsageError(f"{option} is not for --format {kind}: leave it out, or choose "
                                   f"the other format")
    if words and not inputs:
        raise click.UsageError("--words needs --input")
    loaded = read_any_build(build)
    if kind == "c":
        _export_c(loaded, folder, name=name, with_driver=not no_driver)
    elif isinstance(loaded, GraphBuild):
        raise click.UsageError("--format hex needs a build of a chain of layers, not of a graph, "
                               "whose operations the bench cannot compute")
    else:
        _export_hex(loaded, folder, inputs, words=words, name=name, machine=machine or "eie")


def _export_c(build, folder: Path, *, name: str, with_driver: bool) -> None:
    from eie_compiler.graph_build import GraphBuild
    from eie_driver.c_export import export
    from eie_driver.c_network import export_network
    from eie_driver.c_sources import find_c_driver, write_driver

    sizes = (export_network if isinstance(build, GraphBuild) else export)(build, folder, name=name)
    if with_driver:
        sizes |= write_driver(folder)
    _print(folder, sizes)
    click.echo(f"How to port the driver: {find_c_driver() / 'README.md'}")


def _export_hex(build, folder: Path, inputs: Path | None, *, words: bool, name: str, machine: str
                ) -> None:
    from eie_compiler.files.untrusted_npz import read_array
    from eie_sim.hex_export import example_inputs, export_hex

    sizes = export_hex(build, folder, read_array(inputs) if inputs else example_inputs(build),
                       words=words or not inputs, name=name, machine=machine)
    images = [size for file, size in sizes.items() if file.startswith("images/")]
    _print(folder, {file: size for file, size in sizes.items() if not file.startswith("images/")})
    click.echo(f"{folder / 'images'}: {len(images)} files, {sum(images):,} bytes")


def _print(folder: Path, sizes: Mapping[str, int]) -> None:
    click.echo("\n".join(f"{folder / file}: {size:,} bytes" for file, size in sizes.items()))
