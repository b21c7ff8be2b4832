"""Choice between loops of the machine and strips that the host sends."""

from eie_hdl.config import EIEConfig

from ..graph.graph import Graph
from ..graph.layers import find_layers
from ..network import CompressedNetwork
from .loops import add_notes, find_loops, set_loops
from .lower import Mapping
from .programs import divide_loads, lower_named
from .strip_choice import choose_strips, estimate_cycles
from .strips import set_strips

__all__ = ["choose_loops"]


def choose_loops(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced"
                 ) -> tuple[Graph, dict[str, int]]:
    """Choose the loops of a graph, and the strips of all its convolutions.

    A convolution that fits the machine as a loop becomes one unless strips need fewer cycles, by
    :func:`~.strip_choice.estimate_cycles`. There are no loops at all if they need more loads than
    strips do. A note of the graph says why a convolution is no loop.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network. Loops and notes of another machine are removed.

    Returns
    -------
    graph : :class:`~..graph.graph.Graph`
        The graph with loops.
    strips : :class:`dict` of :class:`str` to :class:`int`
        Pixels of the strips, and of those of loops, by path, for :func:`~.strips.set_strips`.

    Raises
    ------
    CompileError
        As from :func:`~.strip_choice.choose_strips`.
    """
    graph = find_loops(graph, config, mapping=mapping)
    loops, found = _list_loops(graph), choose_strips(graph, config, mapping=mapping)
    if not loops:
        return graph, found
    networks = find_layers(graph, CompressedNetwork)
    plain = set_loops(graph, {})
    strips = choose_strips(plain, config, mapping=mapping)
    notes = {}
    for path, network in find_layers(plain, CompressedNetwork).items():
        if path in loops:
            pixels = strips.get(path, 1)
            looped, stripped = (
                estimate_cycles(each, config, n, mapping=mapping)
                for each, n in ((networks[path], found.get(path, loops[path])),
                                (network, pixels)))
            if stripped < looped:
                kind = f"strips of {pixels} pixels" if pixels > 1 else "single pixels"
                notes[path] = f"{kind} need fewer cycles, about {stripped:,.0f} instead of " \
                              f"{looped:,.0f}"
    kept = {path: pixels for path, pixels in loops.items() if path not in notes}
    graph = add_notes(set_loops(graph, kept), notes)
    if notes:
        found = choose_strips(graph, config, mapping=mapping)
    loads, enough = (_count_loads(each, config, n, mapping)
                     for each, n in ((graph, found), (plain, strips)))
    if loads <= enough:
        return graph, found
    reason = f"loops need {loads} loads of the memories, strips only {enough}"
    return add_notes(set_loops(graph, {}), dict.fromkeys(kept, reason)), strips


def _list_loops(graph: Graph) -> dict[str, int]:
    """List the pixels of the strips of all loops by path."""
    return {path: network.patches.loop
            for path, network in find_layers(graph, CompressedNetwork).items()
            if network.patches and network.patches.loop}


def _count_loads(graph: Graph, config: EIEConfig, strips: dict[str, int], mapping: Mapping) -> int:
    networks = find_layers(set_strips(graph, strips), CompressedNetwork)
    return len(divide_loads(config, {
        path: lower_named(path, network, config, mapping=mapping).needs
        for path, network in networks.items()}))
