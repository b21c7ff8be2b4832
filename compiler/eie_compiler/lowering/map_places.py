"""Places of channels within the pixels of maps, and the layers that are in local mode."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig

from .channel_groups import Links, find_groups, place_groups
from .convolution import channel_pitch
from .loop_cycles import TileWork
from .loop_geometry import join_rows, strip_reach
from .row_mapping import MAPPINGS, row_weights
from .stages import Stage

__all__ = ["PlacedMaps", "place_channels", "place_maps"]


class PlacedMaps(NamedTuple):
    """Maps of a program: that of the image, then the result of each layer.

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


def place_maps(config: EIEConfig, stages: Sequence[Stage], mapping: str, *, local: bool,
               packed: bool = False) -> PlacedMaps:
    """Place the maps of the layers of a program.

    Parameters
    ----------
    stages : sequence of :class:`~.stages.Stage`
        The layers.
    mapping : :class:`str`
        Assignment of channels to PEs.
    local : :class:`bool`
        True for local mode of the layers that need fewer cycles in it. Channels that the weights of
        all these layers connect are then in one PE, in all maps.
    packed : :class:`bool`
        True if no map may become larger by this.
    """
    first = stages[0]
    work = [np.zeros(first.layer.n_cols // first.n_taps, np.int64),
            *(row_weights(stage.layer) for stage in stages)]
    strips = [config.n_pe, *(stage.patches.loop for stage in stages)]
    tried = [at for at, stage in enumerate(stages) if local and not (packed and any(
        channel_pitch(config, len(work[number]), strips[number]) % config.n_pe
        for number in (*stage.sources, at + 1)))]
    modes, grouped = _choose_local(config, stages, tried, work, mapping)
    # Each column of a map that is read or written locally keeps its PE in all pixels.
    multiples = [config.n_pe if number in grouped else channel_pitch(config, 1, strip)
                 for number, strip in enumerate(strips)]
    least = [int(grouped[number].max()) + 1 if number in grouped else len(weights)
             for number, weights in enumerate(work)]
    pitches = _find_pitches(stages, least, multiples)
    places = [grouped[number] if number in grouped
              else place_channels(config, weights, pitch, mapping) if number
              else np.arange(len(weights))    # the first map has no work
              for number, (weights, pitch) in enumerate(zip(work, pitches))]
    return PlacedMaps(places, pitches, modes)


def _find_pitches(stages: Sequence[Stage], least: Sequence[int], multiples: Sequence[int]
                  ) -> list[int]:
    """Find the columns of a pixel of each map: the same for all that a layer reads together."""
    together = list(range(len(least)))
    for stage in stages:
        for number in stage.sources[1:]:
            old, new = together[number], together[stage.sources[0]]
            together = [new if each == old else each for each in together]
    pitches = []
    for group in together:
        members = [number for number, each in enumerate(together) if each == group]
        multiple = max(multiples[number] for number in members)    # all are powers of two
        pitches.append(-(-max(least[number] for number in members) // multiple) * multiple)
    return pitches


def _choose_local(config: EIEConfig, stages: Sequence[Stage], numbers: Iterable[int],
                  work: Sequence[NDArray[np.int64]], mapping: str
                  ) -> tuple[list[bool], dict[int, NDArray[np.int64]]]:
    """Choose the layers in local mode, of these; place the maps that they read and write."""
    modes, places = [False] * len(stages), dict[int, NDArray[np.int64]]()
    fewest = _estimate(config, stages, modes, places)
    for number in numbers:
        tried = [*modes[:number], True, *modes[number + 1:]]
        found = _place_together(config, stages, [at for at, mode in enumerate(tried) if mode],
                                work, mapping)
        if found and (cycles := _estimate(config, stages, tried, found)) < fewest:
            modes, places, fewest = tried, found, cycles
    return modes, places


def _place_together(config: EIEConfig, stages: Sequence[Stage], chosen: Sequence[int],
                    work: Sequence[NDArray[np.int64]], mapping: str
                    ) -> dict[int, NDArray[np.int64]]:
    """Place the maps that the chosen layers read and write, if all are in local mode.

    None are placed if all channels of a layer are connected.
    """
    links = {(source, at + 1): pair for at in chosen
             for source, pair in _link(stages[at], work).items()}
    places: dict[int, NDArray[np.int64]] = {}
    for maps in _find_clusters(links):
        groups = find_groups({pair: each for pair, each in links.items() if pair[0] in maps},
                             {number: work[number] for number in maps})
        if any(len(np.unique(groups.groups[pair[1]])) == 1 for pair in links if pair[0] in maps):
            return {}
        places |= place_groups(config, groups, mapping)
    return places


def _link(stage: Stage, work: Sequence[NDArray[np.int64]]) -> dict[int, Links]:
    """List the channels that the weights of a layer connect, by the number of the source."""
    rows, columns = stage.layer.codes.tocoo().coords
    parts, channels = stage.find_parts([len(work[source]) for source in stage.sources],
                                       columns // stage.n_taps)
    return {source: (channels[parts == part], rows[parts == part].astype(np.int64))
            for part, source in enumerate(stage.sources)}


def _find_clusters(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """Find the sets of maps that are connected."""
    clusters: list[set[int]] = []
    for pair in pairs:
        touched = [cluster for cluster in clusters if cluster & set(pair)]
        clusters = [cluster for cluster in clusters if cluster not in touched]
        clusters.append(set(pair).union(*touched))
    return clusters


def _estimate(config: EIEConfig, stages: Sequence[Stage], local: Sequence[bool],
              places: Mapping[int, NDArray[np.int64]]) -> float:
    """Estimate the cycles of all layers, where some maps are in these places.

    Other maps are taken to be balanced.
    """
    cycles = 0.0
    for result, (stage, is_local) in enumerate(zip(stages, local), 1):
        patches = join_rows(stage.patches)
        strip, (height, width), weights = patches.loop, patches.output_shape, \
            row_weights(stage.layer)
        reach = strip_reach(strip, stride=patches.stride[1], kernel=patches.kernel[1],
                            dilation=patches.dilation[1])
        channels = stage.layer.n_cols // stage.n_taps if not is_local else \
            sum(int(places[source].max()) // config.n_pe + 1 for source in stage.sources)
        fullest, rows = weights.sum() / config.n_pe, len(weights) / config.n_pe
        if result in places:
            fullest = np.bincount(places[result] % config.n_pe, weights).max()
            rows = int(places[result].max()) // config.n_pe + 1
        work = TileWork(channels * patches.kernel[0] * reach,
                        patches.kernel[0] * len(stage.sources), fullest * strip, rows * strip,
                        stage.zeros)
        cycles += height * -(-width // strip) * work.cycles
    return cycles


def place_channels(config: EIEConfig, weights: NDArray[np.int64], pitch: int, mapping: str
                   ) -> NDArray[np.int64]:
    """Place the channels of a result within the columns of a pixel.

    Parameters
    ----------
    weights : int64 (n_channels,)
        Number of weights of each channel.
    pitch : :class:`int`
        Columns of a pixel.
    """
    # Over a strip, columns this far apart are in the same PEs equally often.
    apart = math.gcd(pitch, config.n_pe)
    columns: NDArray[np.int64] = MAPPINGS[mapping](
        dataclasses.replace(config, n_pe=apart), np.pad(weights, (0, pitch - len(weights))))
    return columns[:len(weights)]
