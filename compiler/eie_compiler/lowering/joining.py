"""Choice of the nodes of a graph that the machine computes in one program."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Scan
from ..graph.layers import find_programs
from ..graph.operations.arrangement import Reshape
from ..graph.operations.pooling import AveragePool, MaxPool, Mean
from ..graph.subgraphs import join_nodes, make_subgraph
from ..network import CompressedNetwork
from .lower import Mapping
from .pooling import average_layers
from .programs import divide_loads, lower_named
from .subgraphs import lower_subgraph

__all__ = ["join_programs"]


def join_programs(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced") -> Graph:
    """Join nodes that follow one another to subgraphs, as many as fit the machine.

    A subgraph begins with a convolution that is a loop, or with maximum pooling. Nodes stay apart
    if the graph would need more loads of the memories otherwise.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network with its loops and strips, and without subgraphs.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    """
    if not config.loops:
        return graph
    joined = _join(graph, config, mapping)
    return joined if _count_loads(joined, config, mapping) <= _count_loads(graph, config, mapping) \
        else graph


def _join(graph: Graph, config: EIEConfig, mapping: Mapping) -> Graph:
    """Join nodes wherever it is possible, also in the bodies of scans."""
    graph = dataclasses.replace(graph, nodes=tuple(
        dataclasses.replace(node, computation=node.computation.change_body(
            lambda body: _join(body, config, mapping)))
        if isinstance(node.computation, Scan) else node for node in graph.nodes))
    for name in [node.name for node in graph.nodes]:
        if name in graph.shapes:    # not joined with a node before it
            graph = _join_most(graph, _follow(graph, name, config), config, mapping)
    return graph


def _follow(graph: Graph, name: str, config: EIEConfig) -> list[Node]:
    """List a node that may begin a subgraph, and those after it of which each reads one alone."""
    uses = Counter(name for one in graph.nodes for name in one.inputs)
    uses.update(graph.outputs)
    found = [one for one in graph.nodes if one.name == name and _begins(one)]
    while found and uses[found[-1].name] == 1:
        after = [one for one in graph.nodes if one.inputs == (found[-1].name,)]
        if not after or not _continues(after[0], config):
            break
        found += after
    return found


def _begins(node: Node) -> bool:
    """True for a loop, or for pooling before one."""
    network = node.computation
    return isinstance(network, MaxPool) or isinstance(network, CompressedNetwork) \
        and network.patches is not None and network.patches.loop > 0


def _continues(node: Node, config: EIEConfig) -> bool:
    """True for a node whose operand may stay on the chip; means would be too slow if broadcast."""
    network = node.computation
    return _begins(node) or isinstance(network, Reshape) \
        or isinstance(network, (AveragePool, Mean)) and config.local \
        or isinstance(network, CompressedNetwork) and network.patches is None


def _join_most(graph: Graph, nodes: Sequence[Node], config: EIEConfig, mapping: Mapping) -> Graph:
    """Join the most of these nodes, from the first, that fit the machine as one program."""
    for end in range(len(nodes), 1, -1):
        notes: list[str] = []
        part: list[Node] = []
        try:
            for node in nodes[:end]:
                part += _lower_means(graph, node, config, notes)
            stages = [node for node in part if not isinstance(node.computation, Reshape)]
            subgraph = make_subgraph(graph, part)
            if len(stages) > 1 and not lower_subgraph(
                    subgraph, config, mapping=mapping).needs.find_shortages(config):
                return dataclasses.replace(join_nodes(graph, subgraph),
                                           notes=(*graph.notes, *notes))
        except CompileError:    # a node is no loop of this machine
            continue
    return graph


def _lower_means(graph: Graph, node: Node, config: EIEConfig, notes: list[str]
                 ) -> Sequence[Node]:
    """Make layers of a node that computes means, and leave any other one; add to the notes."""
    if not isinstance(node.computation, (AveragePool, Mean)):
        return [node]
    if (found := average_layers(config, graph, node)) is None:
        raise CompileError(f"node {node.name!r}: windows must have as many elements as each other")
    if found.note is not None:
        notes.append(found.note)
    return found.nodes


def _count_loads(graph: Graph, config: EIEConfig, mapping: Mapping) -> int:
    return len(divide_loads(config, {path: lower_named(path, network, config, mapping=mapping).needs
                                     for path, network in find_programs(graph).items()}))
