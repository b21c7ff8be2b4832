"""`eie doctor`: check of the tools that the commands need."""

import dataclasses
import sys

import click

from .options import command

__all__ = ["doctor_command"]


@command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor_command(as_json: bool) -> None:
    """Check required tools and how to fix what is missing.

    Prints the version of each Python package and program, the minimum version and whether it is
    met, then a command for each that is missing or too old. Nothing is written or installed.
    Packages of extras are optional, and so are Icarus and what standard cells and boards need;
    Verilator, a C++ compiler, make, perl and libpython are required if the extra [sim] is
    installed. The exit code is 1 if a tool that was found is too old or does not run, or if a
    required one is missing; optional ones may be missing.
    """
    from eie_compiler.files.json_file import to_json
    from eie_flows.libraries import LIBRARIES
    from eie_sim.rtl.toolchain import check_tools

    tools = [*check_tools(), LIBRARIES["osu018"].check()]
    if as_json:
        click.echo(to_json({"tools": [dataclasses.asdict(tool) for tool in tools]}))
    else:
        from .console import show_tools

        show_tools(tools)
    if any(tool.failed for tool in tools):
        sys.exit(1)
