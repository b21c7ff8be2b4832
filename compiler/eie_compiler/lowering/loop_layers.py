"""Layers as loops of the machine: their geometry, tiles and the columns of their maps."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..network import Layer
from ..vectors import NOT_SENT
from .convolution import Convolution, FeatureMap
from .fixed_point import LayerFormat
from .loop_geometry import join_rows
from .map_places import PlacedMaps, place_maps
from .stages import Stage

__all__ = ["LoopLayers", "make_loops"]


class LoopLayers(NamedTuple):
    """Layers that are loops.

    Attributes
    ----------
    convolutions : :class:`list` of :class:`~.convolution.Convolution`
        Geometry of each layer.
    layers : :class:`list` of :class:`~..network.Layer`
        Layers with the matrices of their tiles: row *i* is in PE ``i mod n_pe``, and column *i* is
        column *i* of the tile.
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Their formats.
    columns : :class:`list` of int64 arrays
        Column number of each element of the first map, then of the results of each layer; by
        channel, row, column.
    """

    convolutions: list[Convolution]
    layers: list[Layer]
    formats: list[LayerFormat]
    columns: list[NDArray[np.int64]]


def make_loops(config: EIEConfig, stages: Sequence[Stage], mapping: str, *,
               channels: NDArray[np.int64]) -> list[LoopLayers]:
    """Make loops of layers, each of which reads the result of the one before.

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
        local mode whose channels are not all connected by weights, if there are any.

    Raises
    ------
    CompileError
        If a layer is not a single loop of this machine; the message names it.
    """
    maps = place_maps(config, stages, mapping, local=False)
    options = [_make_loops(config, stages, maps, channels)]
    if config.local:
        maps = place_maps(config, stages, mapping, local=True)
        if any(maps.local):
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
    first = stages[0].patches
    whole = np.full((first.shape[0], math.prod(first.shape[1:])), NOT_SENT)
    whole[channels] = _columns(convolutions[0].source, maps.places[0])
    tiles = [_make_tile(*each) for each in zip(convolutions, stages, maps.places, maps.places[1:])]
    return LoopLayers(
        convolutions, [layer for layer, _ in tiles], [chosen for _, chosen in tiles],
        [whole.ravel(), *(_columns(convolution.result, places).ravel()
                          for convolution, places in zip(convolutions, maps.places[1:]))])


def _plan_convolutions(stages: Sequence[Stage], maps: PlacedMaps) -> list[Convolution]:
    """Plan the loop of each layer, which reads the result of the one before."""
    found: list[Convolution] = []
    for stage, pitches, local in zip(stages, pairwise(maps.pitches), maps.local):
        patches = stage.patches
        _, height, width = patches.shape
        before = found[-1].result if found else None
        # A result that is one row has no surplus pixels between the rows that it is read as.
        row_pixels = before.row_pixels if before and before.height == height else width
        if row_pixels == width:
            patches = join_rows(patches)
            _, height, width = patches.shape
            row_pixels = width
        found.append(Convolution(
            source=FeatureMap(height=height, width=width, pitch=pitches[0], row_pixels=row_pixels),
            kernel=patches.kernel, stride=patches.stride, dilation=patches.dilation,
            padding=patches.padding[:2], output=patches.output_shape, strip=patches.loop,
            pitch=pitches[1], local=local, maximum=stage.maximum, zeros=stage.zeros))
    return found


def _columns(there: FeatureMap, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the columns of a map (channels, pixels), of channels at these places of a pixel."""
    pixels = np.arange(there.height)[:, np.newaxis] * there.row_pixels + np.arange(there.width)
    return places[:, np.newaxis] + pixels.ravel() * there.pitch


def _make_tile(convolution: Convolution, stage: Stage, sources: NDArray[np.int64],
               places: NDArray[np.int64]) -> tuple[Layer, LayerFormat]:
    """Make the layer of a strip, from that of a pixel, and its format.

    Channels of the source and of the result are at these places of a pixel. Columns of a result
    without a channel have neither weights nor a bias.
    """
    pitch, single = convolution.pitch, stage.layer.codes.tocoo()
    rows, columns = single.coords
    channels, taps = np.divmod(columns, stage.n_taps)
    codes = convolution.codes(csc_array(
        (single.data, (places[rows], sources[channels] * stage.n_taps + taps)),
        shape=(pitch, convolution.source.pitch * stage.n_taps)))

    def repeat(biases: NDArray[Any]) -> NDArray[Any]:
        pixel = np.zeros(pitch, biases.dtype)
        pixel[places] = biases
        return np.tile(pixel, convolution.strip)

    return dataclasses.replace(stage.layer, codes=codes, bias=repeat(stage.layer.bias)), \
        dataclasses.replace(stage.chosen, bias=repeat(stage.chosen.bias))
