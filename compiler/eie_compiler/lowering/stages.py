"""Stages of a program of loops: layers of a pixel, each with the geometry of its map."""

import dataclasses
import math

from ..network import Layer
from ..patches import Patches
from .dead_rows import LiveNetwork
from .fixed_point import LayerFormat

__all__ = ["Stage", "list_stages"]


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """Layer that is a loop over a whole map.

    Attributes
    ----------
    layer : :class:`~..network.Layer`
        Layer of a pixel; columns by channel, then by tap of the kernel.
    chosen : :class:`~.fixed_point.LayerFormat`
        Its format.
    patches : :class:`~..patches.Patches`
        Geometry: `shape` is that of the map, `loop` the pixels of a strip.
    maximum : :class:`bool`
        True if a result is the greatest activation for which its row has a weight, not a sum.
    zeros : :class:`bool`
        True if activations that are zero count.
    """

    layer: Layer
    chosen: LayerFormat
    patches: Patches
    maximum: bool = False
    zeros: bool = False

    @property
    def n_taps(self) -> int:
        """Number of taps of the kernel, columns of a channel."""
        return math.prod(self.patches.kernel)


def list_stages(live: LiveNetwork, patches: Patches) -> list[Stage]:
    """List the stages of the layers of a node: a convolution, then 1 × 1 convolutions.

    Parameters
    ----------
    live : :class:`~.dead_rows.LiveNetwork`
        Layers of a pixel.
    patches : :class:`~..patches.Patches`
        Geometry of the first layer, with a loop. Strips of the others are as long.
    """
    stages = []
    for layer, chosen in zip(live.network.layers, live.formats):
        stages.append(Stage(layer, chosen, patches))
        patches = Patches((layer.n_rows, *patches.output_shape), loop=patches.loop)
    return stages
