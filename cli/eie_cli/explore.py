"""`eie explore`: parameters of the machine against time."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from eie_hdl.config import EIEConfig

from .console import format_count, warn_of_saturation
from .options import FILE, FOLDER, command, machine_options
from .progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.explore.workloads import Workload

__all__ = ["explore_command"]


@command("explore")
@click.argument("network", type=FILE, required=False)
@click.option("--input", "inputs", type=FILE, metavar="X.npy",
              help="Inputs of NETWORK, one per row, as for `eie run`. Cycles are summed over them.")
@machine_options
@click.option("--mapping", type=click.Choice(["balanced", "interleaved"]), default="balanced",
              help="Distribution of the rows over the PEs of the given machine.  "
                   "[default: balanced]")
@click.option("--layers", metavar="NAME[,NAME...]", help="Layers to run.  [default: all]")
@click.option("--set", "axes", multiple=True, metavar="NAME=V[,V...]",
              help="Values of a parameter of the machine, or of the mapping. If given more than "
                   "once, all combinations are swept; the first is the axis of the figure.")
@click.option("--figure", type=click.Choice(["all", "queue", "pes", "words"]), default="all",
              show_default=True,
              help="Figures of the paper to draw: PE activity against queue depth; speed-up, "
                   "padding and PE activity against PEs; spmat reads against entries in a word.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N",
              help="Number of processes on this computer.  [default: one per core]")
@click.option("--scheduler", metavar="ADDRESS",
              help="Address of a dask scheduler, such as tcp://host:8786, whose workers replace "
                   "the processes.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
              help="Seed of the weights and inputs of the paper's layers.")
@click.option("-o", "--output", "folder", type=FOLDER, required=True, help="Folder to write to.")
@click.pass_context
def explore_command(context: click.Context, network: Path | None, inputs: Path | None,
                    config: EIEConfig, mapping: Literal["balanced", "interleaved"],
                    layers: str | None, axes: tuple[str, ...], figure: str, jobs: int | None,
                    scheduler: str | None, seed: int, folder: Path) -> None:
    """Sweep parameters of the machine with the cycle model.

    The layers are the nine of the paper, or those of NETWORK, a file written by `eie compress`.
    The sweep starts from the machine given by --config, --preset, --pes or --mapping; by default,
    from the published machine with interleaved rows and the tuned one with balanced rows, 64 PEs
    each. Without --set the figures of the paper are drawn, which takes about a minute. With --set,
    end-to-end cycles of 32 inferences back to back are predicted, too: a second for a large layer.
    Memories have the greatest depth that a machine allows, unless --set names them. Writes
    explore.json, a CSV table for each sweep, and figures as PNG and SVG; needs the extra [bench].
    """
    given = {name for name in context.params
             if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    if (network is None) != (inputs is None):
        raise click.UsageError("NETWORK and --input must be given together: the time of a layer "
                               "depends on its activations")
    for one, other in (("axes", "figure"), ("network", "seed"), ("jobs", "scheduler")):
        if {one, other} <= given:
            raise click.UsageError(f"{_NAMES[one]} and --{other} must not both be given: leave one "
                                   f"of them out")

    from eie_bench.explore.explore import explore
    from eie_bench.explore.sweep import GIVEN, SWEEPS, Sweep, parse_axes
    from eie_bench.explore.workloads import network_workloads, paper_workloads
    from eie_bench.paper.nine_layers import MACHINES, Machine
    from eie_compiler.files.network_file import read_network
    from eie_compiler.files.untrusted_npz import read_array

    from .explore_tables import show_errors, show_sweep

    sweeps = ([Sweep(GIVEN, parse_axes(axes))] if axes else
              [sweep for name, sweep in SWEEPS.items() if figure in ("all", name)])
    machines = MACHINES
    if given & {"file", "preset", "pes", "mapping"}:
        file = context.params["file"]
        name = context.params["preset"] or (file.stem if file else "default")
        # It is not the benchmark's machine of that name.
        for axis, text in (("n_pe", f", {format_count(config.n_pe, 'PE')}"),
                           ("mapping", f" ({mapping})")):
            if not any(axis in sweep.axes for sweep in sweeps):
                name += text
        machines = {name: Machine(config, mapping)}
    names = layers.split(",") if layers else []
    about: dict[str, Any] = {"seed": seed}
    workloads: Sequence[Workload]
    if network is None or inputs is None:
        workloads = paper_workloads(names, seed)
    else:
        arithmetic = next(iter(machines.values())).config
        workloads, inference = network_workloads(read_network(network), read_array(inputs),
                                                 arithmetic, names)
        about = {"network": network.name, "saturation": inference.describe_saturation()}
        warn_of_saturation(inference)
    with progress_bar("exploring", log=True) as bar:
        tables = explore(folder, sweeps, machines, workloads, jobs=jobs, scheduler=scheduler,
                         about=about, progress=lambda done, total: bar("exploring", done, total))
    for table in tables:
        show_sweep(folder, table)
        show_errors(table)
    if not any(row.measurement for table in tables for row in table.rows):
        sys.exit(1)


_NAMES = {"axes": "--set", "network": "NETWORK", "jobs": "--jobs"}
