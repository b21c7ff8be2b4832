"""`eie layout`: one module in standard cells, placed and routed."""

import sys
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FOLDER, command, machine_options, require_modules

__all__ = ["layout_command"]


@command("layout")
@machine_options
@click.option("--module", default="eie_pe_decode", show_default=True, metavar="NAME",
              help="Verilog module of the machine.")
@click.option("--period", type=click.FloatRange(min=0.1), default=5.0, show_default=True,
              metavar="NS", help="Clock period in ns at which gates are sized.")
@click.option("--seed", type=click.IntRange(min=1), default=1, show_default=True,
              help="Seed of the placer.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/layout"),
              show_default=True, help="Folder for netlist, DEF, GDS, picture and layout.json.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def layout_command(config: EIEConfig, module: str, period: float, seed: int, folder: Path,
                   as_json: bool) -> None:
    """Place and route one module in standard cells.

    Yosys maps the module, with those inside it, to the cells osu018, without its memories; qflow
    places it with graywolf and routes it with qrouter. KLayout writes a GDS and a picture, traces
    all metal and compares it with the netlist, and checks widths and distances. Cells are their
    pins and obstructions alone: this is not a layout to manufacture. Takes from seconds to many
    minutes; needs the extras [synth] and [layout], and Debian's packages qflow and
    qflow-tech-osu018. The exit code is 1 if a check fails: another seed may help.
    """
    from eie_compiler.files.json_file import to_json
    from eie_flows.asic.layout.report import COLUMNS, lay_out
    from eie_flows.libraries import LIBRARIES
    from eie_flows.netlist.equivalence import list_modules
    from eie_hdl.export.module_names import list_names
    from eie_hdl.export.verilog import emit

    require_modules([module], list_names(config))
    with working("writing the Verilog", log=True) as step:
        files = emit(config).files
        require_modules([module], list_modules(files))    # without those of constants alone
        report = lay_out(config, files, module, LIBRARIES["osu018"], folder, period=period,
                         seed=seed, progress=step)
    if as_json:
        click.echo(to_json(report.as_dict()))
    else:
        print_table(make_table(*COLUMNS, title=f"{module}, {folder / 'layout.json'}"),
                    report.rows())
    for miss in report.misses():
        click.echo(f"missed: {miss}", err=True)
    if report.misses():
        sys.exit(1)
