"""Choice of the nodes of a graph that the machine computes in one program."""

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence, Set

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Scan, Subgraph
from ..graph.layers import find_layers, find_programs
from ..graph.operation import Operation
from ..graph.operations.arrangement import Concat, Reshape
from ..graph.operations.elementwise import Add, Affine, Subtract
from ..graph.operations.pooling import AveragePool, MaxPool, Mean
from ..graph.operations.quantisation import Quantise
from ..graph.subgraphs import join_nodes, make_subgraph
from ..graph_build import walk_uses
from ..network import CompressedNetwork
from .capacity import Needs
from .loops import find_loops, set_loops
from .lower import Mapping as RowMapping
from .pooling import average_layers, describe_rounding
from .programs import divide_loads, lower_named
from .scaled_sums import find_sums
from .strip_choice import choose_strips, estimate_cycles
from .subgraphs import is_relu, lower_subgraph

__all__ = ["APART", "JOINED", "ON_HOST", "ROUNDED", "advise_memories", "count_loads",
           "estimate_graph", "join_programs", "remove_notes"]

#: Beginnings of the notes of what is left to the host, of what could be one program, of what is one
#: at a cost, and of means that differ from those of the host.
ON_HOST, APART, JOINED = "computed by the host: ", "nodes stay apart: ", "nodes are joined: "
ROUNDED = "rounded otherwise than by the host: "


def join_programs(graph: Graph, config: EIEConfig, *, mapping: RowMapping = "balanced",
                  strips: Mapping[str, int] | None = None) -> Graph:
    """Join nodes to subgraphs, as many as fit the machine.

    A subgraph begins with a convolution that can be a loop, or with maximum pooling, and depends on
    the operand of this node alone. All its convolutions are loops. The others stay as they are. A
    note of the graph says why the host computes an operation that the machine knows.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network without loops, subgraphs, and notes of another machine.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    strips : mapping of :class:`str` to :class:`int`, optional
        Pixels of the strips of the convolutions to try, by path. Default: those that
        :func:`~.strip_choice.choose_strips` chooses, of all.
    """
    if not config.loops:
        quantised = sum(isinstance(node.computation, Quantise) for _, node in graph.walk())
        if quantised < 2:    # that of the input
            return graph
        note = f"{ON_HOST}quantisation of {quantised} tensors: loops and scales must be true for it"
        return dataclasses.replace(graph, notes=(*graph.notes, note))
    loops = find_loops(graph, config, mapping=mapping, strips=strips)
    if strips is None:
        strips = choose_strips(loops, config, mapping=mapping)
    found = {path: strips.get(path, network.patches.loop)
             for path, network in find_layers(loops, CompressedNetwork).items()
             if network.patches and network.patches.loop}
    joining = _Joining(config, mapping)
    joined = joining.join(set_loops(graph, found))
    notes = [f"{ON_HOST}node {path!r}: "
             f"{joining.reasons[path].removeprefix(f'node {node.name!r}: ')}"
             for path, node in joined.walk()
             if path in joining.reasons and isinstance(node.computation, Operation)
             and not isinstance(node.computation, Reshape)]
    return dataclasses.replace(set_loops(joined, {}), notes=(*joined.notes, *notes))


def remove_notes(graph: Graph) -> Graph:
    """Remove the notes of another machine on what is joined and what is not."""
    return dataclasses.replace(graph, notes=tuple(
        note for note in graph.notes if not note.startswith(
            (ON_HOST, APART, JOINED, ROUNDED))))


def estimate_graph(graph: Graph, strips: Mapping[str, int], config: EIEConfig, *,
                   mapping: RowMapping) -> float:
    """Estimate the cycles of all programs of an inference, without the host's operations.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Network with its loops and subgraphs, before its strips are made.
    strips : mapping of :class:`str` to :class:`int`
        Pixels of its strips by path.
    """
    cycles = 0.0
    for use in walk_uses(graph):
        network = use.node.computation
        if isinstance(network, Subgraph):
            cycles += use.times * lower_subgraph(network, config, mapping=mapping).loop_cycles
        elif isinstance(network, CompressedNetwork):
            vectors = 1 if network.patches else math.prod(use.operands[0][:-1])
            cycles += use.times * vectors * estimate_cycles(
                network, config, strips.get(use.path, 1), mapping=mapping)
    return cycles


def count_loads(graph: Graph, config: EIEConfig, *, mapping: RowMapping) -> int:
    """Count the loads of the programs of a graph."""
    return len(divide_loads(config, _measure_programs(graph, config, mapping)))


def advise_memories(graph: Graph, config: EIEConfig, *, mapping: RowMapping) -> str:
    """Say what memories lack for all programs of a graph to be one load."""
    needs = functools.reduce(operator.or_, _measure_programs(graph, config, mapping).values())
    return "; ".join(shortage.message for shortage in needs.find_shortages(config).values()) \
        or "raise their depths"


def _measure_programs(graph: Graph, config: EIEConfig, mapping: RowMapping) -> dict[str, Needs]:
    """Measure the memory that each program of a graph needs."""
    return {path: lower_named(path, network, config, mapping=mapping).needs
            for path, network in find_programs(graph).items()}


