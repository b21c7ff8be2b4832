"""Choice of the strips of a graph for a machine, without samples of its inputs."""

import contextlib
import dataclasses
import math

import numpy as np

from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH

from ..graph.graph import Graph
from ..graph_build import NodeUse, walk_uses
from ..network import MAX_SIDE, CompressedNetwork
from ..patches import PatchError
from .capacity import Needs
from .lowered_network import Mapping, row_weights
from .memory_map import n_words
from .programs import divide_loads, lower_named
from .row_mapping import MAPPINGS, n_tiles
from .strips import find_pixels, make_strips

__all__ = ["MOST_PIXELS", "choose_strips", "estimate_cycles"]

#: Most pixels of a strip that is chosen.
MOST_PIXELS = 16

#: Cycles of a tile for each level of the tree, and of a row of its results in the activation SRAMs,
#: fitted to the cycle model.
_TILE_CYCLES, _ROW_CYCLES = 12, 5

#: Cycles relative to the fewest up to which shorter strips are chosen, as they need less memory.
_TOLERANCE = 1.05

#: Share of the activations that are not zero.
_ACTIVE = 0.5


def estimate_cycles(network: CompressedNetwork, config: EIEConfig, n_pixels: int, *,
                    mapping: Mapping = "balanced") -> float:
    """Estimate the cycles of an image, or of a vector, from input beats to result beats.

    Half of the activations are taken to be zero. The estimate is for comparing strips of a network,
    not for the cycles themselves.

    Parameters
    ----------
    n_pixels : :class:`int`
        Pixels of a strip; 1 without patches.
    """
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
        cycles += _ACTIVE * max(tiles * columns, fullest) \
            + _TILE_CYCLES * tiles * config.n_levels \
            + _ROW_CYCLES * n_words(len(weights), config.n_pe)
        columns = len(weights)
    beats = max(first, columns) * config.act_width / BEAT_WIDTH
    return count * max(cycles, beats)


def choose_strips(graph: Graph, config: EIEConfig, *, mapping: Mapping = "balanced",
                  most: int = MOST_PIXELS) -> dict[str, int]:
    """Choose the pixels of the strips of each convolution of a graph.

    They have up to `most` pixels and about the fewest cycles, by
    :func:`estimate_cycles`. If the graph then needs more loads than with single pixels, those are
    shortened first that lose the fewest cycles for the memory that they free.

    Parameters
    ----------
    graph : :class:`~..graph.graph.Graph`
        Compressed network; nodes that have strips, or preprocessing, stay as they are.
    mapping : ``"balanced"`` or ``"interleaved"``
        Assignment of rows to PEs.
    most : :class:`int`
        Most pixels of a strip.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`int`
        Pixels by path, for :func:`~.strips.set_strips`, of those nodes that become strips.

    Raises
    ------
    CompileError
        If there is a choice, and the machine has no formats for a network.
    """
    nodes = {use.path: _Node(use, config, mapping, most) for use in walk_uses(graph)
             if isinstance(use.node.computation, CompressedNetwork)}
    if all(len(node.cycles) == 1 for node in nodes.values()):    # no strips to choose from
        return {}
    pixels = {path: node.choose(most) for path, node in nodes.items()}
    while (loads := _count_loads(config, nodes, pixels)) > 1 \
            and loads > _count_loads(config, nodes, dict.fromkeys(nodes, 1)):
        _, path = min((node.cost_of_shortening(pixels[path]), path)
                      for path, node in nodes.items() if pixels[path] > 1)
        pixels[path] = nodes[path].choose(pixels[path] - 1)
    return {path: n for path, n in pixels.items() if n > 1}


class _Node:
    """Layers of a node, as strips of any number of pixels.

    Attributes
    ----------
    cycles : :class:`dict` of :class:`int` to :class:`float`
        Estimated cycles of an inference by pixels, of the strips to choose from.
    """

    def __init__(self, use: NodeUse, config: EIEConfig, mapping: Mapping, most: int) -> None:
        network = use.node.computation
        assert isinstance(network, CompressedNetwork)
        self._path, self._network = use.path, network
        self._config, self._mapping = config, mapping
        self._needs: dict[int, Needs] = {}
        self.cycles = {1: 0.0}
        if patches := find_pixels(network):
            width = patches.output_shape[1]
            sides = sum(layer.n_rows + layer.n_cols for layer in network.layers)
            most = min(most, width, MAX_SIDE // sides)
            # Of strips with as many in a row of the result, the shortest have the least surplus.
            for n in {-(-width // n): n for n in range(most, 0, -1)}.values():
                with contextlib.suppress(PatchError):    # patches of an image may be too large
                    self.cycles[n] = use.times * estimate_cycles(network, config, n,
                                                                 mapping=mapping)

    def measure(self, n_pixels: int) -> Needs:
        """Measure the memory that strips need."""
        if n_pixels not in self._needs:
            strips = self._network if n_pixels == 1 else make_strips(self._network, n_pixels)
            self._needs[n_pixels] = lower_named(self._path, strips, self._config,
                                                mapping=self._mapping).needs
        return self._needs[n_pixels]

    def choose(self, most: int) -> int:
        """Choose the shortest strips of at most so many pixels that have about the fewest cycles.

        They fit the memories alone, as far as single pixels do.
        """
        options = sorted(n for n in self.cycles if n <= most)
        fastest = next(n for n in sorted(options, key=self.cycles.__getitem__) if self._fits(n))
        enough = _TOLERANCE * self.cycles[fastest]
        return next(n for n in options if self.cycles[n] <= enough and self._fits(n))

    def _fits(self, n_pixels: int) -> bool:
        return n_pixels == 1 or not self.measure(n_pixels).find_shortages(self._config)

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
