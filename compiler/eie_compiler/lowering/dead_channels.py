"""Removal of filters and neurons of a graph that no result depends on, or that are constant."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.graph import Computation, Graph, Node, Scan
from ..graph.operation import Operation
from ..network import CompressedNetwork
from .arithmetic import IntegerNetwork
from .constants import find_constants
from .element_masks import Link, Mask, fill, link, select
from .live_layers import LiveLayers, RemovedRows
from .lower import require_widths

__all__ = ["remove_dead_channels"]

#: Most elements of all tensors together, each of which takes up to 30 bytes; a small file can ask
#: for any shapes.
_MAX_NUMBERS = 1 << 25


def remove_dead_channels(graph: Graph, config: EIEConfig) -> tuple[Graph, list[RemovedRows]]:
    """Remove the rows of layers that no output depends on, and those that are constant.

    All elements that remain, outputs among them, are the same words as before on this machine. A
    channel is removed from all tensors that it is a part of, or from none: through operations that
    map elements one by one, move them, or reduce windows or axes. Operands and results of other
    operations, and of scans, inputs, outputs and states keep all elements; bodies of scans are
    graphs of their own. Graphs of more than 2²⁵ elements in all tensors stay as they are.

    The products of a constant become part of the biases of the layers that read it. Where biases
    do not hold the sums exactly, or padding would be another constant, it stays.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network, with formats.
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine, for its widths.

    Returns
    -------
    graph : :class:`~..graph.graph.Graph`
        What remains, with a note of what was removed.
    removed : :class:`list` of :class:`~.live_layers.RemovedRows`
        Of the layers that lost rows.

    Raises
    ------
    CompileError
        If the machine has other widths than a layer, or no format for it; the message names the
        node, as a network.
    """
    removed: list[RemovedRows] = []
    live = _remove(graph, config, removed)
    if removed:
        live = dataclasses.replace(live, notes=(*live.notes, _describe(removed)))
    return live, removed


def _remove(graph: Graph, config: EIEConfig, removed: list[RemovedRows], prefix: str = "") -> Graph:
    """Remove the channels of a graph of this path, and append the rows to `removed`."""
    if sum(map(math.prod, graph.shapes.values())) > _MAX_NUMBERS:
        return graph
    live = _Live(graph, config, prefix)
    live.grow()
    nodes = []
    for node in graph.nodes:
        path = prefix + node.name
        computation: Computation | None = node.computation
        if isinstance(computation, Scan):
            computation = computation.change_body(functools.partial(
                _remove, config=config, removed=removed, prefix=f"{path}/"))
        elif isinstance(computation, CompressedNetwork):
            computation = live.layers[node.name].make_network()
            removed += live.layers[node.name].list_removed(path)
        elif node.name in live.links:
            computation = live.select(node)
        assert computation is not None
        nodes.append(dataclasses.replace(node, computation=computation))
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _describe(removed: list[RemovedRows]) -> str:
    parts = (f"{one.unread + one.constant} of {one.rows} of {one.path}"
             f"{'' if one.layer == one.path else ' ' + one.layer}" for one in removed)
    return f"filters and neurons removed without changing results: {', '.join(parts)}"


class _Live:
    """Elements of all tensors of a graph that remain.

    Attributes
    ----------
    tensors : :class:`dict` of :class:`str` to bool arrays
        Elements of inputs and results, as of :func:`~.element_masks.fill`.
    layers : :class:`dict` of :class:`str` to :class:`~.live_layers.LiveLayers`
        Layers of each node, by its name.
    links : :class:`dict` of :class:`str` to :class:`list` of :class:`~.element_masks.Link`
        Links of each node that is a known operation, by its name.
    """

    def __init__(self, graph: Graph, config: EIEConfig, prefix: str) -> None:
        self._graph = graph
        self.tensors: dict[str, Mask] = {
            name: np.full(shape, name in graph.inputs or name in graph.outputs)
            for name, shape in graph.shapes.items()}
        self.links: dict[str, list[Link]] = {}
        integers = {}
        for node in graph.nodes:
            computation = node.computation
            if isinstance(computation, CompressedNetwork):
                integers[node.name] = _make_integers(prefix + node.name, computation, config)
            elif isinstance(computation, Operation) and (links := link(
                    computation, [graph.shapes[name] for name in node.inputs])):
                self.links[node.name] = links
            else:
                for name in (node.name, *node.inputs):
                    self.tensors[name] = np.ones_like(self.tensors[name])
        constants = find_constants(graph, integers, config.act_width)
        self.layers = {name: LiveLayers(config, one, constants[name])
                       for name, one in integers.items()}

    def grow(self) -> None:
        """Add elements until all that remain can be computed."""
        while self._sweep() or self._keep_one():
            pass

    def _sweep(self) -> bool:
        grown = False
        for node in reversed(self._graph.nodes):
            if node.name in self.layers:
                grown |= self._grow_layers(node)
            elif node.name in self.links:
                grown |= self._grow_operation(node)
        return grown

    def _keep_one(self) -> bool:
        """Keep one element of a tensor that has none, as shapes have no zeros."""
        empty = [name for name, mask in self.tensors.items() if not mask.any()]
        for name in empty:
            self.tensors[name] = np.arange(self.tensors[name].size).reshape(
                self.tensors[name].shape) == 0
        return bool(empty)

    def _add(self, name: str, mask: Any) -> bool:
        """Add elements of a tensor; return true if it did not have them all."""
        wanted = self.tensors[name] | mask
        if (wanted == self.tensors[name]).all():
            return False
        self.tensors[name] = fill(wanted)
        return True

    def _grow_layers(self, node: Node) -> bool:
        (operand,) = node.inputs
        read, results = self.layers[node.name].grow(self.tensors[operand], self.tensors[node.name])
        return self._add(operand, read) | self._add(node.name, results)

    def _grow_operation(self, node: Node) -> bool:
        grown = False
        for name, one in zip(node.inputs, self.links[node.name]):
            grown |= self._add(name, one.backward(self.tensors[node.name]))
            grown |= self._add(node.name, one.forward(self.tensors[name]))
        if not grown and self.tensors[node.name].any() and self.select(node) is None:
            return self._add(node.inputs[0], True)
        return grown

    def select(self, node: Node) -> Operation | None:
        """Make the operation of what remains; None if there is none."""
        operation = node.computation
        assert isinstance(operation, Operation)
        return select(operation, self.tensors[node.inputs[0]], self.tensors[node.name])


def _make_integers(path: str, network: CompressedNetwork, config: EIEConfig) -> IntegerNetwork:
    try:
        require_widths(config, network)
        return IntegerNetwork(network, config)
    except CompileError as error:
        raise CompileError(f"network {path!r}: {error}") from error
