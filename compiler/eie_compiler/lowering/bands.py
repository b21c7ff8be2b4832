"""Bands of rows: feature maps that are larger than the activation SRAMs."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eie_hdl.config import EIEConfig

from ..graph.graph import Graph, Node, Scan
from ..graph.operation import Shape
from ..graph.operations import (
    Affine,
    AveragePool,
    Clip,
    Concat,
    MaxPool,
    Pad,
    Quantise,
    Reshape,
    Slice,
    Transpose,
)
from ..network import CompressedNetwork
from ..patches import Patches
from .joining import join_programs
from .loop_choice import choose_loops
from .loops import find_loops
from .lower import Mapping

__all__ = ["BANDS", "make_bands"]

#: Beginning of the note of nodes that are computed in bands.
BANDS = "in bands of rows: "

#: Numbers of bands to try.
_TRIED = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)


class _Chain(NamedTuple):
    """Nodes one after another, the rows of whose results depend on some rows of the operand alone.

    Attributes
    ----------
    nodes : :class:`list` of :class:`~..graph.graph.Node`
        A convolution, which may have padding, then others without padding above and below.
    windows : :class:`list` of pairs of :class:`int`
        Rows of a window of each, and from one window to the next.
    """

    nodes: Sequence[Node]
    windows: Sequence[tuple[int, int]]

    @property
    def stride(self) -> int:
        """Rows of the operand from one row of the result to the next."""
        return math.prod(stride for _, stride in self.windows)

    def heights(self, rows: int) -> list[int]:
        """Compute the rows of the operand, and of each result, for so many of the last one."""
        found = [rows]
        for kernel, stride in reversed(self.windows):
            found.append((found[-1] - 1) * stride + kernel)
        return found[::-1]


def make_bands(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced") -> Graph:
    """Compute convolutions whose maps do not fit the machine in bands of rows.

    A band is rows of the result, and those of the operand that it depends on. The host cuts the
    operand and joins the results; it moves words and computes none. A band contains what follows
    the convolution, as far as nothing else reads what is between, and no padding is above or below.
    As few bands are made as fit. A note says how many words the host moves.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network without loops.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    """
    if not config.loops:
        return graph
    for node in graph.nodes:
        if node in graph.nodes and _is_candidate(node):    # not in the bands of a node before it
            alone = find_loops(_extract(graph, [node], graph.shapes[node.inputs[0]]), config,
                               mapping=mapping)
            if not _has_loop(alone.nodes[0]):
                graph = _divide(graph, node, config, mapping)
    return graph


def _divide(graph: Graph, first: Node, config: EIEConfig, mapping: Mapping) -> Graph:
    """Divide the most nodes from a convolution on that bands can contain."""
    chain = _follow(graph, first)
    for length in range(len(chain.nodes), 0, -1):
        part = _Chain(chain.nodes[:length], chain.windows[:length])
        height = graph.shapes[part.nodes[-1].name][1]
        for n_bands in _TRIED:
            rows = -(-height // n_bands)
            if n_bands <= height and _fits(graph, part, rows, config, mapping):
                return _replace(graph, part, -(-height // rows), rows)
    return graph


def _is_candidate(node: Node) -> bool:
    """True for a convolution that could be a loop."""
    network = node.computation
    return isinstance(network, CompressedNetwork) and network.patches is not None \
        and network.patches.pixels == 1 and network.preprocessing is None \
        and network.patches.output_shape[0] > 1


def _has_loop(node: Node) -> bool:
    network = node.computation
    return isinstance(network, CompressedNetwork) and network.patches is not None \
        and network.patches.loop > 0


def _follow(graph: Graph, first: Node) -> _Chain:
    """Find the nodes after a convolution that its bands can contain."""
    nodes, windows = list[Node](), list[tuple[int, int]]()
    node: Node | None = first
    while node is not None and (window := _find_window(graph, node, is_first=not nodes)):
        nodes.append(node)
        windows.append(window)
        readers = [each for each in graph.nodes if node.name in each.inputs]
        node = readers[0] if len(readers) == 1 and len(readers[0].inputs) == 1 \
            and node.name not in graph.outputs else None
    return _Chain(nodes, windows)


def _find_window(graph: Graph, node: Node, *, is_first: bool) -> tuple[int, int] | None:
    """Find the rows of a window and from one to the next; None if a band cannot contain a node."""
    computation = node.computation
    if isinstance(computation, CompressedNetwork):
        patches = computation.patches
        if patches is None or patches.pixels > 1 or any(patches.padding[::2]) and not is_first:
            return None
        return (patches.kernel[0] - 1) * patches.dilation[0] + 1, patches.stride[0]
    if isinstance(computation, (MaxPool, AveragePool)):
        return None if any(computation.padding[::2]) else (
            computation.kernel[0], computation.stride[0])
    if isinstance(computation, (Affine, Clip, Quantise)):
        shape = graph.shapes[node.name]
        constants = [np.shape(getattr(computation, field.name))
                     for field in dataclasses.fields(computation)]
        is_same = all(len(sizes) < 2 or sizes[-2] == 1 for sizes in constants)
        return (1, 1) if len(shape) == 3 and is_same else None
    return None


def _extract(graph: Graph, nodes: Sequence[Node], shape: Shape) -> Graph:
    """Make a graph of nodes one after another, for an operand of this shape."""
    operand = nodes[0].inputs[0]
    names = [operand, *(node.name for node in nodes)]
    return Graph({operand: shape}, tuple(nodes), (names[-1],),
                 {name: (graph.fracs or {})[name] for name in names})


def _make_body(graph: Graph, chain: _Chain, rows: int) -> Graph:
    """Make the graph of a band of so many rows of the result."""
    nodes = list[Node]()
    heights = chain.heights(rows)
    for node, height in zip(chain.nodes, heights):
        network = node.computation
        if isinstance(network, CompressedNetwork):
            assert network.patches is not None
            channels, _, width = network.patches.shape
            _, left, _, right = network.patches.padding
            network = dataclasses.replace(network, patches=dataclasses.replace(
                network.patches, shape=(channels, height, width), padding=(0, left, 0, right)))
        nodes.append(dataclasses.replace(node, computation=network))
    channels, _, width = graph.shapes[chain.nodes[0].inputs[0]]
    return _extract(graph, nodes, (channels, heights[0], width))


def _fits(graph: Graph, chain: _Chain, rows: int, config: EIEConfig, mapping: Mapping) -> bool:
    """True if a band of so many rows is a program of the machine, and worth its loops."""
    body = _make_body(graph, chain, rows)
    looped, _ = choose_loops(body, config, mapping=mapping)
    if not all(map(_has_loop, (node for node in looped.nodes
                               if isinstance(node.computation, CompressedNetwork)))):
        return False
    return len(chain.nodes) == 1 or len(join_programs(body, config, mapping=mapping).nodes) == 1


def _replace(graph: Graph, chain: _Chain, n_bands: int, rows: int) -> Graph:
    """Replace nodes by those that cut their operand, compute the bands, and join the results."""
    body = _make_body(graph, chain, rows)
    (operand, (channels, height, width)), = body.inputs.items()
    first, last = chain.nodes[0].name, chain.nodes[-1].name
    patches = chain.nodes[0].computation.patches    # type: ignore[union-attr]
    assert isinstance(patches, Patches)
    made = list[Node]()
    fracs = dict(graph.fracs or {})

    def add(name: str, computation: object, *operands: str, like: str) -> str:
        while name in fracs or any(name == node.name for node in made):
            name += "_"
        made.append(Node(name, computation, operands))    # type: ignore[arg-type]
        fracs[name] = fracs[like]
        return name

    starts = [band * rows * chain.stride for band in range(n_bands)]
    below = starts[-1] + height - graph.shapes[operand][1] - patches.padding[0]
    source = operand
    if patches.padding[0] or below > 0:
        source = add(f"{first}.padded", Pad((0, patches.padding[0], 0), (0, max(below, 0), 0)),
                     source, like=operand)
    bands = [add(f"{first}.rows{number}", Slice(1, start, start + height), source, like=operand)
             for number, start in enumerate(starts)]
    stacked = add(f"{first}.stacked", Concat(0), *bands, like=operand)
    sequence = add(f"{first}.sequence", Reshape((n_bands, channels, height, width)), stacked,
                   like=operand)
    results = add(f"{last}.bands", Scan(body, ()), sequence, like=last)
    n_channels, n_rows, n_columns = graph.shapes[last]
    ordered = add(f"{last}.ordered", Transpose((1, 0, 2, 3)), results, like=last)
    joined = Reshape((n_channels, n_bands * rows, n_columns))
    end = Node(last, joined, (ordered,))
    if n_bands * rows > n_rows:
        end = Node(last, Slice(1, 0, n_rows),
                   (add(f"{last}.joined", joined, ordered, like=last),))
    inside = {node.name for node in chain.nodes}
    at = next(number for number, node in enumerate(graph.nodes) if node.name == last)
    nodes = [node for node in itertools.chain(graph.nodes[:at], made, [end], graph.nodes[at + 1:])
             if node is end or node.name not in inside]
    sent, taken = (n_bands * math.prod(shape) for shape in (
        (channels, height, width), (n_channels, rows, n_columns)))
    note = f"{BANDS}node {last!r}: {n_bands} bands of {rows} rows; the host sends {sent:,} words " \
           f"of an inference, and takes {taken:,}"
    return dataclasses.replace(
        graph, nodes=tuple(nodes), notes=(*graph.notes, note),
        fracs={name: frac for name, frac in fracs.items() if name not in inside - {last}})
