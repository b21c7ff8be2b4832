"""`eie doctor`: the tools that the commands need."""

import dataclasses
import json
import sys

import click

__all__ = ["doctor_command"]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> None:
    """Show every tool, and what to do if it will not do.

    The exit code is 1 if one is not.
    """
    from eie_sim.rtl.toolchain import check_tools

    tools = check_tools()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(tool) for tool in tools], indent=1))
    else:
        from .console import show_tools

        show_tools(tools)
    if not all(tool.ok for tool in tools):
        sys.exit(1)
