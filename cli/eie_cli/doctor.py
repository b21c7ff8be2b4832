"""`eie doctor`: check of the tools that the commands need."""

import dataclasses
import sys

import click

__all__ = ["doctor_command"]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor_command(as_json: bool) -> None:
    """Check required tools and how to fix what is missing.

    The exit code is 1 if a tool is missing or too old, those of extras included.
    """
    from eie_compiler.files.json_file import to_json
    from eie_sim.rtl.toolchain import check_tools

    tools = check_tools()
    if as_json:
        click.echo(to_json({"tools": [dataclasses.asdict(tool) for tool in tools]}))
    else:
        from .console import show_tools

        show_tools(tools)
    if not all(tool.ok for tool in tools):
        sys.exit(1)
