"""`eie verilog`: the Verilog of a configuration."""

import time
from pathlib import Path
from typing import Literal

import click

from eie_hdl.config import EIEConfig

from .console import format_count, make_table, print_table
from .options import FOLDER, command, machine_options

__all__ = ["verilog_command"]


@command("verilog")
@machine_options
@click.option("--name", default="eie", show_default=True,
              help="Name of the top module, and prefix of all other modules, files and macros: "
                   "lower-case letters, digits and underscores. Machines of different names fit "
                   "into one design.")
@click.option("--bridge", type=click.Choice(["uart", "spi"]),
              help="Add a module NAME_uart or NAME_spi: the machine with a serial line in place of "
                   "its buses, for boards and chips with few pins.  [default: none]")
@click.option("--bit-cycles", type=click.IntRange(4), default=16, show_default=True,
              help="Clock cycles per bit of the UART: the clock rate over the baud rate.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def verilog_command(config: EIEConfig, name: str, bridge: Literal["uart", "spi"] | None,
                    bit_cycles: int, folder: Path) -> None:
    """Write the Verilog of an accelerator.

    The top module is NAME, or the one that --bridge adds; NAME.f lists the files that a tool must
    read. The same configuration and options always give the same text. Prints the memories;
    NAME_memories.json has the names of all instances.
    """
    from eie_hdl.export.memories import PORTS
    from eie_hdl.export.verilog import emit

    start = time.perf_counter()
    emitted = emit(config, name, bridge=bridge, bit_cycles=bit_cycles)
    emitted.write(folder)
    size = sum(len(text.encode()) for text in emitted.files.values())
    click.echo(f"{folder}: {format_count(config.n_pe, 'PE')}, {len(emitted.files)} files, "
               f"{size:,} bytes, "
               f"{time.perf_counter() - start:.1f} s")
    print_table(make_table("memory", "words", "bits", "ports", "count", "instances"),
                [[kind.module, str(kind.words), str(kind.bits), PORTS,
                  str(len(kind.instances)), ", ".join(kind.places)] for kind in emitted.memories])
