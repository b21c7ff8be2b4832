"""Compilation of several networks to programs that share memory images."""

from collections.abc import Mapping as MappingType

from eie_hdl.config import EIEConfig

from ..build import Build
from ..errors import CompileError
from ..graph.graph import Recurrence, Subgraph
from ..graph.layers import Program
from .capacity import Needs
from .load import make_load
from .lower import Mapping, Outputs, lower_network
from .lowered_network import Lowered
from .recurrence import lower_recurrence
from .subgraphs import lower_subgraph

__all__ = ["compile_programs", "divide_loads", "lower_named"]


def compile_programs(networks: MappingType[str, Program], config: EIEConfig, *,
                     mapping: Mapping = "balanced", outputs: Outputs = "last",
                     keep_dead_rows: bool = False) -> dict[str, Build]:
    """Compile networks for a machine, as many in one load as its memories hold.

    A load is a set of memory images for successive networks. Their builds have the same object
    `images`, and the programs begin at their `first_descriptor`.

    Parameters
    ----------
    networks : mapping of :class:`str` to :data:`~..graph.layers.Program`
        Networks, subgraphs and recurrences by name, in the order in which they are run.
    mapping, outputs, keep_dead_rows
        As for :func:`~.lower.lower_network`, for all networks.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`~..build.Build`
        Build of each network, in the same order.

    Raises
    ------
    CompileError
        If the machine cannot run a network alone. The message names each memory that is too small,
        and the network that needs most of it.
    """
    lowered = {name: lower_named(name, network, config, mapping=mapping, outputs=outputs,
                                 keep_dead_rows=keep_dead_rows)
               for name, network in networks.items()}
    _require_fit(config, lowered)
    builds: dict[str, Build] = {}
    for names in divide_loads(config, {name: each.needs for name, each in lowered.items()}):
        builds |= zip(names, make_load(config, [lowered[name] for name in names]))
    return builds


def lower_named(name: str, network: Program, config: EIEConfig, *,
                mapping: Mapping = "balanced", outputs: Outputs = "last",
                keep_dead_rows: bool = False) -> Lowered:
    """Lower a program as :func:`~.lower.lower_network` does; errors have its name."""
    try:
        if isinstance(network, Subgraph):
            return lower_subgraph(network, config, mapping=mapping)
        if isinstance(network, Recurrence):
            return lower_recurrence(network, config, mapping=mapping)
        return lower_network(network, config, mapping=mapping, outputs=outputs,
                             keep_dead_rows=keep_dead_rows)
    except CompileError as error:
        raise CompileError(f"network {name!r}: {error}") from error


def _require_fit(config: EIEConfig, lowered: MappingType[str, Lowered]) -> None:
    """Check that each network fits alone."""
    found = [(parameter, shortage.excess, f"network {name!r}: {shortage.message}")
             for name, network in lowered.items()
             for parameter, shortage in network.needs.find_shortages(config).items()]
    greatest = {parameter: message for parameter, _, message
                in sorted(found, key=lambda shortage: shortage[1])}
    if greatest:
        raise CompileError("; ".join(greatest.values()))


def divide_loads(config: EIEConfig, needs: MappingType[str, Needs]) -> list[list[str]]:
    """Divide networks into loads, in their order, by the memory that each needs."""
    loads: list[list[str]] = []
    together = None
    for name, alone in needs.items():
        joined = together | alone if together else alone
        if together is None or joined.find_shortages(config):
            loads.append([])
            joined = alone
        loads[-1].append(name)
        together = joined
    return loads
