"""Estimate of the cycles of layers that are loops."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.format import BEAT_WIDTH

from ..network import Layer
from ..vectors import NOT_SENT
from .convolution import Convolution, LoopLayers, map_sizes
from .memory_map import count_region_words, n_words

__all__ = ["ACTIVE", "TILE_CYCLES", "TileWork", "estimate_loops"]

#: Share of the activations that are not zero.
ACTIVE = 0.5

#: Cycles of a tile for each level of the tree, fitted to the cycle model.
TILE_CYCLES = 12

#: Further cycles of a tile of a loop, as in simulations of the hardware.
_LOOP_CYCLES = 5


class TileWork(NamedTuple):
    """Work of a tile of a loop.

    Attributes
    ----------
    scanned : :class:`float`
        Columns that are scanned one after another.
    segments : :class:`int`
        Segments of the scan.
    entries, rows : :class:`float`
        Entries of the fullest PE, and results of each.
    zeros : :class:`bool`
        True if activations that are zero are processed, too.
    """

    scanned: float
    segments: int
    entries: float
    rows: float
    zeros: bool = False

    @property
    def cycles(self) -> float:
        """Estimate of the cycles."""
        active = 1.0 if self.zeros else ACTIVE
        return _LOOP_CYCLES + max(active * self.scanned + self.segments,
                                  active * self.entries + self.rows)


def estimate_loops(config: EIEConfig, loops: LoopLayers) -> float:
    """Estimate the cycles of an image of layers that are loops.

    If there is no room for two regions, the last layer is not computed before the results of the
    image before have been sent.
    """
    convolutions, layers = loops.convolutions, loops.layers
    cycles = [_estimate_layer(config, convolution, layer,
                              [loops.columns[number] for number in read])
              for convolution, layer, read in zip(convolutions, layers, loops.sources)]
    vectors = map_sizes(convolutions)
    received, sent = (vectors[end] * config.act_width / BEAT_WIDTH for end in (0, -1))
    is_sent = [convolution is convolutions[-1] for convolution in convolutions]
    biases = sum(n_words(layer.n_rows, config.n_pe) for layer in layers)
    region = count_region_words(config, vectors, is_sent, loops.sources)
    in_regions = biases + 2 * region <= config.act_depth
    return float(max(sum(cycles), received, sent if in_regions else cycles[-1] + sent))


def _estimate_layer(config: EIEConfig, convolution: Convolution, layer: Layer,
                    sources: Sequence[NDArray[np.int64]]) -> float:
    """Estimate the cycles of all strips of a layer, whose sources have elements in these columns.

    Activations are broadcast one after another. In local mode, each PE finds its own.
    """
    there = convolution.source
    if convolution.local:
        scanned = convolution.n_columns // config.n_pe
    else:    # columns of a pixel without a channel are zero
        pixels = convolution.n_columns // convolution.parts // there.pitch
        elements = sum(int((source != NOT_SENT).sum()) for source in sources)
        scanned = pixels * elements // (there.height * there.width)
    fullest = int(np.bincount(layer.codes.indices % config.n_pe, minlength=1).max())
    strip = TileWork(scanned, convolution.segments, fullest, layer.n_rows // config.n_pe,
                     convolution.zeros)
    return convolution.n_strips * strip.cycles + TILE_CYCLES * config.n_levels
