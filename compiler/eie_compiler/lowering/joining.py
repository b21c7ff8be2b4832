"""Choice of the nodes of a graph that the machine computes in one program."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Scan, Subgraph
from ..graph.layers import find_programs
from ..graph.operations.arrangement import Reshape
from ..graph.operations.pooling import MaxPool
from ..graph.subgraphs import join_nodes, make_subgraph
from ..network import CompressedNetwork
from .lower import Mapping
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
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        names = _fit(graph, _follow(graph, node), config, mapping)
        if names:
            taken.update(names)
            graph = join_nodes(graph, names)
    return graph


def _follow(graph: Graph, node: Node) -> list[str]:
    """List a node that may begin a subgraph, and those after it of which each reads one alone."""
    uses = Counter(name for one in graph.nodes for name in one.inputs)
    uses.update(graph.outputs)
    found = [node] if _begins(node) else []
    while found and uses[found[-1].name] == 1:
        after = [one for one in graph.nodes if one.inputs == (found[-1].name,)]
        if not after or not _continues(after[0]):
            break
        found += after
    return [one.name for one in found]


def _begins(node: Node) -> bool:
    """True for a loop, or for pooling before one."""
    network = node.computation
    return isinstance(network, MaxPool) or isinstance(network, CompressedNetwork) \
        and network.patches is not None and network.patches.loop > 0


def _continues(node: Node) -> bool:
    """True for a node whose operand may stay on the chip."""
    network = node.computation
    return _begins(node) or isinstance(network, Reshape) \
        or isinstance(network, CompressedNetwork) and network.patches is None


def _fit(graph: Graph, names: Sequence[str], config: EIEConfig, mapping: Mapping) -> Sequence[str]:
    """Find the most of these nodes, from the first, that fit the machine as one program."""
    stages = {node.name for node in graph.nodes if not isinstance(node.computation, Reshape)}
    for end in range(len(names), 1, -1):
        part = names[:end]
        if part[-1] in stages and len(stages.intersection(part)) > 1 \
                and _fits(make_subgraph(graph, part), config, mapping):
            return part
    return []


def _fits(subgraph: Subgraph, config: EIEConfig, mapping: Mapping) -> bool:
    try:
        return not lower_subgraph(subgraph, config, mapping=mapping).needs.find_shortages(config)
    except CompileError:
        return False


def _count_loads(graph: Graph, config: EIEConfig, mapping: Mapping) -> int:
    return len(divide_loads(config, {path: lower_named(path, network, config, mapping=mapping).needs
                                     for path, network in find_programs(graph).items()}))
