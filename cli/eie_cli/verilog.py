"""`eie verilog`: the Verilog of a configuration."""

import time
from pathlib import Path

import click

from eie_hdl.config import EIEConfig
from eie_hdl.export.families import FAMILIES, RAM_STYLES
from eie_hdl.export.names import BRIDGES, Bridge
from eie_hdl.frames import DEFAULT_BIT_CYCLES, MIN_BIT_CYCLES

from .console import format_count, make_table, print_table
from .options import FOLDER, command, machine_options, target_option

__all__ = ["verilog_command"]


@command("verilog")
@machine_options
@click.option("--name", default="eie", show_default=True,
              help="Name of the top module, and prefix of all other modules, files and macros: "
                   "lower-case letters, digits and underscores. Machines of different names fit "
                   "into one design.")
@click.option("--bridge", type=click.Choice(BRIDGES),
              help="Add a module NAME_uart or NAME_spi: the machine with a serial line in place of "
                   "its buses, for boards and chips with few pins.  [default: none]")
@click.option("--bit-cycles", type=click.IntRange(MIN_BIT_CYCLES),
              help="Clock cycles per bit of --bridge uart: the clock rate over the baud rate.  "
                   f"[default: {DEFAULT_BIT_CYCLES}]")
@target_option(" Decides --ram-style and --initial-values.  [default: none, for FPGAs with LUT "
               "RAM]")
@click.option("--ram-style", type=click.Choice(RAM_STYLES),
              help="Attribute ram_style of small memories, which asks for LUT RAM, leaves the "
                   "choice to the tool, or asks for block RAM or flip-flops.  [default: that of "
                   "--target, else distributed]")
@click.option("--initial-values/--no-initial-values", default=None,
              help="Give flip-flops values before the reset, or leave them out for a technology "
                   "that has none.  [default: that of --target, else with]")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
def verilog_command(config: EIEConfig, name: str, bridge: Bridge | None,
                    bit_cycles: int | None, target: str | None, ram_style: str | None,
                    initial_values: bool | None, folder: Path) -> None:
    """Write the Verilog of an accelerator.

    The top module is NAME, or the one that --bridge adds; NAME.f lists the files that a tool must
    read. The same configuration and options always give the same text. Prints the memories;
    NAME_memories.json has the names of all instances.
    """
    from eie_hdl.export.memories import PORTS
    from eie_hdl.export.verilog import emit

    if bit_cycles is not None and bridge != "uart":
        raise click.UsageError("--bit-cycles needs --bridge uart: leave it out, as no other module "
                               "has a bit rate")
    start = time.perf_counter()
    # The attributes of an ECP5 are those of the text for any FPGA.
    family = FAMILIES[target or "ecp5"]
    emitted = emit(config, name, bridge=bridge, bit_cycles=bit_cycles or DEFAULT_BIT_CYCLES,
                   ram_style=ram_style or family.ram_style,
                   initial_values=family.initial_values if initial_values is None
                   else initial_values)
    emitted.write(folder)
    size = sum(len(text.encode()) for text in emitted.files.values())
    click.echo(f"{folder}: {format_count(config.n_pe, 'PE')}, {len(emitted.files)} files, "
               f"{size:,} bytes, "
               f"{time.perf_counter() - start:.1f} s")
    print_table(make_table("memory", "words", "bits", "ports", "count", "instances"),
                [[kind.module, str(kind.words), str(kind.bits), PORTS,
                  str(len(kind.instances)), ", ".join(kind.places)] for kind in emitted.memories])
