"""Choice of the strips of a graph for a machine, without samples of its inputs."""

import contextlib
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH

from ..errors import CompileError
from ..graph.graph import Graph
from ..graph_build import NodeUse, walk_uses
from ..network import MAX_SIDE, CompressedNetwork
from ..patches import PatchError
from .capacity import Needs
from .loop_cycles import ACTIVE, TILE_CYCLES
from .loop_geometry import list_strips
from .lower import Mapping, lower_network
from .lowered_network import LoweredNetwork
from .memory_map import n_words
from .programs import divide_loads, lower_named
from .row_mapping import MAPPINGS, n_tiles, row_weights
from .strips import MOST_PIXELS, TOLERANCE, find_pixels, make_strips

__all__ = ["choose_strips", "estimate_cycles"]

#: Cycles of a row of the results of a tile in the activation SRAMs, fitted to the cycle model.
_ROW_CYCLES = 5

#: Cycles of a vector from the host besides its beats, for each level of the tree, fitted as well.
_VECTOR_CYCLES = 8


def estimate_cycles(network: CompressedNetwork, config: EIEConfig, n_pixels: int, *,
                    mapping: Mapping = "balanced") -> float:
    """Estimate the cycles of an image, or of a vector, from input beats to result beats.

    Half of the activations are taken to be zero. The estimate is for comparing strips of a network,
    not for the cycles themselves.

    Parameters
    ----------
    n_pixels : :class:`int`
        Pixels of a strip; 1 without patches.

    Raises
    ------
    CompileError
        If the network is a loop that the machine cannot run in such strips.
    """
    if network.patches is not None and network.patches.loop:
        strips = make_strips(network, n_pixels)
        return lower_network(strips, config, mapping=mapping).loop_cycles
    count, first = 1, network.layers[0].n_cols
    if network.patches is not None:
        patches = dataclasses.replace(network.patches, pixels=n_pixels)
        count, first = patches.n_patches, patches.n_inputs
    cycles, columns = 0.0, first
    for layer in network.layers:
        weights = np.tile(row_weights(layer), n_pixels)
        pes = MAPPINGS[mapping](config, weights) % config.n_pe
        fullest = np.bincount(pes, weights).max()
        tiles = n_tiles(config, len(weights))
        cycles += ACTIVE * max(tiles * columns, fullest) \
            + TILE_CYCLES * tiles * config.n_levels \
            + _ROW_CYCLES * n_words(len(weights), config.n_pe)
        columns = len(weights)
    beats = max(first, columns) * config.act_width / BEAT_WIDTH
    return count * max(cycles, beats + _VECTOR_CYCLES * config.n_levels)


def choose_strips(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced",
                  most: int = MOST_PIXELS) -> dict[str, int]:
    """Choose the pixels of the strips of each convolution of a graph.

    They have up to `most` pixels and about the fewest cycles, by
    :func:`estimate_cycles`. If the graph then needs more loads than with single pixels, those are
    shortened first that lose the fewest cycles for the memory that they free.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network; nodes that have strips, or preprocessing, stay as they are. Loops are
        those of :func:`~.loops.find_loops`.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    most : :class:`int`
        Most pixels of a strip.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`int`
        Pixels by path, for :func:`~.strips.set_strips`, of those nodes that become strips, and of
        all loops.

    Raises
    ------
    CompileError
        If there is a choice, and the machine has no formats for a network.
    """
    nodes = {use.path: _Node(use, config, mapping, most) for use in walk_uses(graph)
             if isinstance(use.node.computation, CompressedNetwork)}
    if all(list(node.cycles) == [1] for node in nodes.values()):    # no strips to choose from
        return {}
    pixels = {path: node.choose(most) for path, node in nodes.items()}
    while (loads := _count_loads(config, nodes, pixels)) > 1 \
            and loads > _count_loads(config, nodes, {path: node.shortest
                                                     for path, node in nodes.items()}):
        _, path = min((node.cost_of_shortening(pixels[path]), path)
                      for path, node in nodes.items() if pixels[path] > node.shortest)
        pixels[path] = nodes[path].choose(pixels[path] - 1)
    return {path: n for path, n in pixels.items() if n > 1 or nodes[path].is_loop}


