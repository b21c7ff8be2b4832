"""Layers of a convolution as loops of the machine: their geometry, tiles and places of maps."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig

from ..errors import CompileError
from ..network import Layer
from ..patches import Patches
from ..vectors import NOT_SENT
from .convolution import Convolution, FeatureMap, channel_pitch
from .dead_rows import LiveNetwork
from .fixed_point import LayerFormat
from .row_mapping import MAPPINGS

__all__ = ["LoopLayers", "make_loops", "map_width", "place_channels", "plan_convolutions"]


class LoopLayers(NamedTuple):
    """Layers that are loops.

    Attributes
    ----------
    convolutions : :class:`list` of :class:`~.convolution.Convolution`
        Geometry of each layer.
    live : :class:`~.dead_rows.LiveNetwork`
        The layers with the matrices of their tiles: row *i* is in PE ``i mod n_pe``, and column *i*
        is column *i* of the tile.
    columns : :class:`list` of int64 arrays
        Column number of each element of the whole image, then of the results of each layer; by
        channel, row, column.
    """

    convolutions: list[Convolution]
    live: LiveNetwork
    columns: list[NDArray[np.int64]]


def make_loops(config: EIEConfig, live: LiveNetwork, patches: Patches, mapping: str) -> LoopLayers:
    """Make loops of the layers of a convolution.

    Parameters
    ----------
    live : :class:`~.dead_rows.LiveNetwork`
        Layers of a pixel, whose inputs are whole channels.
    patches : :class:`~..patches.Patches`
        Geometry, with a loop.
    mapping : :class:`str`
        Assignment of channels to PEs.

    Raises
    ------
    CompileError
        If a layer is not a single loop of this machine; the message names it.
    """
    layers, n_taps = live.network.layers, math.prod(patches.kernel)
    channels = live.inputs[::n_taps] // n_taps
    convolutions = plan_convolutions(config, patches, len(channels),
                                     [layer.n_rows for layer in layers])
    for layer, convolution in zip(layers, convolutions):
        try:
            convolution.fields(config)
        except CompileError as error:
            raise CompileError(f"layer {layer.name!r}: {error}") from error
    places = [np.arange(len(channels)),
              *(place_channels(config, np.bincount(layer.codes.indices, minlength=layer.n_rows),
                               patches.loop, mapping) for layer in layers)]
    whole = np.full((patches.shape[0], math.prod(patches.shape[1:])), NOT_SENT)
    whole[channels] = _columns(convolutions[0].source, places[0])
    tiles = [_make_tile(*layer) for layer in zip(convolutions, layers, live.formats, places,
                                                 places[1:])]
    network = dataclasses.replace(live.network, layers=tuple(layer for layer, _ in tiles),
                                  patches=None)
    return LoopLayers(
        convolutions,
        dataclasses.replace(live, network=network, formats=[chosen for _, chosen in tiles]),
        [whole.ravel(), *(_columns(convolution.result, place).ravel()
                          for convolution, place in zip(convolutions, places[1:]))])


def plan_convolutions(config: EIEConfig, patches: Patches, n_channels: int, n_rows: Sequence[int]
                      ) -> list[Convolution]:
    """Plan the loop of each layer: a convolution, then 1 × 1 convolutions in strips as long.

    Parameters
    ----------
    n_channels : :class:`int`
        Channels of the image.
    n_rows : sequence of :class:`int`
        Channels of the results of each layer.
    """
    (height, width), output = patches.shape[1:], patches.output_shape
    if _is_pointwise(patches):
        (height, width), output = (1, height * width), (1, math.prod(output))
    strip, pitches = patches.loop, [channel_pitch(config, count, patches.loop) for count in n_rows]
    found = [Convolution(
        source=FeatureMap(height=height, width=width, pitch=n_channels, row_pixels=width),
        kernel=patches.kernel, stride=patches.stride, dilation=patches.dilation,
        padding=patches.padding[:2], output=output, strip=strip, pitch=pitches[0])]
    for pitch in pitches[1:]:
        found.append(Convolution(source=found[-1].result, kernel=(1, 1), output=output,
                                 strip=strip, pitch=pitch))
    return found


def map_width(patches: Patches) -> int:
    """Pixels in a row of the result, along which strips are."""
    height, width = patches.output_shape
    return height * width if _is_pointwise(patches) else width


def _is_pointwise(patches: Patches) -> bool:
    """True if each pixel is computed from one, so that an image may be a single row."""
    return patches.kernel == patches.stride == (1, 1) and not any(patches.padding)


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


def _columns(there: FeatureMap, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the columns of a map (channels, pixels), of channels at these places of a pixel."""
    pixels = np.arange(there.height)[:, np.newaxis] * there.row_pixels + np.arange(there.width)
    return places[:, np.newaxis] + pixels.ravel() * there.pitch


def _make_tile(convolution: Convolution, layer: Layer, chosen: LayerFormat,
               sources: NDArray[np.int64], places: NDArray[np.int64]) -> tuple[Layer, LayerFormat]:
    """Make the layer of a strip, from that of a pixel, and its format.

    Channels of the source and of the result are at these places of a pixel. Columns of a result
    without a channel have neither weights nor a bias.
    """
    pitch, n_taps = convolution.pitch, math.prod(convolution.kernel)
    single = layer.codes.tocoo()
    rows, columns = single.coords
    channels, taps = np.divmod(columns, n_taps)
    codes = convolution.codes(csc_array(
        (single.data, (places[rows], sources[channels] * n_taps + taps)),
        shape=(pitch, convolution.source.pitch * n_taps)))

    def repeat(biases: NDArray[Any]) -> NDArray[Any]:
        pixel = np.zeros(pitch, biases.dtype)
        pixel[places] = biases
        return np.tile(pixel, convolution.strip)

    return dataclasses.replace(layer, codes=codes, bias=repeat(layer.bias)), \
        dataclasses.replace(chosen, bias=repeat(chosen.bias))
