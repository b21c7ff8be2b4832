"""Compilation of a compressed network to a build."""

from eie_hdl.config import EIEConfig

from ..build import Build
from ..network import CompressedNetwork
from .load import make_load
from .lower import Mapping, Outputs, lower_network

__all__ = ["compile_network"]


def compile_network(network: CompressedNetwork, config: EIEConfig, *,
                    mapping: Mapping = "balanced", outputs: Outputs = "last",
                    keep_dead_rows: bool = False) -> Build:
    """Compile a network for a machine.

    Parameters
    ----------
    mapping, outputs, keep_dead_rows
        As for :func:`~.lower.lower_network`.

    Raises
    ------
    CompileError
        If the machine cannot run the network; the message says what to change, in all memories that
        are too small.
    """
    lowered = lower_network(network, config, mapping=mapping, outputs=outputs,
                            keep_dead_rows=keep_dead_rows)
    lowered.needs.require_fit(config)
    (build,) = make_load(config, [lowered])
    return build
