"""Convolutions as loops of the machine: fields of their descriptors, and the codes of a strip."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import N_SEGMENTS, Layouts, last_element

from ..errors import CompileError
from ..network import Layer
from .fixed_point import LayerFormat
from .loop_geometry import strip_reach
from .strips import repeat_codes

__all__ = ["Convolution", "FeatureMap", "LoopLayers", "channel_pitch", "map_sizes"]


def channel_pitch(config: EIEConfig, channels: int, strip: int) -> int:
    """Compute the columns of a pixel of a result: the fewest with which strips are packed.

    Parameters
    ----------
    channels : :class:`int`
        Channels of the result.
    strip : :class:`int`
        Pixels of a strip, whose columns must be a multiple of the number of PEs.
    """
    multiple = config.n_pe // math.gcd(config.n_pe, strip)
    return -(-channels // multiple) * multiple


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """Packed map in the activation SRAMs. Column numbers count from its first one.

    Attributes
    ----------
    height, width : :class:`int`
        Size in pixels.
    pitch : :class:`int`
        Columns of a pixel, one for each channel and, if need be, some without one.
    row_pixels : :class:`int`
        Pixels from one row to the next: `width`, and surplus ones of strips.
    """

    height: int
    width: int
    pitch: int
    row_pixels: int

    @property
    def row_columns(self) -> int:
        """Columns from one row to the next."""
        return self.row_pixels * self.pitch

    @property
    def n_columns(self) -> int:
        """Columns of the map, with surplus pixels."""
        return self.height * self.row_columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """Geometry of a convolution that is one descriptor.

    Pairs are of numbers along height and width. Padding at the bottom and on the right follows from
    the size of the output.

    Attributes
    ----------
    source : :class:`FeatureMap`
        Map that is read.
    kernel, stride, dilation : pair of :class:`int`
        As of :class:`~..patches.Patches`.
    padding : (top, left)
        Rows and columns of zeros before the map.
    output : (height, width)
        Size of the result in pixels.
    strip : :class:`int`
        Pixels that are computed at a time, neighbours in a row. Surplus pixels fill up the last
        strip of a row, and are part of the results.
    pitch : :class:`int`
        Columns of a pixel of the result, as from :func:`channel_pitch`.
    local : :class:`bool`
        True in local mode, in which weights are only from columns of the source to columns of the
        result in the same PE. The columns of a pixel of both are a multiple of the number of PEs.
    maximum, zeros : :class:`bool`
        As of :class:`~.stages.Stage`.
    parts, distance : :class:`int`
        Maps that are read together, of the geometry of `source`, and columns from the first column
        of one to that of the next. The kernel has a single row.
    """

    source: FeatureMap
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    output: tuple[int, int]
    strip: int = 1
    pitch: int
    local: bool = False
    maximum: bool = False
    zeros: bool = False
    parts: int = 1
    distance: int = 0

    @property
    def result(self) -> FeatureMap:
        """The map that is written."""
        height, width = self.output
        return FeatureMap(height=height, width=width, pitch=self.pitch,
                          row_pixels=-(-width // self.strip) * self.strip)

    @property
    def length(self) -> int:
        """Columns of a segment: from the first pixel under a strip to the last."""
        return self.source.pitch * strip_reach(
            self.strip, stride=self.stride[1], kernel=self.kernel[1], dilation=self.dilation[1])

    @property
    def segments(self) -> int:
        """Segments of a strip: rows of the kernel, of all parts."""
        return self.kernel[0] * self.parts

    @property
    def n_columns(self) -> int:
        """Columns of the tile: those of all segments."""
        return self.segments * self.length

    @property
    def n_strips(self) -> int:
        """Strips of the whole result."""
        return self.result.n_columns // (self.strip * self.pitch)

    def fields(self, config: EIEConfig) -> dict[str, dict[str, Any]]:
        """Compute the fields of the descriptor that depend on the geometry.

        Parameters
        ----------
        config : :class:`~eie_hdl.config.EIEConfig`
            The machine, which must have loops.

        Returns
        -------
        :class:`dict`
            Fields of `start`, `end` and `loop`.

        Raises
        ------
        CompileError
            If the convolution is not a single loop of this machine.
        """
        rows, rest = divmod(self.strip * self.pitch, config.n_pe)
        if rest:
            raise CompileError(f"results of a strip must be a multiple of n_pe = {config.n_pe}, "
                               f"not {self.strip * self.pitch}")
        if rows > config.acc_depth:
            raise CompileError(f"results of a strip must be at most acc_depth = {config.acc_depth} "
                               f"in each PE, not {rows}")
        if self.segments > N_SEGMENTS:
            raise CompileError(f"kernel must have at most {N_SEGMENTS} rows, not {self.segments}")
        if self.local:
            self._check_local(config)
        source, result = self.source, self.result
        x_step, y_step = self.strip * self.stride[1], self.stride[0]
        last_word, last_lane = divmod(rows - 1, ACTS_PER_WORD)
        loop = {
            "x": -self.padding[1] * source.pitch, "x_step": x_step * source.pitch,
            "last_x": result.row_pixels // self.strip - 1,
            "y": -self.padding[0] * source.row_columns, "y_step": y_step * source.row_columns,
            "segment_step": self.distance if self.parts > 1
            else self.dilation[0] * source.row_columns,
            "width": source.width * source.pitch, "length": self.length,
            "columns": self.n_columns, "last_slot": self.n_strips * rows - 1,
            **({"local": 1} if self.local else {})}
        _check_places(config, loop, self.output[0])
        if (self.maximum or self.zeros) and not config.maximum:
            raise CompileError("maximum must be true for maxima of activations")
        maximum = {name: int(getattr(self, name)) for name in ("maximum", "zeros")
                   if config.maximum}
        extent = source.n_columns + (self.parts - 1) * self.distance
        return {"start": {**last_element(config, extent), **maximum},
                "end": {"last_word": last_word, "last_lane": last_lane}, "loop": loop}

    def _check_local(self, config: EIEConfig) -> None:
        """Check that columns keep their PEs in all pixels."""
        for what, pitch in (("source", self.source.pitch), ("result", self.pitch)):
            if pitch % config.n_pe:
                raise CompileError(f"columns of a pixel of the {what} must be a multiple of "
                                   f"n_pe = {config.n_pe} in local mode, not {pitch}")

    def codes(self, codes: csc_array) -> csc_array:
        """Make the codes of a strip: channel `c` of its pixel `p` is row ``p · pitch + c``.

        Parameters
        ----------
        codes : csc_array (n_out, channels · segments · kernel width)
            Codes of a pixel; columns by channel, segment, column, as in a
            :class:`~..network.Layer` with :class:`~..patches.Patches`.

        Returns
        -------
        csc_array (strip · pitch, n_columns)
            Matrix of the tile. Columns that no kernel reads have no codes.
        """
        height, width = self.segments, self.kernel[1]
        channels = np.arange(codes.shape[1] // (height * width))[:, np.newaxis, np.newaxis]
        rows = np.arange(height)[:, np.newaxis] * self.length
        pixels = np.add.outer(np.arange(self.strip) * self.stride[1],
                              np.arange(width) * self.dilation[1])
        columns = channels + rows + pixels[:, np.newaxis, np.newaxis] * self.source.pitch
        return repeat_codes(codes, columns.reshape(self.strip, -1), self.pitch, self.n_columns)


class LoopLayers(NamedTuple):
    """Layers that are loops.

    Attributes
    ----------
    convolutions : :class:`list` of :class:`Convolution`
        Geometry of each layer.
    layers : :class:`list` of :class:`~..network.Layer`
        Layers with the matrices of their tiles: row *i* is in PE ``i mod n_pe``, and column *i* is
        column *i* of the tile.
    formats : :class:`list` of :class:`~.fixed_point.LayerFormat`
        Their formats.
    sources : :class:`list` of :class:`tuple` of :class:`int`
        Maps that each layer reads: 0 is the first map, `i` the result of the `i`-th layer.
    columns : :class:`list` of int64 arrays
        Column number of each element of the first map, then of the results of each layer; by
        channel, row, column.
    """

    convolutions: Sequence[Convolution]
    layers: Sequence[Layer]
    formats: Sequence[LayerFormat]
    sources: Sequence[tuple[int, ...]]
    columns: Sequence[NDArray[np.int64]]


def map_sizes(convolutions: Sequence[Convolution]) -> list[int]:
    """List the columns of the first map, and of the results of each convolution."""
    return [convolutions[0].source.n_columns,
            *(convolution.result.n_columns for convolution in convolutions)]


def _check_places(config: EIEConfig, loop: dict[str, int], n_rows: int) -> None:
    """Check that no place wraps, and that the steps from one to the next have fields."""
    limit = 1 << Layouts.of(config).scan.members["column"].width
    last_segment = (loop["columns"] // loop["length"] - 1) * loop["segment_step"]
    low = min(loop["x"], loop["y"])
    high = max(loop["x"] + loop["last_x"] * loop["x_step"] + loop["length"],
               loop["y"] + (n_rows - 1) * loop["y_step"] + last_segment,
               loop["x_step"], loop["y_step"], loop["segment_step"])
    if low < -limit or high >= limit:
        raise CompileError(f"kernels must be at columns from -{limit} to {limit - 1} of a map, "
                           f"within act_depth = {config.act_depth}, not at {low} to {high}")
