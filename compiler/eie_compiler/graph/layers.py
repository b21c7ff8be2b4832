"""Layers and formats of a whole graph, bodies of scans included."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from ..model import Model
from ..network import CompressedNetwork
from .graph import Graph, Recurrence, Scan, Subgraph

__all__ = ["Program", "all_fracs", "find_layers", "find_programs", "layer_names", "replace_layers"]

#: What is a program of the machine in a compressed network.
Program = CompressedNetwork | Subgraph | Recurrence

_Layers = TypeVar("_Layers", Model, CompressedNetwork)


def all_fracs(graph: Graph, prefix: str = "") -> dict[str, int]:
    """Fraction bits of all inputs and nodes of a compressed network, by path."""
    assert graph.fracs is not None
    fracs = {prefix + name: frac for name, frac in graph.fracs.items()}
    for node in graph.nodes:
        if isinstance(node.computation, Scan):
            fracs |= all_fracs(node.computation.body, f"{prefix}{node.name}/")
    return fracs


def find_layers(graph: Graph, kind: type[_Layers]) -> dict[str, _Layers]:
    """Find the layers of all nodes, of a model or of a compressed network, by path."""
    return {path: node.computation for path, node in graph.walk()
            if isinstance(node.computation, kind)}


def find_programs(graph: Graph) -> dict[str, Program]:
    """Find what is a program of the machine in a compressed network, by path."""
    return {path: node.computation for path, node in graph.walk()
            if isinstance(node.computation, Program)}


def layer_names(path: str, layers: Model | CompressedNetwork) -> list[str]:
    """Name each layer of a node by the path of the node, and by its own name if there are several.
    """
    if len(layers.layers) == 1:
        return [path]
    return [f"{path}/{layer.name}" for layer in layers.layers]


def replace_layers(graph: Graph, replace: Callable[[str, Any], Model | CompressedNetwork],
                   frac_of: Callable[[str], int] | None = None, prefix: str = "") -> Graph:
    """Replace the layers of all nodes, bodies of scans included, and set the formats.

    Parameters
    ----------
    replace : function of path and layers
        Computes the new layers of a node.
    frac_of : function of a path, optional
        Fraction bits of an input or of the result of a node. None: the graph has no formats.
    prefix : :class:`str`
        Path of the graph.
    """
    nodes = []
    for node in graph.nodes:
        computation, path = node.computation, prefix + node.name
        if isinstance(computation, Scan):
            body = replace_layers(computation.body, replace, frac_of, f"{path}/")
            computation = dataclasses.replace(computation, body=body)
        elif isinstance(computation, (Model, CompressedNetwork)):
            computation = replace(path, computation)
        nodes.append(dataclasses.replace(node, computation=computation))
    fracs = frac_of and {name: frac_of(prefix + name) for name in graph.shapes}
    return dataclasses.replace(graph, nodes=tuple(nodes), fracs=fracs)
