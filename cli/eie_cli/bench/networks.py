"""`eie bench networks`: published networks and probes, through the accelerator."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..console import make_console, make_table, print_table
from ..options import FILE, FOLDER, INPUT_FOLDER, command, simulators_option
from ..progress import progress_bar

if TYPE_CHECKING:
    from eie_bench.networks.measure import Row
    from eie_bench.networks.task import Task

__all__ = ["make_tasks", "network_options", "networks_command"]

Function = TypeVar("Function", bound=Callable[..., Any])


#: Options of networks and their data.
_OPTIONS = (
    click.option("--squeezenet", type=INPUT_FOLDER, metavar="FOLDER",
                  help="Folder of the compressed SqueezeNet, its topology and pictures.  "
                       "[default: left out]"),
    click.option("--kws", type=INPUT_FOLDER, metavar="FOLDER",
                  help="Folder of the networks for keyword spotting and their clips.  [default: "
                       "left out]"),
    click.option("--silero", type=FILE, metavar="FILE.onnx",
                  help="silero_vad_16k_op15.onnx of the package silero-vad.  [default: left out]"),
    click.option("--trained", type=INPUT_FOLDER, metavar="FOLDER",
                  help="Folder of `make convolutional`, or examples/convolutional/trained.  "
                       "[default: left out]"),
    click.option("--mnist", type=FILE, metavar="DATA.npz",
                  help="File of test_images and test_labels, for --trained.  [default: random "
                       "images, without accuracy]"))


def network_options(function: Function) -> Function:
    """Add the options of networks and their data, as of :func:`make_tasks`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def make_tasks(squeezenet: Path | None, kws: Path | None, silero: Path | None,
               trained: Path | None, mnist: Path | None, *, quick: bool = False) -> "list[Task]":
    """Make the tasks of the networks that are given; print what is left out."""
    from eie_bench.networks.published import make_keyword_spotting, make_squeezenet
    from eie_bench.networks.silero import make_silero
    from eie_bench.networks.trained import make_trained

    for names, option, given in (
            ("the networks for MNIST", "--trained", trained),
            ("accuracy on MNIST", "--mnist", mnist or not trained),
            ("SqueezeNet", "--squeezenet", squeezenet or quick),
            ("silero-vad", "--silero", silero or quick),
            ("keyword spotting", "--kws", kws)):
        if not given:
            click.echo(f"left out, as {option} is not given: {names}", err=True)
    return [
        *(make_trained(trained, mnist, quick=quick) if trained else ()),
        *([make_squeezenet(squeezenet)] if squeezenet else ()),
        *([make_silero(silero)] if silero else ()),
        *(make_keyword_spotting(kws, quick=quick) if kws else ())]


@command("networks")
@network_options
@click.option("--probes", type=INPUT_FOLDER, metavar="FOLDER",
              help="Folder of small models in ONNX, which get random inputs.  [default: left out]")
@click.option("--quick", is_flag=True,
              help="Of --kws one network with codes of 4 bits, and fewer inputs of all.")
@click.option("--verilog/--no-verilog", default=True, show_default=True,
              help="Run the first inputs of each network in Verilog too.")
@simulators_option
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/bench-networks"),
              show_default=True, help="Folder for networks.json and networks.md.")
def networks_command(squeezenet: Path | None, kws: Path | None, silero: Path | None,
                     trained: Path | None, mnist: Path | None, probes: Path | None, quick: bool,
                     verilog: bool, cache: Path | None, folder: Path) -> None:
    """Measure whole networks: accuracy, and every result in Verilog.

    Each network is run in floating point, in the arithmetic of the machine with codes of 8 and 4
    bits for all inputs, and in Verilog on 16 PEs for some, where every result of every layer is
    compared with the golden model. A network that cannot be run has a row with the reason. The exit
    code is 1 if a network does not run, none of its results is compared in Verilog, a result
    differs there, or floating point differs from another implementation by more than 0.0001 of the
    largest result, which counts as one number that differs. So does each result of a probe that
    differs from the model by more than is proven possible.
    """
    from eie_bench.networks.measure import measure_all
    from eie_bench.networks.probes import make_probes
    from eie_bench.networks.tables import (
        find_faults,
        headline,
        make_tables,
        markdown,
        summarise,
    )
    from eie_compiler.files.json_file import write_json
    from eie_hdl.files import write_file

    if not probes:
        click.echo("left out, as --probes is not given: probes", err=True)
    tasks = [*(make_probes(probes) if probes else ()),
             *make_tasks(squeezenet, kws, silero, trained, mnist, quick=quick)]
    if not tasks:
        raise click.UsageError("there must be --squeezenet, --kws, --silero, --trained or "
                               "--probes, with networks")
    rows: list[Row] = []
    with progress_bar("measuring", log=True) as progress:
        for row in measure_all(tasks, verilog=verilog, cache=cache,
                               progress=lambda step: progress(step, len(rows), len(tasks))):
            rows.append(row)
            write_json(folder / "networks.json", {"rows": summarise(rows)})
            write_file(folder / "networks.md", markdown(summarise(rows)))
    for table in make_tables(summarise(rows)):
        print_table(make_table(*table.columns), [list(cells) for cells in table.rows])
    faults = [f"{row['name']} {fault}" for row in summarise(rows)
              for fault in find_faults(row, verilog=verilog)]
    for fault in faults:
        make_console().print(fault, style="yellow")
    click.echo(headline(summarise(rows), verilog=verilog))
    if faults:
        sys.exit(1)
