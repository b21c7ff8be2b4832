"""Choice of the scans of a graph of which the machine keeps the states."""

import dataclasses

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Node, Recurrence, Scan
from ..graph.operation import GraphError
from .joining import APART, ON_HOST, ROUNDED, advise_memories, count_loads
from .lower import Mapping
from .recurrence import lower_recurrence
from .step_formats import describe_formats

__all__ = ["keep_states"]


def keep_states(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced") -> Graph:
    """Make recurrences of the scans whose steps the machine computes, if no more loads are needed.

    A note of the graph says why a scan is left to the host, and where results are rounded otherwise
    than by it.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network, with its other programs.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of elements to PEs.
    """
    if not config.loops:
        return graph
    for node in graph.nodes:
        # The host keeps the states of single steps, to continue a sequence in the next inference.
        # Bands of a map have none.
        if isinstance(node.computation, Scan) and graph.shapes[node.inputs[0]][0] > 1 \
                and (node.computation.states or len(graph.shapes[node.inputs[0]]) < 4):
            graph = _keep(graph, node, config, mapping)
    return graph


def _keep(graph: Graph, node: Node, config: EIEConfig, mapping: Mapping) -> Graph:
    """Make a recurrence of a scan if possible; else say why not."""
    scan = node.computation
    assert isinstance(scan, Scan)
    try:
        if len(node.inputs) > 1:
            raise CompileError("states must be zeros before the first step")
        recurrence = Recurrence(scan, graph.shapes[node.inputs[0]][0])
        lower_recurrence(recurrence, config, mapping=mapping).needs.require_fit(config)
    except (CompileError, GraphError) as error:
        return _add_notes(graph, f"{ON_HOST}node {node.name!r}: {error}")
    made = dataclasses.replace(graph, nodes=tuple(
        dataclasses.replace(node, computation=recurrence) if each is node else each
        for each in graph.nodes))
    before, after = (count_loads(each, config, mapping=mapping) for each in (graph, made))
    if after > before:
        advice = advise_memories(made, config, mapping=mapping)
        return _add_notes(graph, f"{APART}the step of node {node.name!r} would need {after} loads "
                                 f"of the memories, not {before}: {advice}")
    return _add_notes(made, *(f"{ROUNDED}node {node.name!r}: {note}"
                              for note in describe_formats(scan, config)))


def _add_notes(graph: Graph, *notes: str) -> Graph:
    return dataclasses.replace(graph, notes=(*graph.notes, *notes))