class _Joining:
    """Joining of the nodes of a graph.

    Attributes
    ----------
    reasons : :class:`dict` of :class:`str` to :class:`str`
        Why a node is not in the program of the nodes before it, by path.
    """

    def __init__(self, config: EIEConfig, mapping: RowMapping) -> None:
        self.reasons: dict[str, str] = {}
        self._config, self._mapping = config, mapping

    def join(self, graph: Graph, prefix: str = "") -> Graph:
        """Join nodes wherever it is possible, also in the bodies of scans."""
        graph = dataclasses.replace(graph, nodes=tuple(
            dataclasses.replace(node, computation=node.computation.change_body(
                functools.partial(self.join, prefix=f"{prefix}{node.name}/")))
            if isinstance(node.computation, Scan) else node for node in graph.nodes))
        for node in graph.nodes:
            if node in graph.nodes and (    # not joined with a node before it
                    _begins(node) or not prefix and self._begins_scaled(graph, node)):
                graph = self._join_most(graph, node, prefix)
        return graph

    def _begins_scaled(self, graph: Graph, node: Node) -> bool:
        """True for layers of a vector whose results have scales of the machine."""
        return self._config.scales and isinstance(node.computation, CompressedNetwork) \
            and len(graph.shapes[node.inputs[0]]) == 1 \
            and any(isinstance(reader.computation, (Affine, Quantise)) for reader in graph.nodes
                    if node.name in reader.inputs)

    def _join_most(self, graph: Graph, first: Node, prefix: str) -> Graph:
        """Join the most nodes from this one on that fit the machine as one program."""
        for nodes in _cut(graph, self._follow(graph, first)):
            try:
                return self._join_all(graph, first.inputs[0], nodes)
            except CompileError as error:    # too little memory, or a node is no loop
                self.reasons[prefix + nodes[-1].name] = str(error)
        return graph

    def _follow(self, graph: Graph, first: Node) -> list[Node]:
        """List the nodes that depend only on a node and its operand, in an order of computation.
        """
        names, found = {*first.inputs}, list[Node]()
        absorbed = {name for total in find_sums(graph).values() for name in total.absorbed}
        for node in graph.nodes:
            if node is first or found and names.issuperset(node.inputs) \
                    and self._continues(graph, node, absorbed):
                names.add(node.name)
                found.append(node)
        return found

    def _continues(self, graph: Graph, node: Node, absorbed: Set[str]) -> bool:
        """True for a node whose operands may stay on the chip; sums absorb some scales."""
        network = node.computation
        if isinstance(network, Affine):
            return self._config.scales and (node.name in absorbed or any(
                isinstance(before.computation, (AveragePool, CompressedNetwork, Mean))
                for before in graph.nodes if before.name == node.inputs[0]))
        return _begins(node) or is_relu(node) \
            or isinstance(network, (Add, AveragePool, Concat, Mean, Quantise, Reshape, Subtract)) \
            or isinstance(network, CompressedNetwork) and network.patches is None

    def _join_all(self, graph: Graph, operand: str, nodes: Sequence[Node]) -> Graph:
        """Join nodes; raise :class:`CompileError` if they are no program of the machine."""
        if sum(not isinstance(node.computation, (Concat, Reshape)) for node in nodes) == 1:
            raise CompileError("a program must have more than one node, to save anything")
        for node in () if self._config.local else nodes:
            if isinstance(node.computation, (Add, AveragePool, Mean, Subtract)) or is_relu(node):
                raise CompileError(f"node {node.name!r}: local must be true for sums and means, or "
                                   "they would be too slow")
        subgraph = make_subgraph(graph, operand, nodes)
        lower_subgraph(subgraph, self._config, mapping=self._mapping) \
            .needs.require_fit(self._config)
        notes = [f"{ROUNDED}node {node.name!r}: {note}" for node in nodes
                 if (note := self._describe_means(graph, node))]
        return dataclasses.replace(join_nodes(graph, subgraph), notes=(*graph.notes, *notes))

    def _describe_means(self, graph: Graph, node: Node) -> str | None:
        """Describe how the means of a node differ from those of the host."""
        fracs = graph.fracs or {}
        means = average_layers(self._config, node.computation, graph.shapes[node.inputs[0]],
                               frac=fracs[node.inputs[0]], to=fracs[node.name])
        return None if means is None else describe_rounding(self._config, means)


def _cut(graph: Graph, nodes: Sequence[Node]) -> list[list[Node]]:
    """List the beginnings of these nodes with a single result, the longest first.

    Nodes on which the result does not depend are left out.
    """
    readers: dict[str, set[str]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, set()).add(node.name)
    found = []
    for last in reversed(nodes[1:]):
        part, needed = list[Node](), {last.name}
        for node in reversed(nodes[:nodes.index(last) + 1]):
            if node.name in needed:
                part.insert(0, node)
                needed.update(node.inputs)
        inside = {node.name for node in part}
        if nodes[0].name in inside and not any(
                name in graph.outputs or readers.get(name, set()) - inside
                for name in inside - {last.name}):
            found.append(part)
    return found


def _begins(node: Node) -> bool:
    """True for a loop, or for pooling before one."""
    network = node.computation
    return isinstance(network, MaxPool) or isinstance(network, CompressedNetwork) \
        and network.patches is not None and network.patches.loop > 0
