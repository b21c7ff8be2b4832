"""Stages that compute each channel from its own: their codes and strips, and sums of maps."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..graph.operation import Floats
from ..network import Layer
from ..patches import Patches
from .fixed_point import LayerInput, activation_range, choose_format
from .loop_cycles import TileWork
from .loop_geometry import join_rows, list_strips, strip_reach
from .stages import Stage
from .strips import TOLERANCE

__all__ = ["Addend", "choose_strip", "spread_channels", "sum_layer", "sum_stage"]


class Addend(NamedTuple):
    """Map that is added.

    Attributes
    ----------
    source : :class:`int`
        Number of the map.
    frac : :class:`int`
        Its fraction bits.
    sign : :class:`int`
        1, or −1 if it is subtracted.
    """

    source: int
    frac: int
    sign: int = 1


def sum_stage(config: EIEConfig, name: str, addends: Sequence[Addend],
              shape: tuple[int, int, int], *, frac: int, relu: bool) -> tuple[LayerInput, Stage]:
    """Make the stage of a sum of maps, or of the conversion of a single one.

    Weights are the powers of two that bring all maps to the fraction bits of the finest. A sum is
    exact until it is rounded once, so that results are those of the host, bit for bit.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    addends : sequence of :class:`Addend`
        The maps.
    shape : (channels, height, width)
        Shape of each map.
    frac : :class:`int`
        Fraction bits of the result.
    relu : :class:`bool`
        True if negative results become zero.

    Raises
    ------
    CompileError
        If the machine has no format in which the weights are exact.
    """
    finest = max(addend.frac for addend in addends)
    weights = np.array([math.ldexp(addend.sign, finest - addend.frac) for addend in addends])
    layer = sum_layer(config, name, shape[0], weights, frac=frac, relu=relu)
    inputs = LayerInput(layer, finest, activation_range(config, nonnegative=False))
    chosen = choose_format(config, *inputs)
    if (np.ldexp(chosen.codebook.astype(np.float64), -chosen.weight_frac) != layer.codebook).any():
        raise CompileError(f"formats of {len(addends)} maps and their sum must be closer, for the "
                           "weights to be exact")
    patches = choose_strip(config, Patches(shape, loop=1), parts=len(addends))
    return inputs, Stage(layer, chosen, patches, tuple(addend.source for addend in addends),
                         node=name)


def sum_layer(config: EIEConfig, name: str, n_channels: int, weights: Sequence[float] | Floats, *,
              frac: int, relu: bool = False) -> Layer:
    """Make the layer that adds maps, each multiplied by its weight.

    Parameters
    ----------
    name : :class:`str`
        Name of the layer.
    n_channels : :class:`int`
        Channels of each map.
    weights : sequence of :class:`float`
        Weight of each map.
    frac : :class:`int`
        Fraction bits of the result.
    relu : :class:`bool`
        True if negative results become zero.

    Raises
    ------
    CompileError
        If the codebook has too few entries for the weights.
    """
    values, numbers = np.unique(weights, return_inverse=True)
    if len(values) >= 1 << config.v_width:
        raise CompileError(f"sums must be of at most {(1 << config.v_width) - 1} formats")
    codebook = np.zeros(1 << config.v_width)
    codebook[1:len(values) + 1] = values
    return Layer(name, spread_channels(n_channels, 1, (numbers + 1).tolist()), codebook,
                 np.zeros(n_channels), relu=relu, output_frac=frac)


def spread_channels(n_channels: int, n_taps: int, codes: Sequence[int] = (1,)) -> csc_array:
    """Make codes with which each channel of a result reads its own channel of each map.

    Parameters
    ----------
    n_taps : :class:`int`
        Taps of the kernel.
    codes : sequence of :class:`int`
        Code for each map, the same for all taps.
    """
    rows = np.tile(np.repeat(np.arange(n_channels), n_taps), len(codes))
    data = np.repeat(np.array(codes, np.uint8), n_channels * n_taps)
    return csc_array((data, rows, np.arange(len(rows) + 1)), shape=(n_channels, len(rows)))


def choose_strip(config: EIEConfig, patches: Patches, *, zeros: bool = False, parts: int = 1
                 ) -> Patches:
    """Choose the shortest strips that need about the fewest cycles, and whose results fit.

    Each channel of the result reads its own of `parts` maps.
    """
    n_channels = patches.shape[0]
    slots = -(-n_channels // config.n_pe)
    height, width = join_rows(patches).output_shape
    cycles = {}
    for pixels in list_strips(patches):
        columns = parts * patches.kernel[0] * strip_reach(
            pixels, stride=patches.stride[1], kernel=patches.kernel[1])
        work = TileWork(columns * (slots if config.local else n_channels),
                        parts * patches.kernel[0],
                        slots * parts * math.prod(patches.kernel) * pixels, slots * pixels, zeros)
        if slots * pixels <= config.acc_depth:
            cycles[pixels] = height * -(-width // pixels) * work.cycles
    enough = TOLERANCE * min(cycles.values(), default=math.inf)
    return dataclasses.replace(patches, loop=min(
        (pixels for pixels, each in cycles.items() if each <= enough), default=1))
