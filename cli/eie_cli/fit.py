"""`eie fit`: machines that hold a network on a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.text import Text

from eie_hdl.config import EIEConfig

from .console import Cell, make_table, print_table, working
from .options import FILE, NETWORK, OUTPUT_FILE, command

if TYPE_CHECKING:
    from eie_flows.fit import Proposal

__all__ = ["DEVICES", "find_machine", "fit_command", "fit_option"]

#: Names of devices, in :data:`eie_flows.devices.DEVICES`.
DEVICES = click.Choice(["ecp5-25", "ecp5-45", "ecp5-85", "artix7-100", "up5k", "asic"])


#: Device for which a command chooses the machine.
fit_option = click.option(
    "--fit", type=DEVICES,
    help="Device for which `eie fit` chooses the fastest machine, instead of --config, --preset "
         "and --pes.  [default: none]")


@command("fit")
@click.argument("network", type=NETWORK)
@click.option("--device", type=DEVICES, default="ecp5-85", show_default=True,
              help="FPGA, or an ASIC, whose memories are macros of any size.")
@click.option("--max-cycles", type=click.FloatRange(min=1), metavar="N",
              help="Most predicted cycles of an inference.  [default: no limit]")
@click.option("--input", "inputs", type=FILE, metavar="X.npy",
              help="Inputs for which cycles are predicted, as for `eie run`; at most 32, evenly "
                   "spread.  [default: random inputs without zeros]")
@click.option("-o", "--output", type=OUTPUT_FILE, metavar="FILE.toml",
              help="File for the configuration: the smallest machine with --max-cycles, else the "
                   "fastest.  [default: none]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def fit_command(network: Path, device: str, max_cycles: float | None, inputs: Path | None,
                output: Path | None, as_json: bool) -> None:
    """Propose machines that hold a network.

    NETWORK is a file written by `eie compress`. For each number of PEs, the memories get the size
    that all weights, pointers, biases, codebooks, vectors and descriptors need, and the rest of
    the block RAMs that they then take; if the device has room, also for strips of pixels of the
    convolutions of a graph. The table has the block RAMs and multipliers of each machine, LUTs
    estimated from synthesised machines, and cycles of an inference, back to back with others, of
    what `eie compile` makes, by the cycle model. Nothing is synthesised. Needs the extra
    [bench].
    """
    from eie_compiler.files.json_file import to_json
    from eie_hdl.files import write_file

    proposals, smallest, fastest = _fit(network, device, max_cycles, inputs)
    if as_json:
        click.echo(to_json({"network": network.name, "device": device,
                            "machines": [one.as_dict() for one in proposals],
                            "smallest": proposals.index(smallest),
                            "fastest": proposals.index(fastest)}))
    else:
        _show(network, device, proposals, smallest, fastest)
    if output:
        chosen = smallest if max_cycles else fastest
        write_file(output, _to_toml(chosen.config))
        click.echo(f"{output}: {_describe(chosen)}", err=as_json)


def find_machine(network: Path, device: str) -> EIEConfig:
    """Return the fastest machine that holds a network, for a command without another machine."""
    source = click.get_current_context().get_parameter_source
    if any(source(name) is ParameterSource.COMMANDLINE for name in ("file", "preset", "pes")):
        raise click.UsageError("--fit chooses the machine: leave out --config, --preset and --pes")
    _, _, fastest = _fit(network, device, None, None)
    return fastest.config


def _fit(network: Path, device: str, max_cycles: float | None, inputs: Path | None
         ) -> "tuple[list[Proposal], Proposal, Proposal]":
    from eie_compiler.files.graph_file import read_any
    from eie_compiler.files.untrusted_npz import read_array
    from eie_compiler.graph.graph import Graph
    from eie_flows.fit import choose, fit

    from .run_graph import read_inputs

    read = read_any(network)
    read_given = read_inputs if isinstance(read, Graph) else read_array
    with working("choosing machines") as step:
        proposals = fit(read, device, inputs=inputs and read_given(inputs), progress=step)
    return proposals, *choose(proposals, device, max_cycles=max_cycles)


def _show(network: Path, device: str, proposals: "list[Proposal]", smallest: "Proposal",
          fastest: "Proposal") -> None:
    from eie_flows.devices import DEVICES as devices
    from eie_flows.logic import measured_error

    part = devices[device]
    print_table(make_table("PEs", "accumulators", "activation rows", "block RAMs", "multipliers",
                           "LUTs", "memory, KiB", "cycles", "", title=f"{network} on {device}, "
                           f"{part.part}"),
                [_cells(one, [name for name, other in (("smallest", smallest),
                                                       ("fastest", fastest)) if one is other])
                 for one in proposals])
    if part.luts is not None:
        click.echo(f"LUTs are estimates; those of a PE were at most {measured_error():.0%} off "
                   f"for machines that were synthesised")


def _cells(proposal: "Proposal", names: list[str]) -> list[Cell]:
    config = proposal.config
    lacking = ", ".join(f"{what} × {factor:.1f}" for what, factor in proposal.lacking.items())
    return [str(config.n_pe), str(config.acc_depth), f"{config.act_depth:,}",
            f"{proposal.rams:,}" if proposal.rams else "–", f"{proposal.multipliers:,}",
            "–" if proposal.luts is None else f"{proposal.luts:,}",
            f"{proposal.memory_bits / 8192:,.1f}",
            "–" if proposal.cycles is None else f"{proposal.cycles:,.0f}",
            Text(f"too small: {lacking}", "red") if lacking else Text(", ".join(names), "green")]


def _describe(proposal: "Proposal") -> str:
    config = proposal.config
    return f"{config.n_pe} PEs, {proposal.cycles:,.0f} cycles"


def _to_toml(config: EIEConfig) -> str:
    """Format the parameters that differ from the default configuration."""
    default = EIEConfig().as_dict()

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return "".join(f"{name} = {text(value)}\n" for name, value in config.as_dict().items()
                   if value != default[name] or name == "n_pe")
