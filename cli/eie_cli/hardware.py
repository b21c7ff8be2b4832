"""`eie verilog` and `eie doctor`: the hardware, and the tools around it."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .options import FOLDER, machine_options

__all__ = ["doctor_command", "verilog_command"]


@click.command("verilog")
@machine_options
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def verilog_command(config: EIEConfig, folder: Path) -> None:
    """Write the Verilog of an accelerator.

    The top module is `eie`; eie.f lists the files that a tool must read. The text depends on
    nothing but the configuration.
    """
    from eie_hdl.export.verilog import emit

    start = time.perf_counter()
    emitted = emit(config)
    emitted.write(folder)
    size = sum(len(text.encode()) for text in emitted.files.values())
    click.echo(f"{folder}: {config.n_pe} PEs, {len(emitted.files)} files, {size:,} bytes, "
               f"{time.perf_counter() - start:.1f} s")


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
