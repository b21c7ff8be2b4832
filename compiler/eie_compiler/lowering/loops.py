"""Nodes of a graph whose convolutions run as loops, and why others do not."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph
from ..graph.layers import all_fracs, find_layers, replace_layers
from ..network import CompressedNetwork
from .loop_geometry import list_strips
from .lower import Mapping as RowMapping, lower_network
from .strips import find_pixels

__all__ = ["add_notes", "find_loops", "set_loops"]

#: Beginning of the note of a node that does not run as a loop.
_NOTE = "no loop of the machine: "


class _Failure(NamedTuple):
    """Reason why a loop is not possible.

    Attributes
    ----------
    excess : :class:`float`
        Memory that is needed, relative to that available; infinite if it is another reason.
    message : :class:`str`
        The reason.
    """

    excess: float
    message: str


def find_loops(graph: Graph, config: EIEConfig, *, mapping: RowMapping = "balanced",
               strips: Mapping[str, int] | None = None) -> Graph:
    """Set the loops of the convolutions of a graph that a machine can run as such.

    Each node of layers that begins with a convolution becomes a loop if the machine has loops, and
    the node fits it alone. A note of the graph says of each other one why it does not, unless it is
    not to be tried.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network. Loops and notes of another machine are removed.
    strips : mapping of :class:`str` to :class:`int`, optional
        Pixels of the strips of the nodes to try, by path. Default: any, of all nodes.
    """
    loops, notes = {}, {}
    graph = dataclasses.replace(graph, notes=tuple(note for note in graph.notes
                                                   if not note.startswith(_NOTE)))
    for path, network in find_layers(graph, CompressedNetwork).items():
        patches = find_pixels(network)
        if not config.loops or network.patches is None \
                or strips is not None and path not in strips:
            continue
        if patches is None:
            notes[path] = "it has preprocessing" if network.preprocessing is not None \
                else f"it has strips of {network.patches.pixels} pixels"
            continue
        tried = list_strips(patches) if strips is None else [strips[path]]
        found = _find_strip(network, config, mapping, tried)
        if isinstance(found, int):
            loops[path] = found
        else:
            notes[path] = found.message
    return add_notes(set_loops(graph, loops), notes)


def add_notes(graph: Graph, reasons: Mapping[str, str]) -> Graph:
    """Add notes that say why nodes are no loops.

    Parameters
    ----------
    reasons : mapping of :class:`str` to :class:`str`
        Reason by the path of the node.
    """
    return dataclasses.replace(graph, notes=(*graph.notes, *(
        f"{_NOTE}node {path!r}: {reason}" for path, reason in reasons.items())))


def _find_strip(network: CompressedNetwork, config: EIEConfig, mapping: RowMapping,
                tried: Iterable[int]) -> int | _Failure:
    """Find the first strip that fits; or the reason of that which lacks the least memory."""
    assert network.patches is not None
    failures = []
    for strip in tried:
        try:
            loop = dataclasses.replace(network, patches=dataclasses.replace(network.patches,
                                                                            loop=strip))
            shortages = lower_network(loop, config, mapping=mapping) \
                .needs.find_shortages(config).values()
        except CompileError as error:
            failures.append(_Failure(math.inf, str(error)))
            continue
        if not shortages:
            return strip
        failures.append(_Failure(max(shortage.excess for shortage in shortages),
                                 "; ".join(shortage.message for shortage in shortages)))
    return min(failures, key=lambda failure: failure.excess)


def set_loops(graph: Graph, loops: Mapping[str, int]) -> Graph:
    """Set the loops of nodes of a compressed network, and remove those of all others.

    Parameters
    ----------
    loops : mapping of :class:`str` to :class:`int`
        Pixels of a strip, by the path of the node.
    """
    def change(path: str, network: CompressedNetwork) -> CompressedNetwork:
        if network.patches is None or network.patches.loop == loops.get(path, 0):
            return network
        return dataclasses.replace(network, patches=dataclasses.replace(
            network.patches, loop=loops.get(path, 0)))

    return replace_layers(graph, change, all_fracs(graph).__getitem__)