class _Measured(NamedTuple):
    """Memory that strips need, and estimated cycles of an image if they are those of a loop."""

    needs: Needs
    loop_cycles: float


class _Node:
    """Layers of a node, as strips of any number of pixels.

    Attributes
    ----------
    cycles : :class:`dict` of :class:`int` to :class:`float`
        Estimated cycles of an inference by pixels, of the strips to choose from.
    is_loop : :class:`bool`
        True if the layers are loops, which must fit whatever their strips.
    """

    def __init__(self, use: NodeUse, config: EIEConfig, mapping: Mapping, most: int) -> None:
        network = use.node.computation
        assert isinstance(network, CompressedNetwork)
        self._path, self._network = use.path, network
        self._config, self._mapping = config, mapping
        self._measured: dict[int, _Measured] = {}
        self.cycles = {1: 0.0}
        patches = find_pixels(network)
        self.is_loop = patches is not None and patches.loop > 0
        if patches and self.is_loop:
            self.cycles = {n: use.times * self._lower(n).loop_cycles for n in list_strips(patches)
                           if self._fits(n)}
        elif patches:
            width = patches.output_shape[1]
            sides = sum(layer.n_rows + layer.n_cols for layer in network.layers)
            most = min(most, width, MAX_SIDE // sides)
            # Of strips with as many in a row of the result, the shortest have the least surplus.
            for n in {-(-width // n): n for n in range(most, 0, -1)}.values():
                with contextlib.suppress(PatchError):    # patches of an image may be too large
                    self.cycles[n] = use.times * estimate_cycles(network, config, n,
                                                                 mapping=mapping)

    @property
    def shortest(self) -> int:
        """Pixels of the shortest strips."""
        return min(self.cycles)

    def measure(self, n_pixels: int) -> Needs:
        """Measure the memory that strips need."""
        return self._lower(n_pixels).needs

    def _lower(self, n_pixels: int) -> _Measured:
        """Lower the layers, once for each number of pixels."""
        if n_pixels not in self._measured:
            strips = make_strips(self._network, n_pixels) if n_pixels > 1 or self.is_loop \
                else self._network
            lowered = lower_named(self._path, strips, self._config, mapping=self._mapping)
            assert isinstance(lowered, LoweredNetwork)
            self._measured[n_pixels] = _Measured(
                lowered.needs, lowered.loop_cycles if self.is_loop else 0.0)
        return self._measured[n_pixels]

    def choose(self, most: int) -> int:
        """Choose the shortest strips of at most so many pixels that have about the fewest cycles.

        They fit the memories alone, as far as single pixels do; those of a loop always do.
        """
        options = sorted(n for n in self.cycles if n <= max(most, self.shortest))
        fastest = next(n for n in sorted(options, key=self.cycles.__getitem__) if self._fits(n))
        enough = TOLERANCE * self.cycles[fastest]
        return next(n for n in options if self.cycles[n] <= enough and self._fits(n))

    def _fits(self, n_pixels: int) -> bool:
        if n_pixels == 1 and not self.is_loop:
            return True
        try:
            return not self.measure(n_pixels).find_shortages(self._config)
        except CompileError:
            if self.is_loop:    # these strips are too long for a loop
                return False
            raise

    def cost_of_shortening(self, n_pixels: int) -> float:
        """Compute the cycles that shorter strips cost for the memory that they free."""
        shorter = self.choose(n_pixels - 1)
        freed = self._usage(n_pixels) - self._usage(shorter)
        return (self.cycles[shorter] - self.cycles[n_pixels]) / freed if freed > 0 else math.inf

    def _usage(self, n_pixels: int) -> float:
        """Share of the memory of pointers or of entries, whichever is greater."""
        needs, config = self.measure(n_pixels), self._config
        return max(needs.pointer_words / config.ptr_depth,
                   int(needs.entries.max()) / config.n_entries)


def _count_loads(config: EIEConfig, nodes: dict[str, _Node], pixels: dict[str, int]) -> int:
    return len(divide_loads(config, {path: node.measure(pixels[path])
                                     for path, node in nodes.items()}))
