"""Places of channels within the pixels of maps, and the layers that are in local mode."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from .channel_groups import find_groups, follow_groups, place_groups
from .convolution import channel_pitch
from .loop_cycles import TileWork
from .row_mapping import MAPPINGS, row_weights
from .stages import Stage

__all__ = ["PlacedMaps", "place_channels", "place_maps"]


class PlacedMaps(NamedTuple):
    """Maps of successive layers: that of the image, then the result of each layer.

    Attributes
    ----------
    places : :class:`list` of int64 arrays
        Column within a pixel of each channel, for each map.
    pitches : :class:`list` of :class:`int`
        Columns of a pixel, for each map.
    local : :class:`list` of :class:`bool`
        For each layer, true if it is in local mode.
    """

    places: list[NDArray[np.int64]]
    pitches: list[int]
    local: list[bool]


def place_maps(config: EIEConfig, stages: Sequence[Stage], mapping: str, *, local: bool
               ) -> PlacedMaps:
    """Place the maps of layers, each of which reads the result of the one before.

    Parameters
    ----------
    stages : sequence of :class:`~.stages.Stage`
        The layers.
    mapping : :class:`str`
        Assignment of channels to PEs.
    local : :class:`bool`
        True for local mode of the layers that need fewer cycles in it. Channels that their weights
        connect must be able to be in one PE. The result of such a layer is where its source is, and
        the layer after it takes it from there.
    """
    first = stages[0]
    places = [np.arange(first.layer.n_cols // first.n_taps)]
    pitches, modes = [len(places[0])], []
    work = np.zeros(len(places[0]), np.int64)    # of the layer before, for each channel
    is_fixed = False
    for stage in stages:
        weights, strip, found = row_weights(stage.layer), stage.patches.loop, None
        groups = find_groups(stage.layer.codes, stage.n_taps) if local else None
        if groups is not None and len(groups.weights) > 1:
            found = follow_groups(config, groups, places[-1]) if is_fixed else \
                place_groups(config, groups, mapping, before=work)
        is_fixed = found is not None and _is_faster(config, stage, *found)
        modes.append(is_fixed)
        if found is not None and is_fixed:
            places[-1], results = found
            # Each column keeps its PE in all pixels.
            pitches[-1], pitch = (channel_pitch(config, int(each.max()) + 1, 1) for each in found)
        else:
            results = place_channels(config, weights, strip, mapping)
            pitch = channel_pitch(config, len(weights), strip)
        places.append(results)
        pitches.append(pitch)
        work = weights
    return PlacedMaps(places, pitches, modes)


def _is_faster(config: EIEConfig, stage: Stage, sources: NDArray[np.int64],
               results: NDArray[np.int64]) -> bool:
    """Compare the cycles of a pixel in local mode, with channels in these places, and otherwise."""
    weights, n_pe = row_weights(stage.layer), config.n_pe
    local = TileWork(
        stage.n_taps * (int(sources.max()) // n_pe + 1), stage.patches.kernel[0],
        np.bincount(results % n_pe, weights).max(), int(results.max()) // n_pe + 1, stage.zeros)
    broadcast = TileWork(stage.layer.n_cols, stage.patches.kernel[0], weights.sum() / n_pe,
                         -(-len(weights) // n_pe), stage.zeros)
    return bool(local.cycles < broadcast.cycles)


def place_channels(config: EIEConfig, weights: NDArray[np.int64], strip: int, mapping: str
                   ) -> NDArray[np.int64]:
    """Place the channels of a result within the columns of a pixel.

    Parameters
    ----------
    weights : int64 (n_channels,)
        Number of weights of each channel.
    strip : :class:`int`
        Pixels of a strip.
    """
    pitch = channel_pitch(config, len(weights), strip)
    # Over a strip, columns this far apart are in the same PEs equally often.
    apart = math.gcd(pitch, config.n_pe)
    columns: NDArray[np.int64] = MAPPINGS[mapping](
        dataclasses.replace(config, n_pe=apart), np.pad(weights, (0, pitch - len(weights))))
    return columns[:len(weights)]
