"""`eie bench c-driver`: a network by the driver in C, on the simulated machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import format_count, make_console, make_table, print_table, working
from ..options import BUILD, FILE, FOLDER, command, simulators_option

if TYPE_CHECKING:
    from eie_sim.c_driver.network_program import NetworkFigures

__all__ = ["c_driver_command"]


@command("c-driver")
@click.argument("build", type=BUILD)
@click.option("--input", "inputs", type=FILE, required=True, metavar="X.npy",
              help="Inputs as for `eie run`.")
@click.option("--count", type=click.IntRange(1), default=10, show_default=True,
              help="Number of inferences, those of the first inputs.")
@simulators_option
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/bench-c-driver"),
              show_default=True, help="Folder for sources, the program and report.json.")
def c_driver_command(build: Path, inputs: Path, count: int, cache: Path | None, folder: Path
                     ) -> None:
    """Run a network by the C driver, and measure its memory and cycles.

    BUILD is a folder written by `eie compile` for a network that is a graph. The program in C is
    compiled for this computer and linked with the Verilog in Verilator; it polls, takes interrupts,
    and does so on a stalling bus. Every output is compared with the golden model; the exit code is
    2 if one differs. Cycles are those of the machine, with all accesses of the host, but without
    the time that its processor computes.
    """
    from eie_compiler.graph_build import GraphBuild
    from eie_compiler.graph_folder import read_any_build
    from eie_sim.c_driver.network_program import measure_network

    from ..run_graph import read_inputs

    loaded = read_any_build(build)
    if not isinstance(loaded, GraphBuild):
        raise click.UsageError("BUILD must be of a network that is a graph, not of a chain of "
                               "layers: `eie demo --driver c` runs one of these")
    given = read_inputs(inputs)
    first = {name: values[:count] for name, values in given.items()} if isinstance(given, dict) \
        else given[:count]
    with working("starting") as progress:
        figures = measure_network(loaded, first, folder, cache=cache, progress=progress)
    _show(figures, loaded.config.n_pe)


def _show(figures: "NetworkFigures", n_pe: int) -> None:
    runs = figures.runs.values()
    run = next(iter(runs))
    print_table(make_table(f"the C driver, {format_count(n_pe, 'PE')}", *figures.runs), [
        ["cycles of the first inference, which loads", *(f"{run.first:,}" for run in runs)],
        ["cycles of another inference, mean", *(f"{run.cycles:,.1f}" for run in runs)],
        ["results of operations that saturated", *(f"{run.saturated:,}" for run in runs)]])
    click.echo(f"Memory: arena of {run.arena_words:,} words of 32 bits, "
               f"{figures.constant_bytes:,} bytes of constants with {run.steps} steps, "
               f"{figures.code_bytes:,} bytes of code.")
    make_console().print(f"All {sum(run.outputs for run in runs):,} outputs match the golden model "
                         f"bit for bit.", style="green")
