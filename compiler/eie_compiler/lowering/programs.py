"""Compilation of several networks to programs that share memory images."""

from collections.abc import Mapping as MappingType

from eie_hdl.config import EIEConfig

from ..build import Build
from ..errors import CompileError
from ..network import CompressedNetwork
from .load import make_load
from .lowered_network import LoweredNetwork, Mapping, Outputs, lower_network

__all__ = ["compile_programs"]


def compile_programs(networks: MappingType[str, CompressedNetwork], config: EIEConfig, *,
                     mapping: Mapping = "balanced", outputs: Outputs = "last",
                     keep_dead_rows: bool = False) -> dict[str, Build]:
    """Compile networks for a machine, as many in one load as its memories hold.

    A load is a set of memory images for successive networks. Their builds have the same object
    `images`, and the programs begin at their `first_descriptor`.

    Parameters
    ----------
    networks : mapping of :class:`str` to :class:`~..network.CompressedNetwork`
        Networks by name, in the order in which they are run.
    mapping, outputs, keep_dead_rows
        As for :func:`~.lowered_network.lower_network`, for all networks.

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
    lowered = {}
    for name, network in networks.items():
        try:
            lowered[name] = lower_network(network, config, mapping=mapping, outputs=outputs,
                                          keep_dead_rows=keep_dead_rows)
        except CompileError as error:
            raise CompileError(f"network {name!r}: {error}") from error
    _require_fit(config, lowered)
    builds: dict[str, Build] = {}
    for names in _divide(config, lowered):
        builds |= zip(names, make_load(config, [lowered[name] for name in names]))
    return builds


def _require_fit(config: EIEConfig, lowered: MappingType[str, LoweredNetwork]) -> None:
    """Check that each network fits alone."""
    found = [(parameter, shortage.excess, f"network {name!r}: {shortage.message}")
             for name, network in lowered.items()
             for parameter, shortage in network.needs.find_shortages(config).items()]
    greatest = {parameter: message for parameter, _, message
                in sorted(found, key=lambda shortage: shortage[1])}
    if greatest:
        raise CompileError("; ".join(greatest.values()))


def _divide(config: EIEConfig, lowered: MappingType[str, LoweredNetwork]) -> list[list[str]]:
    """Divide networks into loads."""
    loads: list[list[str]] = []
    needs = None
    for name, network in lowered.items():
        joined = needs | network.needs if needs else network.needs
        if needs is None or joined.find_shortages(config):
            loads.append([])
            joined = network.needs
        loads[-1].append(name)
        needs = joined
    return loads
