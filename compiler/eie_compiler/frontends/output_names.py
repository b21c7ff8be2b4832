"""Names of the outputs of a graph, as a model declares them."""

import dataclasses
from collections.abc import Sequence

from ..graph.graph import Graph, Node
from ..graph.operations import Reshape
from .common import plain_name

__all__ = ["name_outputs"]


def name_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """Give outputs their names, so that results bear those of the model.

    An output that is an input, or the same tensor as another one, becomes a copy. Other nodes whose
    names are taken get a number.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Model, not compressed; its outputs may repeat.
    names : sequence of :class:`str`
        Name of each output, which is made plain and unique.
    """
    renamed: dict[str, str] = {}
    outputs: list[str] = []
    copies: list[tuple[str, str]] = []
    for number, (source, name) in enumerate(zip(graph.outputs, names, strict=True)):
        outputs.append(plain_name(name, {*graph.inputs, *outputs}, f"output{number + 1}"))
        if source in graph.inputs or source in renamed:
            copies.append((outputs[-1], source))
        else:
            renamed[source] = outputs[-1]
    taken = {*graph.inputs, *outputs}
    for node in graph.nodes:
        if node.name not in renamed:
            renamed[node.name] = plain_name(node.name, taken, node.name)
            taken.add(renamed[node.name])
    nodes = [Node(renamed[node.name], node.computation,
                  tuple(renamed.get(name, name) for name in node.inputs)) for node in graph.nodes]
    nodes += [Node(name, Reshape(graph.shapes[source]), (renamed.get(source, source),))
              for name, source in copies]
    return dataclasses.replace(graph, nodes=tuple(nodes), outputs=tuple(outputs))
