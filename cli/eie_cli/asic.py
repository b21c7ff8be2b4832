"""`eie asic`: the machine in standard cells."""

from pathlib import Path

import click
from click.core import ParameterSource

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FOLDER, command, machine_options

__all__ = ["asic_command"]


@command("asic")
@machine_options
@click.option("--library", "library", type=click.Choice(["osu018", "sky130_fd_sc_hd"]),
              default="osu018", show_default=True,
              help="Standard cells: those for 0.18 µm of Debian's qflow-tech-osu018, or SkyWater's "
                   "for 0.13 µm, whose library is part of this package.")
@click.option("--period", type=click.FloatRange(min=0.1), default=5.0, show_default=True,
              metavar="NS", help="Clock period in ns at which gates are sized, and of the power. "
                                 "--emit has no default.")
@click.option("--clock-gates", is_flag=True,
              help="Gate the clock of flip-flops with a common enable, which takes less area and "
                   "power; --library osu018 only.")
@click.option("--power", "with_power", is_flag=True,
              help="Also simulate an inference of the handwritten digits in Icarus, cell by cell, "
                   "and compute its power; takes minutes more.")
@click.option("--emit", "flow", type=click.Choice(["librelane", "orfs"]),
              help="Only write what LibreLane, or OpenROAD-flow-scripts, needs to harden one PE in "
                   "sky130: sources, views of the memories, the configuration, and, for the "
                   "latter, constraints.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/asic"),
              show_default=True, help="Folder for tables, netlist, constraints and macros.")
@click.pass_context
def asic_command(context: click.Context, config: EIEConfig, library: str, period: float,
                 clock_gates: bool, with_power: bool, flow: str | None, as_json: bool,
                 folder: Path) -> None:
    """Synthesise a machine to standard cells.

    Yosys maps all modules, with the memories as named macros; OpenSTA finds the longest paths
    between registers. Prints area by module and the clock rate of one PE and of the machine,
    without wires and with an ideal clock. Figures of the memories are estimates. The folder gets
    wrappers, Liberty, LEF and models of the memories as well, and constraints in SDC. Takes
    half a minute, and minutes more with --power; needs the extra [synth], and Debian's packages
    opensta, iverilog for --power, and qflow-tech-osu018 for --library osu018.
    """
    if flow:
        if clock_gates or with_power or as_json:
            raise click.UsageError("--emit writes files alone: leave out --clock-gates, --power "
                                   "and --json")
        if (library == "osu018"
                and context.get_parameter_source("library") is not ParameterSource.DEFAULT):
            raise click.UsageError("--emit is for sky130_fd_sc_hd: leave out --library osu018")
        if context.get_parameter_source("period") is ParameterSource.DEFAULT:
            raise click.UsageError("--emit needs --period NS: a PE of the default machine reaches "
                                   "7 ns before its layout, and less after it")
        _emit(flow, config, period, folder)
        return
    from eie_compiler.files.json_file import to_json
    from eie_flows.asic.report import (
        AREA_COLUMNS,
        MACRO_COLUMNS,
        POWER_COLUMNS,
        TIMING_COLUMNS,
        run,
    )
    from eie_flows.libraries import LIBRARIES

    with working("checking the tools", log=True) as step:
        report = run(config, LIBRARIES[library], folder, period=period, clock_gates=clock_gates,
                     with_power=with_power, progress=step)
    if as_json:
        click.echo(to_json(report.as_dict()))
        return
    title = str(folder / "asic.md")
    for columns, rows in ((AREA_COLUMNS, report.area_rows()),
                          (TIMING_COLUMNS, report.timing_rows()),
                          (MACRO_COLUMNS, report.macro_rows()),
                          (POWER_COLUMNS, report.power_rows())):
        if rows:
            print_table(make_table(*columns, title=title), rows)
        title = ""


def _emit(flow: str, config: EIEConfig, period: float, folder: Path) -> None:
    from eie_flows.asic.hardening import write_flow
    from eie_hdl.files import write_files

    files = write_flow(flow, config, period=period)
    write_files(folder, files)
    print_table(make_table("file", "bytes"), [[str(folder / name), f"{len(text.encode()):,}"]
                                              for name, text in files.items()])
