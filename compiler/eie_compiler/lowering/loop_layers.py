"""Layers of a convolution as loops of the machine: their geometry, tiles and places of maps."""

import contextlib
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
from .channel_groups import find_groups, place_groups
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


def make_loops(config: EIEConfig, live: LiveNetwork, patches: Patches, mapping: str
               ) -> list[LoopLayers]:
    """Make loops of the layers of a convolution; the first layer can also be in local mode.

    Parameters
    ----------
    live : :class:`~.dead_rows.LiveNetwork`
        Layers of a pixel, whose inputs are whole channels.
    patches : :class:`~..patches.Patches`
        Geometry, with a loop.
    mapping : :class:`str`
        Assignment of channels to PEs.

    Returns
    -------
    :class:`list` of :class:`LoopLayers`
        Loops to choose from: without local mode, then with it if the machine has it, and the
        channels are not all connected by weights.

    Raises
    ------
    CompileError
        If a layer is not a single loop of this machine; the message names it.
    """
    layers, n_taps = live.network.layers, math.prod(patches.kernel)
    n_channels = len(live.inputs) // n_taps
    places = [np.arange(n_channels),
              *(place_channels(config, np.bincount(layer.codes.indices, minlength=layer.n_rows),
                               patches.loop, mapping) for layer in layers)]
    pitches = [n_channels,
               *(channel_pitch(config, layer.n_rows, patches.loop) for layer in layers)]
    convolutions = plan_convolutions(patches, pitches)
    _check(config, live, convolutions)
    options = [_make_loops(live, patches, convolutions, places)]
    groups = find_groups(layers[0].codes, n_taps) if config.local else None
    if groups is not None and len(groups.weights) > 1:
        places[:2] = place_groups(config, groups, mapping)
        # Each column keeps its PE in all pixels.
        pitches[:2] = (channel_pitch(config, int(place.max()) + 1, 1) for place in places[:2])
        convolutions = plan_convolutions(patches, pitches, local=True)
        with contextlib.suppress(CompileError):    # such pixels may be too large
            _check(config, live, convolutions)
            options.append(_make_loops(live, patches, convolutions, places))
    return options


def _check(config: EIEConfig, live: LiveNetwork, convolutions: Sequence[Convolution]) -> None:
    """Check that each layer is a single loop of this machine; raise :class:`CompileError`."""
    for layer, convolution in zip(live.network.layers, convolutions):
        try:
            convolution.fields(config)
        except CompileError as error:
            raise CompileError(f"layer {layer.name!r}: {error}") from error


def _make_loops(live: LiveNetwork, patches: Patches, convolutions: list[Convolution],
                places: Sequence[NDArray[np.int64]]) -> LoopLayers:
    """Make the tiles of convolutions, and place their maps.

    Parameters
    ----------
    places : sequence of int64 arrays
        Column within a pixel of each channel of the image that remains, then of the results of
        each layer.
    """
    layers = live.network.layers
    whole = np.full((patches.shape[0], math.prod(patches.shape[1:])), NOT_SENT)
    n_taps = math.prod(patches.kernel)
    whole[live.inputs[::n_taps] // n_taps] = _columns(convolutions[0].source, places[0])
    tiles = [_make_tile(*layer) for layer in zip(convolutions, layers, live.formats, places,
                                                 places[1:])]
    network = dataclasses.replace(live.network, layers=tuple(layer for layer, _ in tiles),
                                  patches=None)
    return LoopLayers(
        convolutions,
        dataclasses.replace(live, network=network, formats=[chosen for _, chosen in tiles]),
        [whole.ravel(), *(_columns(convolution.result, place).ravel()
                          for convolution, place in zip(convolutions, places[1:]))])


def plan_convolutions(patches: Patches, pitches: Sequence[int], *, local: bool = False
                      ) -> list[Convolution]:
    """Plan the loop of each layer: a convolution, then 1 × 1 convolutions in strips as long.

    Parameters
    ----------
    pitches : sequence of :class:`int`
        Columns of a pixel of the image, then of the results of each layer.
    local : :class:`bool`
        True if the first layer is in local mode.
    """
    (height, width), output = patches.shape[1:], patches.output_shape
    if _is_pointwise(patches):
        (height, width), output = (1, height * width), (1, math.prod(output))
    first, second, *others = pitches
    found = [Convolution(
        source=FeatureMap(height=height, width=width, pitch=first, row_pixels=width),
        kernel=patches.kernel, stride=patches.stride, dilation=patches.dilation,
        padding=patches.padding[:2], output=output, strip=patches.loop, pitch=second, local=local)]
    for pitch in others:
        found.append(Convolution(source=found[-1].result, kernel=(1, 1), output=output,
                                 strip=patches.loop, pitch=pitch))
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
