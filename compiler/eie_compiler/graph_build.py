"""Builds of graphs: a program for each node of layers, and the steps of the host between them."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_hdl.config import EIEConfig

from .build import Build
from .graph.graph import Graph, Node, Recurrence, Scan, Subgraph
from .graph.operation import Operation, Shape
from .network import CompressedNetwork
from .preprocessing import FixedPreprocessing, convert_inputs, make_batch
from .vectors import VectorError, dequantise

__all__ = ["GraphBuild", "Inputs", "NodeUse", "Tensors", "count_vectors",
           "find_nonnegative_inputs", "walk_uses"]

#: Inputs of a network: by name, or the array alone if there is one input.
Inputs = Mapping[str, ArrayLike] | ArrayLike

#: Elements of the tensors of a part of a batch, in words of 64 bits; and how much greater a part is
#: if each one loads the memories.
_PART, _LOADING = 1 << 24, 4


class Tensors(NamedTuple):
    """Inputs of a network as words.

    Attributes
    ----------
    words : :class:`dict` of :class:`str` to int64 (batch, ...)
        Words of each input.
    saturated : :class:`dict` of :class:`str` to :class:`int`
        Number of elements of each input that were beyond its format.
    """

    words: dict[str, NDArray[np.int64]]
    saturated: dict[str, int]

    @property
    def batch(self) -> int:
        """Number of inferences."""
        return len(next(iter(self.words.values())))


class NodeUse(NamedTuple):
    """Node and how often an inference computes it.

    Attributes
    ----------
    path : :class:`str`
        Path of the node.
    graph : :class:`~.graph.graph.Graph`
        Graph that it belongs to.
    node : :class:`~.graph.graph.Node`
        The node.
    times : :class:`int`
        Computations per inference: the steps of the scans around it.
    """

    path: str
    graph: Graph
    node: Node
    times: int

    @property
    def operands(self) -> list[Shape]:
        """Shapes of the operands."""
        return [self.graph.shapes[name] for name in self.node.inputs]


def walk_uses(graph: Graph, prefix: str = "", times: int = 1) -> Iterator[NodeUse]:
    """List all nodes in an order of computation, those of scans' bodies after the scan."""
    for node in graph.nodes:
        use = NodeUse(prefix + node.name, graph, node, times)
        yield use
        if isinstance(node.computation, Scan):
            yield from walk_uses(node.computation.body, f"{use.path}/",
                                 times * use.operands[0][0])


def count_vectors(use: NodeUse) -> int:
    """Count the vectors of an inference to which a program is applied: patches, images, or steps.
    """
    if isinstance(use.node.computation, Subgraph):
        return use.times
    if isinstance(use.node.computation, Recurrence):
        return use.times * use.operands[0][0]
    assert isinstance(use.node.computation, CompressedNetwork)
    patches = use.node.computation.patches
    return use.times * (patches.n_patches if patches else math.prod(use.operands[0][:-1]))


