"""Compilation of a graph: a program for each node of layers, and the report."""

from typing import Literal

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Graph
from ..graph_build import GraphBuild
from ..network import CompressedNetwork
from .graph_report import describe_graph
from .programs import compile_programs

__all__ = ["compile_graph"]


def compile_graph(graph: Graph, config: EIEConfig, *,
                  mapping: Literal["balanced", "interleaved"] = "balanced") -> GraphBuild:
    """Compile a compressed network that is a graph for a machine.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network, with formats.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs, as for :func:`~.programs.compile_programs`.

    Raises
    ------
    CompileError
        If the machine cannot run the network; the message names the node, as a network, and says
        what to change.
    """
    if graph.fracs is None:
        raise CompileError("graph must be a compressed network, with fracs, not a model: compress "
                           "it first")
    networks = {path: node.computation for path, node in graph.walk()
                if isinstance(node.computation, CompressedNetwork)}
    if not networks:
        raise CompileError("graph must have layers for the accelerator, but has none")
    for path, network in networks.items():
        if network.preprocessing is not None:
            raise CompileError(f"node {path!r}: layers must have no preprocessing, which is an "
                               "operation of a graph")
    programs = compile_programs(networks, config, mapping=mapping)
    return GraphBuild(config, graph, mapping, programs,
                      describe_graph(config, graph, mapping, programs))
