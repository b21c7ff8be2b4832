"""Relative indexing of Deep Compression: each nonzero with the number of zeros before it.

The matrix is scanned row by row, as in the published streams of Deep Compression: neighbours in a
row are often neighbouring pixels, whose weights are pruned together, so some runs are frequent.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from . import huffman

__all__ = ["MAX_RUN_WIDTH", "Entries", "RunError", "from_entries", "to_entries"]

#: Maximum width of a run in bits. Wider runs save little padding, and need a larger code table.
MAX_RUN_WIDTH = 12


class RunError(ValueError):
    """Entries that do not encode a matrix."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entries:
    """Nonzeros of a matrix, with padding where a run would be too long.

    Attributes
    ----------
    v : uint8, n_entries
        Codes; 0 is padding.
    z : uint16, n_entries
        Number of zeros before each entry, 0 to ``2 ** run_width - 1``; of padding, the greatest.
    run_width : :class:`int`, 1 to MAX_RUN_WIDTH
        Width of a run in bits.
    """

    v: NDArray[np.uint8]
    z: NDArray[np.uint16]
    run_width: int


def to_entries(codes: csc_array) -> Entries:
    """Encode a matrix of codes with the run width that gives the smallest file."""
    by_row = codes.tocsr()
    row_starts = np.arange(codes.shape[0], dtype=np.int64) * codes.shape[1]
    positions = np.repeat(row_starts, np.diff(by_row.indptr)) + by_row.indices
    zeros = np.diff(positions, prepend=-1) - 1
    run_width = _best_width(by_row.data, zeros)
    longest = (1 << run_width) - 1
    # A padding entry skips a full run and the weight of its own position.
    end = np.cumsum((zeros >> run_width) + 1)
    v = np.zeros(end[-1] if end.size else 0, np.uint8)
    z = np.full(len(v), longest, np.uint16)
    v[end - 1] = by_row.data
    z[end - 1] = zeros & longest
    return Entries(v, z, run_width)


def from_entries(entries: Entries, shape: tuple[int, int]) -> csc_array:
    """Decode entries to a matrix of codes, uint8.

    Raises
    ------
    RunError
        If the entries do not encode a matrix of this shape.
    """
    longest = (1 << entries.run_width) - 1
    padding = entries.v == 0
    if (wrong := np.flatnonzero(padding & (entries.z != longest))).size:
        raise RunError(f"runs[{wrong[0]}] must be {longest}, the run of padding (code 0), "
                       f"not {entries.z[wrong[0]]}")
    if padding.size and padding[-1]:
        raise RunError("codes must not end with padding (code 0)")
    positions = np.cumsum(entries.z + np.int64(1)) - 1
    if positions.size and positions[-1] >= shape[0] * shape[1]:
        raise RunError(f"runs must end within the {shape[0]} × {shape[1]} weights, not at weight "
                       f"{positions[-1]}")
    rows, columns = np.divmod(positions[~padding], shape[1])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return csr_array((entries.v[~padding], columns, indptr), shape=shape).tocsc()


def _best_width(codes: NDArray[np.uint8], zeros: NDArray[np.int64]) -> int:
    """Choose the run width with the smallest Huffman codes, tables included."""
    runs, frequency = np.unique(zeros, return_counts=True)
    frequencies = np.bincount(codes, minlength=1)
    bits = []
    widest = min(int(runs.max(initial=1)).bit_length(), MAX_RUN_WIDTH)
    for width in range(1, widest + 1):
        longest = (1 << width) - 1
        frequencies[0] = n_paddings = int((runs >> width) @ frequency)
        counts = np.zeros(longest + 1, np.int64)
        np.add.at(counts, runs & longest, frequency)
        counts[longest] += n_paddings
        bits.append(_coded_bits(frequencies) + _coded_bits(counts))
    return int(np.argmin(bits)) + 1


def _coded_bits(counts: NDArray[np.int64]) -> int:
    """Estimate the bits of symbols with these counts, and a byte of table for each."""
    return int(counts @ huffman.code_lengths(counts)) + 8 * int(np.count_nonzero(counts))