@dataclasses.dataclass(frozen=True, eq=False)
class GraphBuild:
    """Compiled graph for one machine.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        Machine that the build is for.
    graph : :class:`~.graph.graph.Graph`
        Compressed network.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    programs : :class:`dict` of :class:`str` to :class:`~.build.Build`
        Program of each node of layers, and of each subgraph, by path. Programs that are in the
        memories together share one dictionary of images.
    report : :class:`dict`
        Build report; see docs/build-folder.md.
    preprocessing : :class:`dict` of :class:`str` to :class:`~.preprocessing.FixedPreprocessing`
        Preprocessing of each input that has any.
    predicted : :class:`dict` of :class:`str` to :class:`dict`, optional
        Predicted ``net_cycles`` and ``cycles``, back to back, of each program per inference, by
        path.
    """

    config: EIEConfig
    graph: Graph
    mapping: Literal["balanced", "interleaved"]
    programs: dict[str, Build]
    report: dict[str, Any]
    preprocessing: dict[str, FixedPreprocessing] = dataclasses.field(default_factory=dict)
    predicted: dict[str, dict[str, float]] | None = None

    @functools.cached_property
    def loads(self) -> list[list[str]]:
        """Paths of the programs of each set of memory images."""
        loads: dict[int, list[str]] = {}
        for path, build in self.programs.items():
            loads.setdefault(id(build.images), []).append(path)
        return list(loads.values())

    @functools.cached_property
    def part(self) -> int:
        """Number of inferences whose tensors are kept at a time, which bounds the memory."""
        tensors = sum(map(math.prod, self.graph.shapes.values()))
        vectors = max(count_vectors(use) * len(self.programs[use.path].input.columns)
                      for use in walk_uses(self.graph) if use.path in self.programs)
        limit = _PART if len(self.loads) == 1 else _PART * _LOADING
        return max(1, limit // (tensors + 2 * vectors))

    @functools.cached_property
    def nonnegative_inputs(self) -> set[str]:
        """Inputs whose words must not be negative, as layers rely on it."""
        return find_nonnegative_inputs(self.graph)

    def parts(self, tensors: Tensors) -> Iterator[dict[str, NDArray[np.int64]]]:
        """Cut a batch into parts of :attr:`part` inferences."""
        for start in range(0, tensors.batch, self.part):
            yield {name: words[start:start + self.part] for name, words in tensors.words.items()}

    def to_words(self, inputs: Inputs, *, words: bool = False) -> Tensors:
        """Convert inputs to words, and count those that saturate.

        Parameters
        ----------
        inputs : mapping of :class:`str` to (batch, ...) or (...), or such an array
            Numbers, whether integers or floating-point, of each input by name, or of the only one;
            or words, which must be integers, and are not preprocessed.
        words : :class:`bool`
            True if `inputs` are words already.

        Raises
        ------
        VectorError
            If a name or a shape does not match the network, batches differ, or a number or word
            is not valid.
        """
        named = _name_inputs(self.graph, inputs)
        converted, saturated = {}, {}
        for name, shape in self.graph.inputs.items():
            assert self.graph.fracs is not None
            try:
                converted[name], beyond = convert_inputs(
                    make_batch(named[name], shape, words=words),
                    frac=self.graph.fracs[name], width=self.config.act_width, words=words,
                    preprocessing=self.preprocessing.get(name),
                    nonnegative=name in self.nonnegative_inputs)
            except VectorError as error:
                raise VectorError(str(error).replace("Inputs must", f"Inputs {name!r} must", 1)
                                  if len(named) > 1 else str(error)) from error
            saturated[name] = int(np.count_nonzero(beyond))
        if len(sizes := {name: len(array) for name, array in converted.items()}) > 1 \
                and len(set(sizes.values())) > 1:
            raise VectorError("Inputs must have batches of one size, not "
                              f"{', '.join(f'{size} of {name!r}' for name, size in sizes.items())}")
        return Tensors(converted, saturated)

    def to_numbers(self, tensors: Mapping[str, NDArray[np.int64]]
                   ) -> dict[str, NDArray[np.float64]]:
        """Convert words of inputs or nodes, by name, to the numbers that they represent."""
        assert self.graph.fracs is not None
        return {name: dequantise(words, self.graph.fracs[name]) for name, words in tensors.items()}


def _name_inputs(graph: Graph, inputs: Inputs) -> dict[str, ArrayLike]:
    names = list(graph.inputs)
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise VectorError(f"Inputs must be {', '.join(map(repr, names))}, not "
                              f"{', '.join(map(repr, inputs)) or 'none'}")
        return dict(inputs)
    if len(names) > 1:
        raise VectorError(f"Inputs must be arrays by name, {', '.join(map(repr, names))}, not a "
                          "single array")
    return {names[0]: inputs}


def find_nonnegative_inputs(graph: Graph) -> set[str]:
    """Find the inputs of a graph that must not be negative, as layers rely on it."""
    needed: set[str] = set()
    for node in reversed(graph.nodes):
        computation = node.computation
        if isinstance(computation, Recurrence):
            computation = computation.scan
        if isinstance(computation, CompressedNetwork):
            if computation.nonnegative_inputs:
                needed.update(node.inputs)
        elif isinstance(computation, Scan):
            inside = find_nonnegative_inputs(computation.body)
            needed.update(operand for operand, name in zip(node.inputs, computation.body.inputs)
                          if name in inside)
        elif isinstance(computation, Subgraph):
            if find_nonnegative_inputs(computation.body):
                needed.update(node.inputs)
        elif isinstance(computation, Operation) and node.name in needed \
                and not computation.is_nonnegative(*[False] * len(node.inputs)):
            needed.update(node.inputs)
    return needed & set(graph.inputs)
