"""`eie synth`: cells and clock rate of a module on an FPGA."""

import sys
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FOLDER, command, machine_options, numbers, renamed_option, target_option

__all__ = ["synth_command"]


@command("synth")
@machine_options
@target_option(default="ecp5", show_default=True,
               note=" ecp5, ice40, gowin and nexus are placed and routed as well.")
@click.option("--module", type=click.Choice(["eie_pe", "eie_core", "eie"]), default="eie_pe",
              show_default=True,
              help="Verilog module: one PE, the machine without its buses, or all of it.")
@click.option("--seeds", callback=numbers(int), metavar="N,N,…",
              help="Seeds of the placer, separated by commas. The clock rate is the median.  "
                   "[default: 1]")
@renamed_option("--seed", "--seeds", "seeds")
@click.option("--no-route", is_flag=True, help="Synthesise only: no clock rate.")
@click.option("--min-mhz", type=click.FloatRange(min=0, min_open=True),
              help="Least clock rate, in MHz.  [default: 115 for eie_pe of the default "
                   "configuration on ecp5, else none]")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/synth"),
              show_default=True, help="Folder for synth.md, synth.json, netlists and logs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def synth_command(config: EIEConfig, target: str, module: str, seeds: tuple[int, ...] | None,
                  no_route: bool, min_mhz: float | None, folder: Path, as_json: bool) -> None:
    """Synthesise a PE, or a machine, for an FPGA.

    Yosys synthesises the module out of context, and nextpnr places and routes it if it knows the
    family. The memories and multipliers must be in cells for them, the clock rate must reach
    --min-mhz, and a PE of the default configuration on an ECP5 has a greatest number of LUTs. Takes
    some minutes; needs the extra [synth], and [families] for place and route on others than an
    ECP5. The exit code is 1 if a requirement is missed.
    """
    from eie_compiler.files.json_file import to_json
    from eie_flows.place_and_route import ROUTERS
    from eie_flows.synthesis import synthesise

    if no_route and seeds:
        raise click.UsageError("--seeds are for place and route: leave them or --no-route out")
    seeds = seeds or (1,)
    if len(set(seeds)) < len(seeds) or min(seeds) < 1:
        raise click.BadParameter("--seeds must be numbers of 1 or more, each once, not "
                                 f"{','.join(map(str, seeds))}")
    if min_mhz is not None and (no_route or target not in ROUTERS):
        raise click.UsageError(f"--min-mhz needs place and route, which is only for "
                               f"{', '.join(ROUTERS)}, without --no-route: leave it out")
    with working("checking the tools", log=True) as step:
        report = synthesise(config, folder, target=target, module=module,
                            seeds=() if no_route else seeds, min_mhz=min_mhz, progress=step)
    if as_json:
        click.echo(to_json(report.as_dict()))
    else:
        print_table(make_table("", module, "required", title=str(folder / "synth.md")),
                    report.rows())
    for miss in report.misses():
        click.echo(f"missed: {miss}", err=True)
    if report.misses():
        sys.exit(1)
