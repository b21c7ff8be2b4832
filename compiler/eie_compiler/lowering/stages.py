"""Stages of a program of loops: layers of a pixel, each with the geometry of its map."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..network import Layer
from ..patches import Patches
from .dead_rows import LiveNetwork
from .fixed_point import LayerFormat

__all__ = ["Stage", "list_stages"]


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """Layer that is a loop over a whole map, or over several of the same size at a time.

    Attributes
    ----------
    layer : :class:`~..network.Layer`
        Layer of a pixel; columns by channel, those of one source after another, then by tap of the
        kernel.
    chosen : :class:`~.fixed_point.LayerFormat`
        Its format.
    patches : :class:`~..patches.Patches`
        Geometry: `shape` is that of the first map, `loop` the pixels of a strip. A kernel over
        several maps covers no more than one row.
    sources : :class:`tuple` of :class:`int`
        Numbers of the maps: 0 is the input of the program, `i` the result of the `i`-th stage.
    maximum : :class:`bool`
        True if a result is the greatest activation for which its row has a weight, not a sum.
    zeros : :class:`bool`
        True if activations that are zero count.
    node : :class:`str`
        Name of the node of a subgraph.
    """

    layer: Layer
    chosen: LayerFormat
    patches: Patches
    sources: tuple[int, ...]
    maximum: bool = False
    zeros: bool = False
    node: str = ""

    @property
    def n_taps(self) -> int:
        """Number of taps of the kernel, columns of a channel."""
        return math.prod(self.patches.kernel)

    @staticmethod
    def find_parts(sizes: Sequence[int], channels: NDArray[np.int64]
                   ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the source of channels that are numbered over sources of these numbers of channels.

        Returns
        -------
        parts, channels : int64 arrays
            Number of the source, from 0, and number of the channel in it.
        """
        bounds = np.cumsum(sizes, dtype=np.int64)
        parts = np.searchsorted(bounds, channels, side="right").astype(np.int64)
        return parts, channels - (bounds - np.asarray(sizes))[parts]


def list_stages(live: LiveNetwork, patches: Patches, sources: tuple[int, ...] = (0,),
                number: int = 0) -> list[Stage]:
    """List the stages of the layers of a node: a convolution, then 1 × 1 convolutions.

    Parameters
    ----------
    live : :class:`~.dead_rows.LiveNetwork`
        Layers of a pixel.
    patches : :class:`~..patches.Patches`
        Geometry of the first layer, with a loop. Strips of the others are as long.
    sources : :class:`tuple` of :class:`int`
        Maps that the first layer reads.
    number : :class:`int`
        Number of stages before.
    """
    stages = []
    for layer, chosen in zip(live.network.layers, live.formats):
        stages.append(Stage(layer, chosen, patches, sources))
        patches = Patches((layer.n_rows, *patches.output_shape), loop=patches.loop)
        number += 1
        sources = (number,)
    return stages
