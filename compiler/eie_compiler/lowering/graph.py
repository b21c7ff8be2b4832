"""Compilation of a graph: a program for each node of layers, and the report."""

import dataclasses
from collections.abc import Mapping

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph, Subgraph
from ..graph.layers import find_layers, find_programs
from ..graph.subgraphs import inline_subgraphs
from ..graph_build import GraphBuild
from ..network import CompressedNetwork
from .bands import make_bands
from .dead_channels import remove_dead_channels
from .fixed_inputs import fix_inputs
from .graph_report import describe_graph
from .joining import (
    APART,
    JOINED,
    advise_memories,
    count_loads,
    estimate_graph,
    join_programs,
    remove_notes,
)
from .loop_choice import choose_loops
from .loops import find_loops, set_loops
from .lower import Mapping as RowMapping
from .programs import compile_programs
from .step_joining import keep_states
from .strips import set_strips

__all__ = ["compile_graph"]


def compile_graph(graph: Graph, config: EIEConfig, *,
                  mapping: RowMapping = "balanced",
                  strips: Mapping[str, int] | None = None,
                  keep_dead_channels: bool = False) -> GraphBuild:
    """Compile a compressed network that is a graph for a machine.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network, with formats.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs, as for :func:`~.programs.compile_programs`.
    strips : mapping of :class:`str` to :class:`int`, optional
        Pixels of the strips of convolutions by path, as for :func:`~.strips.set_strips`, which are
        loops if the machine can run them; an empty mapping makes neither strips nor loops nor
        subgraphs, and keeps those of a build. Default: those that
        :func:`~.loop_choice.choose_loops` chooses for the machine.
    keep_dead_channels : :class:`bool`
        True to keep the filters and neurons that
        :func:`~.dead_channels.remove_dead_channels` removes. They are also kept if rows are
        interleaved, as the number of such a row determines its PE.

    Raises
    ------
    CompileError
        If the machine cannot run the network; the message names the node, as a network, and says
        what to change.
    """
    if graph.fracs is None:
        raise CompileError("graph must be a compressed network, with fracs, not a model: compress "
                           "it first")
    keeps_programs = strips is not None and not strips
    if not keeps_programs:
        graph = remove_notes(inline_subgraphs(graph))
    if not find_programs(graph):
        raise CompileError("graph must have layers for the accelerator, but has none")
    networks = find_layers(graph, CompressedNetwork)
    for path, network in networks.items():
        if network.preprocessing is not None:
            raise CompileError(f"node {path!r}: layers must have no preprocessing, which is that "
                               "of an input of the graph")
    if not keep_dead_channels and mapping != "interleaved":
        graph, _ = remove_dead_channels(graph, config)
    if not keeps_programs:
        if strips is None:
            graph = make_bands(graph, config, mapping=mapping)
        graph = keep_states(_choose_programs(graph, config, mapping, strips), config,
                            mapping=mapping)
    programs = compile_programs(find_programs(graph), config, mapping=mapping)
    return GraphBuild(config, graph, mapping, programs,
                      describe_graph(config, graph, mapping, programs),
                      preprocessing=fix_inputs(config, graph))


def _choose_programs(graph: Graph, config: EIEConfig, mapping: RowMapping,
                     strips: Mapping[str, int] | None) -> Graph:
    """Join nodes unless that needs more loads; set the loops and strips of the others.

    Notes say why nodes stay apart, and what it costs the machine to join them.
    """
    joined = join_programs(set_loops(graph, {}), config, mapping=mapping, strips=strips)
    looped, pixels = _set_loops(joined, config, mapping, strips)
    joined = set_strips(looped, pixels)
    if not any(isinstance(program, Subgraph) for program in find_programs(joined).values()):
        return joined
    alone, pixels_alone = _set_loops(graph, config, mapping, strips)
    before, after = (estimate_graph(*each, config, mapping=mapping)
                     for each in ((alone, pixels_alone), (looped, pixels)))
    alone = set_strips(alone, pixels_alone)
    loads = [count_loads(each, config, mapping=mapping) for each in (alone, joined)]
    if loads[1] > loads[0]:
        advice = advise_memories(joined, config, mapping=mapping)
        return _add_note(alone, f"{APART}programs of several would need {loads[1]} loads of the "
                                f"memories, not {loads[0]}: {advice}")
    return joined if after <= before else _add_note(
        joined, f"{JOINED}programs of several take about {after:,.0f} cycles; those of single "
                f"nodes would take {before:,.0f}, and more operations and transfers of the host")


def _add_note(graph: Graph, note: str) -> Graph:
    return dataclasses.replace(graph, notes=(*graph.notes, note))


def _set_loops(graph: Graph, config: EIEConfig, mapping: RowMapping,
               strips: Mapping[str, int] | None) -> tuple[Graph, Mapping[str, int]]:
    """Set the loops of the nodes that are not joined; return also the strips to set."""
    if strips is None:
        return choose_loops(graph, config, mapping=mapping)
    strips = {path: strips[path] for path in find_layers(graph, CompressedNetwork)
              if path in strips}
    return find_loops(graph, config, mapping=mapping, strips=strips), strips
