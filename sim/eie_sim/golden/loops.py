"""Loop of a descriptor: the columns that each pixel reads; part of the golden model."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.numeric import wrap

__all__ = ["Loop"]

#: Column of a pixel that does not exist in the map. It reads the zero after the source.
_NO_PLACE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Loop:
    """Pixels of a descriptor.

    Attributes
    ----------
    n_pixels, n_columns : :class:`int`
        Pixels, and columns of the tile.
    x : int64 (n_pixels,)
        First column of the segments of each pixel, within their rows of the map.
    rows : int64 (n_pixels, n_segments)
        First column of these rows.
    width, length : :class:`int`
        Columns of a row of the map, and of a segment.
    last_row : :class:`int`
        Last column with which a row of the map can begin.
    local : :class:`bool`
        True in local mode.
    """

    n_pixels: int
    n_columns: int
    x: NDArray[np.int64]
    rows: NDArray[np.int64]
    width: int
    length: int
    last_row: int
    local: bool

    @classmethod
    def decode(cls, config: EIEConfig, loop: dict[str, Any], *, n_elements: int, n_rows: int
               ) -> "Loop":
        """Decode the loop of a valid descriptor.

        Parameters
        ----------
        loop : :class:`dict`
            Its fields.
        n_elements, n_rows : :class:`int`
            Elements of the source, and accumulators that each PE writes for a pixel.
        """
        width = Layouts.of(config).descriptor.members["loop"].members["x"].width
        n_pixels = (loop["last_slot"] + 1) // n_rows
        row, place = np.divmod(np.arange(n_pixels), loop["last_x"] + 1)
        segments = np.arange(loop["columns"] // loop["length"]) * loop["segment_step"]
        y = loop["y"] + row * loop["y_step"]
        return cls(n_pixels, loop["columns"], wrap(loop["x"] + place * loop["x_step"], width),
                   wrap(y[:, np.newaxis] + segments, width), loop["width"], loop["length"],
                   n_elements - loop["width"], bool(config.local and loop["local"]))

    def patches(self, source: NDArray[np.int64], n_numbers: int
                ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Yield the activations that the columns of the tile have, for some pixels at a time.

        Parameters
        ----------
        source : int64 (n, batch)
            Source by column number.
        n_numbers : :class:`int`
            Activations at a time; at least those of one pixel.

        Yields
        ------
        activations : int64 (n_columns, pixels, batch)
            Those that do not exist in the map are 0.
        exists : bool (n_columns, pixels)
            True if they exist.
        """
        batch = source.shape[1]
        padded = np.concatenate([source, np.zeros((1, batch), np.int64)])
        step = max(1, n_numbers // max(1, self.n_columns * batch))
        for first in range(0, self.n_pixels, step):
            places = self._places(slice(first, first + step)).T
            yield padded[places], places != _NO_PLACE

    def _places(self, pixels: slice) -> NDArray[np.int64]:
        """Column number in the source of each column of the tile (pixels, n_columns)."""
        columns = self.x[pixels, np.newaxis, np.newaxis] + np.arange(self.length)
        rows = self.rows[pixels, :, np.newaxis]
        exists = (columns >= 0) & (columns < self.width) & (rows >= 0) & (rows <= self.last_row)
        found = np.where(exists, rows + columns, _NO_PLACE).reshape(len(rows), -1)
        # Columns after the last whole segment are never read.
        places = np.full((len(found), self.n_columns), _NO_PLACE)
        places[:, :found.shape[1]] = found
        return places
