"""`eie bench fit`: machines for the networks of the benchmarks, as of `eie fit`."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import make_table, print_table
from ..fit import DEVICES
from ..options import FOLDER, command, published_option
from ..progress import progress_bar
from .networks import make_tasks, network_options

if TYPE_CHECKING:
    from eie_bench.lenet import Lenet
    from eie_bench.networks.task import Task
    from eie_compiler.graph.graph import Graph
    from eie_compiler.network import CompressedNetwork

__all__ = ["Case", "find_machines", "fit_command", "format_machine", "make_cases"]

#: Inputs for which cycles are predicted, the first ones.
_INPUTS = 8


@command("fit")
@network_options
@published_option
@click.option("--device", "devices", type=DEVICES, multiple=True,
              help="Device; may be given several times.  [default: all]")
@click.option("-o", "--output", "folder", type=FOLDER, default=Path("build/bench-fit"),
              show_default=True, help="Folder for fit.json and fit.md.")
def fit_command(squeezenet: Path | None, kws: Path | None, silero: Path | None,
                trained: Path | None, mnist: Path | None, published: Path | None,
                devices: tuple[str, ...], folder: Path) -> None:
    """Choose the fastest machine for each network on each device.

    As `eie fit` does, for the first eight inputs of each network, and with codes of 4 bits, but of
    8 bits for SqueezeNet and silero-vad. The digits of `eie demo` are always among the networks,
    LeNet-300-100 with --published and --mnist. A cell has the PEs and the predicted cycles of an
    inference; or what the nearest machine needs, of the cells of the device.
    """
    from eie_bench.lenet import prepare_lenet
    from eie_bench.networks.tables import Table
    from eie_compiler.files.json_file import write_json
    from eie_compiler.files.untrusted_npz import read_arrays
    from eie_hdl.files import write_file

    names = devices or tuple(DEVICES.choices)
    table = Table(("network", *names), [])
    rows: list[dict[str, Any]] = []
    with progress_bar("choosing", log=True) as progress:
        lenet = prepare_lenet(published, read_arrays(mnist), 1) if published and mnist else None
        cases = make_cases(make_tasks(squeezenet, kws, silero, trained, mnist), lenet)
        for row in find_machines(cases, names,
                                 progress=lambda step: progress(step, len(rows), len(cases))):
            rows.append(row)
            table.rows.append((row["network"], *(format_machine(row["machines"][name])
                                                 for name in names)))
            write_json(folder / "fit.json", {"rows": rows})
            write_file(folder / "fit.md", table.markdown())
    print_table(make_table(*table.columns), [list(cells) for cells in table.rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """Network and its inputs.

    Parameters
    ----------
    read : function
        Reads or compresses the network.
    inputs : (batch, ...) or mapping of :class:`str` to (batch, ...)
        Inputs for which cycles are predicted.
    """

    name: str
    read: "Callable[[], CompressedNetwork | Graph]"
    inputs: Any


def make_cases(tasks: "Iterable[Task]", lenet: "Lenet | None" = None) -> list[Case]:
    """Make the cases of the digits, of LeNet-300-100 and of tasks with the narrowest codes."""
    from eie_compiler.files.network_file import read_network
    from eie_sim.demo.digits import FOLDER, load_digits

    def read(task: "Task") -> "Callable[[], Graph]":
        return lambda: task.compress(task.read(), task.v_widths[-1])

    cases = [Case("digits", lambda: read_network(FOLDER / "digits.npz"),
                  load_digits().test[:_INPUTS])]
    if lenet is not None:
        network = lenet.network
        cases.append(Case("LeNet-300-100", lambda: network, lenet.images[:_INPUTS]))
    return cases + [Case(task.name, read(task), {name: values[:_INPUTS] for name, values
                                                 in task.inputs.items()}) for task in tasks]


def find_machines(cases: Sequence[Case], devices: Sequence[str], *,
                  progress: Callable[[str], None] = lambda step: None
                  ) -> Iterator[dict[str, Any]]:
    """Find the fastest machine of each network on each device; the nearest if none holds it.

    Returns
    -------
    iterator of :class:`dict`
        Plain JSON of a network: ``network`` and ``machines``, a proposal for each device, whose
        cycles are None if it does not fit.

    Raises
    ------
    CompileError, CompressError, FitError, FrontEndError, CycleModelError
        If a network cannot be read, no machine can run it, or Numba is missing.
    """
    from eie_flows.fit import FitError, choose, find_nearest, fit

    for case in cases:
        progress(f"{case.name}: compressing")
        network, machines = case.read(), {}
        for device in devices:
            proposals = fit(network, device, inputs=case.inputs, progress=lambda step: progress(
                f"{case.name}, {device}: {step}"))    # noqa: B023 - called in this iteration
            try:
                _, chosen = choose(proposals, device)
            except FitError:
                chosen = find_nearest(proposals)
            machines[device] = chosen.as_dict()
        yield {"network": case.name, "machines": machines}


def format_machine(machine: Mapping[str, Any]) -> str:
    """Format PEs, block RAMs and cycles of a machine, or what the device lacks."""
    n_pe = machine["config"]["n_pe"]
    pes = f"{n_pe} PE{'s' * (n_pe > 1)}"
    if machine["cycles"] is None:
        return f"{pes}: " + ", ".join(f"{what} × {factor:.1f}" for what, factor
                                     in machine["lacking"].items())
    return f"{pes}, {machine['cycles']:,.0f}"
