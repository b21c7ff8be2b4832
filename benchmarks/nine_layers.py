"""The nine layers of the paper on the published machine and on the tuned one; behind `make bench`.

Prints and writes tables, everything behind them, and plots. The exit code is 1 if one number that
comes out of the hardware is not what it should be. docs/benchmark.md explains the tables.
"""

import json
import sys
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eie_bench.paper.ablation import measure_ideas
from eie_bench.paper.measure import Engine, Measurement, make_simulators, measure_all
from eie_bench.paper.nine_layers import LAYERS, MACHINES, QUICK
from eie_bench.paper.plots import draw
from eie_bench.paper.report import Report
from eie_bench.paper.tables import Table, refresh, to_markdown
from eie_bench.plotting import require_matplotlib
from eie_cli.console import make_console, make_table, print_table
from eie_cli.errors import Command


class Names(click.ParamType):
    """Some of some names, separated by commas."""

    name = "names"

    def __init__(self, known):
        self._known = known

    def convert(self, value, param, ctx):
        names = value.split(",") if isinstance(value, str) else value
        for name in names:
            if name not in self._known:
                self.fail(f"must be some of {','.join(self._known)}, not {name!r}", param, ctx)
        return [name for name in self._known if name in names]


@click.command(cls=Command)
@click.option("--layers", type=Names(LAYERS), default=",".join(LAYERS), show_default=True,
              help="Layers, separated by commas.")
@click.option("--quick", is_flag=True, help=f"The same as --layers {','.join(QUICK)}.")
@click.option("--presets", type=Names(MACHINES), default=",".join(MACHINES), show_default=True,
              help="Machines, separated by commas.")
@click.option("--engine", type=click.Choice(["rtl", "model"]), default="rtl", show_default=True,
              help="The Verilog, all compared; or the cycle model alone.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of weights and inputs.")
@click.option("--models", type=click.Path(path_type=Path),
              help="Folder in which simulators are kept, instead of that of `eie cache`.")
@click.option("--doc", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Markdown document in which to replace the tables.")
@click.option("-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path),
              default=Path("build/bench"), show_default=True,
              help="Folder for bench.json, bench.md and plots.")
def main(layers: list[str], quick: bool, presets: list[str], engine: Engine, seed: int,
         models: Path | None, doc: Path | None, folder: Path) -> None:
    """Run the nine layers of the paper."""
    require_matplotlib()    # before anything takes time
    folder.mkdir(parents=True, exist_ok=True)
    if doc and (engine, layers, presets, quick) != ("rtl", list(LAYERS), list(MACHINES), False):
        raise click.UsageError("--doc must be given with all layers on all machines in RTL: what a "
                               "document shows is complete and compared")
    report = run(list(QUICK) if quick else layers, presets, engine, seed, models)
    tables = report.tables()
    (folder / "bench.json").write_text(json.dumps(report.summary(), indent=1) + "\n",
                                       encoding="utf-8")
    (folder / "bench.md").write_text("\n".join(
        f"## {table.title}\n{to_markdown(table)}" for table in tables.values()), encoding="utf-8")
    draw(report, folder)
    if doc:
        doc.write_text(refresh(doc.read_text(encoding="utf-8"), tables), encoding="utf-8")
    for table in tables.values():
        show(table)
    sys.exit(tell_verdict(report))


def run(layers: list[str], presets: list[str], engine: Engine, seed: int, models: Path) -> Report:
    """Measure everything, and show how far it is."""
    machines = {name: MACHINES[name] for name in presets}
    chosen = [LAYERS[name] for name in layers]
    place = {(layer, machine): at for at, (machine, layer) in enumerate(
        (machine, layer) for machine in presets for layer in layers)}
    console = make_console()
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                  TimeElapsedColumn(), console=console, disable=not console.is_interactive) as bar:
        task = bar.add_task("ideas, by the cycle model", total=len(layers) + len(place))
        ideas = measure_ideas(chosen, MACHINES, seed=seed, told=lambda layer: bar.advance(task))
        if engine == "rtl":
            bar.update(task, description="making the simulators")
            make_simulators(machines, models)
        bar.update(task, description="running")
        measured: list[Measurement] = []
        for one in measure_all(chosen, machines, seed=seed, engine=engine, build_root=models):
            measured.append(one)
            bar.update(task, advance=1, description=f"{one.layer.name} on {one.machine}: "
                                                    f"{one.cycles:,} cycles, {one.ratio:.3f}")
    measured.sort(key=lambda one: place[one.layer.name, one.machine])
    return Report(measured, ideas, seed)


def show(table: Table) -> None:
    """Print a table."""
    print_table(make_table(*table.columns, title=table.title), [list(row) for row in table.rows])


def tell_verdict(report: Report) -> int:
    """Say whether everything is as it should be; the exit code."""
    wrong = sum(bool(one.differences) for one in report.measured)
    if wrong:
        show(report.differences)
        make_console().print(f"{wrong} of {len(report.measured)} runs are not as they should be.",
                             style="red")
        return 1
    if outputs := sum(one.outputs for one in report.measured):
        make_console().print(f"All {outputs:,} results are those of the golden model, bit by bit, "
                             f"and all counters those of the cycle model.", style="green")
    return 0


if __name__ == "__main__":
    main()
