"""Segments of a source, as the scanners of all PEs walk them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.config import ACTS_PER_WORD

from ..golden.loops import Loop

__all__ = ["Segments"]


class Segments(NamedTuple):
    """Segments of the tiles of a descriptor, one tile after another.

    Attributes
    ----------
    first, last : int64 (n_segments,)
        First and last column in the source. The last is lower in a segment that does not exist.
    offset : int64 (n_segments,)
        Column of the tile minus column in the source.
    ends : bool (n_segments,)
        True if the segment is the last of its tile.
    length : :class:`int`
        Columns of the tile that belong to a segment.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    offset: NDArray[np.int64]
    ends: NDArray[np.bool_]
    length: int

    @classmethod
    def whole(cls, n_columns: int) -> "Segments":
        """Return the only segment of a source that is scanned as a whole."""
        one = np.zeros(1, np.int64)
        return cls(one, one + n_columns - 1, one, one == 0, n_columns)

    @classmethod
    def of(cls, loop: Loop) -> "Segments":
        """Find the segments of a loop."""
        n_segments = loop.rows.shape[1]
        x, rows = loop.x.repeat(n_segments), loop.rows.ravel()
        number = np.tile(np.arange(n_segments), loop.n_pixels)
        low, high = np.maximum(x, 0), np.minimum(x + loop.length, loop.width) - 1
        exists = (rows >= 0) & (rows <= loop.last_row) & (low <= high)
        return cls(np.where(exists, rows + low, 0), np.where(exists, rows + high, -1),
                   number * loop.length - rows - x, number == n_segments - 1, loop.length)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return int(self.ends.sum())

    @property
    def skipped(self) -> NDArray[np.bool_]:
        """True for segments that are not scanned; the last of a tile always is."""
        return (self.last < self.first) & ~self.ends

    def words(self, n_pe: int) -> NDArray[np.int64]:
        """Count the words of each segment, one if it does not exist."""
        group = ACTS_PER_WORD * n_pe
        return np.maximum(self.last, self.first) // group - self.first // group + 1

    def origin(self, n_pe: int) -> NDArray[np.int64]:
        """Compute the column of the tile at column 0 of the first word of each segment."""
        group = ACTS_PER_WORD * n_pe
        return self.offset + self.first // group * group

    def mask(self, nonzero: NDArray[np.bool_], n_pe: int) -> NDArray[np.uint8]:
        """Mark those of the four activations of each word that are processed.

        Parameters
        ----------
        nonzero : bool (n_tiles, n_columns)
            By column of the tile; false in columns that do not exist.

        Returns
        -------
        uint8 (n_pe, n_words)
        """
        group, words = ACTS_PER_WORD * n_pe, self.words(n_pe)
        first_word = np.cumsum(words) - words
        tile, column = np.nonzero(nonzero)
        segment = tile * (len(self.first) // self.n_tiles) + column // self.length
        place = column - self.offset[segment]
        word = first_word[segment] + place // group - self.first[segment] // group
        lane, pe = np.divmod(place % group, n_pe)
        mask = np.zeros((n_pe, words.sum()), np.uint8)
        np.add.at(mask, (pe, word), (1 << lane).astype(np.uint8))
        return mask
