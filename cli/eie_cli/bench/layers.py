"""`eie bench layers`: the nine layers of the paper; docs/benchmark.md explains the tables."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ..console import make_console, make_table, print_table
from ..options import DOCUMENT, FOLDER, Renamed, command, renamed_option, simulators_option
from ..progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.paper.report import Report
    from eie_bench.paper.tables import Table

__all__ = ["layers_command"]


@command("layers")
@click.option("--layers", "names", metavar="NAME[,NAME...]",
              help="Layers to run: Alex-6, Alex-7, Alex-8, VGG-6, VGG-7, VGG-8, NT-We, NT-Wd, "
                   "NT-LSTM.  [default: all nine]")
@click.option("--quick", is_flag=True,
              help="Run three layers: VGG-7, NT-We and NT-LSTM.")
@click.option("--machines", "machine_names", metavar="NAME[,NAME...]",
              help="Machines to run them on: isca2016, tuned.  [default: both]")
@renamed_option("--presets", "--machines", "machine_names")
@click.option("--engine", default="verilator", show_default=True,
              type=Renamed(["verilator", "cycle-model"], rtl="verilator", model="cycle-model"),
              help="Run the Verilog in Verilator and compare every number, or predict the cycles "
                   "without running it.")
@click.option("--seed", type=int, default=1, show_default=True,
              help="Seed of the weights and inputs.")
@simulators_option
@renamed_option("--models", "--simulators", "cache")
@click.option("--doc", "document", type=DOCUMENT, metavar="FILE",
              help="Markdown document whose tables are replaced.")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/bench"),
              show_default=True, help="Folder for bench.json, bench.md and the plots.")
def layers_command(names: str | None, quick: bool, machine_names: str | None,
                   engine: Literal["verilator", "cycle-model"], seed: int,
                   cache: Path | None, document: Path | None, folder: Path) -> None:
    """Run the nine layers of the paper.

    Prints cycles, time, memory and energy of each layer on the published machine and on the tuned
    one, 64 PEs each. Takes about six minutes, with --quick three, and with --engine cycle-model
    half a minute. The exit code is 1 if a result differs from the golden model or a counter from
    the cycle model.
    """
    if quick and names:
        raise click.UsageError("--layers and --quick must not both be given: leave one of them out")
    if document and (engine, names, machine_names, quick) != ("verilator", None, None, False):
        raise click.UsageError("--doc must be given with all layers on all machines in Verilator: "
                               "a document shows only results that are complete and compared")

    from eie_bench.paper.nine_layers import LAYERS, MACHINES, QUICK
    from eie_bench.paper.run import prepare_folder, refresh_document, run, write_report

    layers = QUICK if quick else _choose("layers", names, LAYERS)
    machines = _choose("machines", machine_names, MACHINES)
    prepare_folder(folder)
    with progress_bar("running", log=True) as progress:
        report = run([LAYERS[name] for name in layers],
                     {name: MACHINES[name] for name in machines},
                     engine=engine, seed=seed, cache=cache,
                     progress=progress)
    write_report(report, folder)
    if document:
        refresh_document(report, document)
    for table in report.tables().values():
        _show(table)
    if not _show_verdict(report):
        sys.exit(1)


def _choose(option: str, text: str | None, known: Iterable[str]) -> list[str]:
    """Parse the names of an option, in the order of `known`."""
    names = list(known) if text is None else text.split(",")
    for name in names:
        if name not in known:
            raise click.BadParameter(f"must be some of {','.join(known)}, not {name!r}",
                                     param_hint=f"--{option}")
    return [name for name in known if name in names]


def _show(table: "Table") -> None:
    print_table(make_table(*table.columns, title=table.title), [list(row) for row in table.rows])


def _show_verdict(report: "Report") -> bool:
    """Print whether all numbers are as expected; return True if so."""
    wrong = sum(bool(one.differences) for one in report.measured)
    if wrong:
        _show(report.differences)
        make_console().print(f"{wrong} of {len(report.measured)} runs differ from the expected "
                             f"numbers.", style="red")
    elif outputs := sum(one.outputs for one in report.measured):
        make_console().print(f"All {outputs:,} results match the golden model bit for bit, and "
                             f"all counters match the cycle model.", style="green")
    return not wrong
