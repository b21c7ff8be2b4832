"""Layers as loops of the machine: their geometry, tiles and the columns of their maps."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..network import Layer
from ..vectors import NOT_SENT
from .convolution import Convolution, FeatureMap, LoopLayers, map_sizes
from .fixed_point import LayerFormat
from .loop_geometry import join_rows
from .map_places import PlacedMaps, place_maps
from .memory_map import order_vectors
from .stages import Stage

__all__ = ["make_loops"]


def make_loops(config: EIEConfig, stages: Sequence[Stage], mapping: str, *,
               channels: NDArray[np.int64]) -> list[LoopLayers]:
    """Make loops of the layers of a program.

    Parameters
    ----------
    stages : sequence of :class:`~.stages.Stage`
        The layers.
    mapping : :class:`str`
        Assignment of channels to PEs.
    channels : int64 array
        Channel of the first map for each channel that the first layer reads.

    Returns
    -------
    :class:`list` of :class:`LoopLayers`
        Loops to choose from: without local mode, then, if the machine has it, with the layers in
        local mode that need fewer cycles in it, and with those of them alone that make no map
        larger, if there are any.

    Raises
    ------
    CompileError
        If a layer is not a single loop of this machine; the message names it.
    """
    maps = place_maps(config, stages, mapping, local=False)
    options = [_make_loops(config, stages, maps, channels)]
    tried = [maps.local]
    for packed in (False, True) if config.local else ():
        maps = place_maps(config, stages, mapping, local=True, packed=packed)
        if maps.local not in tried:
            tried.append(maps.local)
            with contextlib.suppress(CompileError):    # such pixels may be too large
                options.append(_make_loops(config, stages, maps, channels))
    return options


def _make_loops(config: EIEConfig, stages: Sequence[Stage], maps: PlacedMaps,
                channels: NDArray[np.int64]) -> LoopLayers:
    """Make the tiles of layers whose maps are placed."""
    convolutions = _plan_convolutions(stages, maps)
    for stage, convolution in zip(stages, convolutions):
        try:
            convolution.fields(config)
        except CompileError as error:
            raise CompileError(f"layer {stage.layer.name!r}: {error}") from error
    order = order_vectors(config, map_sizes(convolutions), [stage.sources for stage in stages])
    sources = [tuple(sorted(stage.sources, key=order.index)) for stage in stages]
    first = stages[0].patches
    whole = np.full((first.shape[0], math.prod(first.shape[1:])), NOT_SENT)
    whole[channels] = _columns(convolutions[0].source, maps.places[0])
    tiles = [_make_tile(*each, maps.places, at)
             for at, each in enumerate(zip(convolutions, stages, sources), 1)]
    return LoopLayers(
        convolutions, [layer for layer, _ in tiles], [chosen for _, chosen in tiles], sources,
        [whole.ravel(), *(_columns(convolution.result, places).ravel()
                          for convolution, places in zip(convolutions, maps.places[1:]))])


def _plan_convolutions(stages: Sequence[Stage], maps: PlacedMaps) -> list[Convolution]:
    """Plan the loop of each layer."""
    found: list[Convolution] = []
    for stage, pitch, local in zip(stages, maps.pitches[1:], maps.local):
        patches = stage.patches
        _, height, width = patches.shape
        # A result that is one row has no surplus pixels between the rows that it is read as.
        rows = {before.row_pixels if before.height == height else width
                for before in (found[number - 1].result for number in stage.sources if number)}
        rows |= {width} if 0 in stage.sources else set()
        if len(rows) > 1:
            raise CompileError(f"layer {stage.layer.name!r}: maps must have as many pixels in a "
                               "row as each other")
        (row_pixels,) = rows
        if row_pixels == width:
            patches = join_rows(patches)
            _, height, width = patches.shape
            row_pixels = width
        parts = len(stage.sources)
        if parts > 1 and (parts != len(set(stage.sources)) or parts > 2 or patches.kernel[0] > 1):
            raise CompileError(f"layer {stage.layer.name!r}: maps that are read together must be "
                               f"two, by a kernel of one row, not {parts} by one of "
                               f"{patches.kernel[0]}")
        if parts > 1 and any(patches.padding[::2]):    # rows of one map would be those of the other
            raise CompileError(f"layer {stage.layer.name!r}: maps that are read together must "
                               "have no padding above or below")
        found.append(Convolution(
            source=FeatureMap(height=height, width=width, pitch=maps.pitches[stage.sources[0]],
                              row_pixels=row_pixels),
            kernel=patches.kernel, stride=patches.stride, dilation=patches.dilation,
            padding=patches.padding[:2], output=patches.output_shape, strip=patches.loop,
            pitch=pitch, local=local, maximum=stage.maximum, zeros=stage.zeros, parts=parts))
    return found


def _columns(there: FeatureMap, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the columns of a map (channels, pixels), of channels at these places of a pixel."""
    pixels = np.arange(there.height)[:, np.newaxis] * there.row_pixels + np.arange(there.width)
    return places[:, np.newaxis] + pixels.ravel() * there.pitch


def _make_tile(convolution: Convolution, stage: Stage, sources: tuple[int, ...],
               maps: Sequence[NDArray[np.int64]], result: int) -> tuple[Layer, LayerFormat]:
    """Make the layer of a strip, from that of a pixel, and its format.

    Channels are at these places of a pixel of each map. Columns of a result without a channel have
    neither weights nor a bias.
    """
    pitch, places, single = convolution.pitch, maps[result], stage.layer.codes.tocoo()
    rows, columns = single.coords
    channels, taps = np.divmod(columns, stage.n_taps)
    parts, channels = stage.find_parts([len(maps[source]) for source in stage.sources], channels)
    within, segments = np.empty_like(channels), np.empty_like(channels)
    for part, source in enumerate(stage.sources):
        within[parts == part] = maps[source][channels[parts == part]]
        segments[parts == part] = sources.index(source)
    n_taps = len(sources) * stage.n_taps
    codes = convolution.codes(csc_array(
        (single.data, (places[rows], within * n_taps + segments * stage.n_taps + taps)),
        shape=(pitch, convolution.source.pitch * n_taps)))

    def repeat(biases: NDArray[Any]) -> NDArray[Any]:
        pixel = np.zeros(pitch, biases.dtype)
        pixel[places] = biases
        return np.tile(pixel, convolution.strip)

    layer = dataclasses.replace(stage.layer, codes=codes, bias=repeat(stage.layer.bias))
    chosen = dataclasses.replace(stage.chosen, bias=repeat(stage.chosen.bias))
    if chosen.scales is not None:
        chosen = dataclasses.replace(chosen, scales=chosen.scales.spread(repeat))
    return layer, chosen
