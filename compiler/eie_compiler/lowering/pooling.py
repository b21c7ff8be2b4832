"""Maximum pooling as a stage: a loop whose results are the greatest activations of windows."""

import dataclasses
import math

import numpy as np
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig
from eie_hdl.numeric import limits

from ..graph.operations.pooling import MaxPool
from ..network import Layer
from ..patches import Patches
from ..vectors import dequantise
from .fixed_point import LayerInput, activation_range, choose_format
from .loop_cycles import TileWork
from .loop_geometry import join_rows, list_strips
from .stages import Stage
from .strips import TOLERANCE

__all__ = ["pool_stage"]


def pool_stage(config: EIEConfig, name: str, pool: MaxPool, shape: tuple[int, int, int], *,
               frac: int, nonnegative: bool) -> tuple[LayerInput, Stage]:
    """Make the stage of a maximum pooling.

    Each row has a weight, which is not used, for each element of its window. The machine compares
    numbers without a sign, activations plus ``2 ** (act_width - 1)``, which the bias takes away.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    shape : (channels, height, width)
        Shape of the map.
    frac : :class:`int`
        Fraction bits of the map, and of the result.
    nonnegative : :class:`bool`
        True if no activation is negative. Zeros are then skipped, as no result is less.

    Raises
    ------
    CompileError
        If there are more elements in a window than accumulators of sums hold.
    """
    n_channels, n_taps = shape[0], math.prod(pool.kernel)
    rows = np.repeat(np.arange(n_channels), n_taps)
    codes = csc_array((np.ones(len(rows), np.uint8), rows, np.arange(len(rows) + 1)),
                      shape=(n_channels, len(rows)))
    codebook = np.zeros(1 << config.v_width)
    codebook[1] = 1.0
    bias = dequantise(np.full(n_channels, limits(config.act_width)[0]), frac)
    layer = Layer(name, codes, codebook, bias, relu=nonnegative, output_frac=frac,
                  max_weight_frac=0)
    source = LayerInput(layer, frac, activation_range(config, nonnegative=nonnegative))
    patches = Patches(shape, pool.kernel, pool.stride, padding=pool.padding, loop=1)
    return source, Stage(layer, choose_format(config, *source),
                         _choose_strip(config, patches, zeros=not nonnegative),
                         maximum=True, zeros=not nonnegative)


def _choose_strip(config: EIEConfig, patches: Patches, *, zeros: bool) -> Patches:
    """Choose the shortest strips that need about the fewest cycles, and whose results fit."""
    n_channels = patches.shape[0]
    slots = -(-n_channels // config.n_pe)
    height, width = join_rows(patches).output_shape
    cycles = {}
    for pixels in list_strips(patches):
        reach = (pixels - 1) * patches.stride[1] + patches.kernel[1]
        work = TileWork(patches.kernel[0] * reach * (slots if config.local else n_channels),
                        patches.kernel[0], slots * math.prod(patches.kernel) * pixels,
                        slots * pixels, zeros)
        if slots * pixels <= config.acc_depth:
            cycles[pixels] = height * -(-width // pixels) * work.cycles
    enough = TOLERANCE * min(cycles.values(), default=math.inf)
    return dataclasses.replace(patches, loop=min(
        (pixels for pixels, each in cycles.items() if each <= enough), default=1))
