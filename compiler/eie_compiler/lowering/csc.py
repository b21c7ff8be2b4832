"""Interleaved CSC with relative indices: encoding to entries and pointers."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import EIEConfig, clog2
from eie_hdl.format import Layouts
from eie_hdl.packing import pack

from ..errors import CompileError
from .capacity import find_spmat_shortage

__all__ = ["Encoded", "SortedCodes", "encode", "pack_entries", "pack_pointers", "sort_codes"]


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """Entries of one layer, ordered by PE, tile, column, row.

    Attributes
    ----------
    v, z : uint8, n_entries
        Codes and zero runs. Code 0 is padding.
    counts : int64, n_pe × n_tiles × n_columns
        Number of entries of each column.
    """

    v: NDArray[np.uint8]
    z: NDArray[np.uint8]
    counts: NDArray[np.int64]

    @property
    def n_paddings(self) -> int:
        """Number of padding entries."""
        return int(np.count_nonzero(self.v == 0))


@dataclasses.dataclass(frozen=True, eq=False)
class SortedCodes:
    """Codes of one layer in the order of its entries, without padding.

    Attributes
    ----------
    codes : uint8, n_codes
        Codebook indices.
    zeros : int64, n_codes
        Rows skipped before each, which may exceed the greatest zero run of an entry.
    counts : int64, n_pe × n_tiles × n_columns
        As in :class:`Encoded`.
    """

    codes: NDArray[np.uint8]
    zeros: NDArray[np.int64]
    counts: NDArray[np.int64]

    def encode(self, config: EIEConfig) -> Encoded:
        """Make the entries, with padding."""
        end = np.cumsum((self.zeros >> config.z_width) + 1)
        n_entries = int(end[-1]) if len(end) else 0
        v = np.zeros(n_entries, np.uint8)
        z = np.full(n_entries, config.max_run, np.uint8)
        v[end - 1] = self.codes
        z[end - 1] = self.zeros & config.max_run
        return Encoded(v, z, self.counts)


def encode(config: EIEConfig, codes: csc_array, rows: NDArray[np.int64],
           cols: NDArray[np.int64]) -> Encoded:
    """Encode one layer; parameters are those of :func:`sort_codes`.

    Raises
    ------
    CompileError
        If the spmat SRAM of a PE cannot hold the entries.
    """
    ordered = sort_codes(config, codes, rows, cols)
    # Before memory for the entries is allocated.
    if message := find_spmat_shortage(config, ordered.counts.sum(axis=(1, 2))):
        raise CompileError(message)
    return ordered.encode(config)


def sort_codes(config: EIEConfig, codes: csc_array, rows: NDArray[np.int64],
               cols: NDArray[np.int64]) -> SortedCodes:
    """Sort the codes of one layer, and count its entries.

    Parameters
    ----------
    codes : csc_array of uint8, n_rows × n_cols
        Codebook indices of the nonzero weights.
    rows, cols : int64, n_rows and n_cols
        Column number, slot · n_pe + PE, of each result, and of each input activation.
    """
    n_pe = config.n_pe
    row_bits = clog2(config.acc_depth)
    n_tiles = -(-(int(rows.max()) // n_pe + 1) // config.acc_depth)
    n_columns = (int(cols.max()) // n_pe + 1) * n_pe

    slot, pe = np.divmod(rows, n_pe)
    tile, accumulator = np.divmod(slot, config.acc_depth)
    # Sort key of PE, tile, column and accumulator, with the code in the low bits. It fits 64 bits
    # because rows and columns share an activation SRAM of at most 2 ** 26 elements.
    row_key = (((pe * n_tiles + tile) * n_columns) << row_bits | accumulator) << config.v_width
    col_key = cols << row_bits + config.v_width
    keys = row_key[codes.indices]
    keys += np.repeat(col_key, np.diff(codes.indptr))
    keys |= codes.data
    keys.sort()

    code = (keys & ((1 << config.v_width) - 1)).astype(np.uint8)
    keys >>= config.v_width
    row = keys & (config.acc_depth - 1)
    keys >>= row_bits
    column = keys    # numbered across all tiles of all PEs

    zeros = row.copy()
    same = column[1:] == column[:-1]
    zeros[1:][same] -= row[:-1][same] + 1
    # A padding entry skips a full run and its own row.
    end = np.cumsum((zeros >> config.z_width) + 1)
    n_codes = np.bincount(column, minlength=n_pe * n_tiles * n_columns)
    column_end = np.concatenate([[0], end])[np.cumsum(n_codes)]
    counts = np.diff(column_end, prepend=0).reshape(n_pe, n_tiles, n_columns)
    return SortedCodes(code, zeros, counts)


def pack_pointers(config: EIEConfig, layers: list[Encoded]) -> NDArray[np.uint64]:
    """Pack the pointers of all tiles; successive tiles share the pointer between them.

    Returns
    -------
    uint64, n_pe × n_pointers × 1
        Pointers by number; even numbers go to one bank, odd numbers to the other.
    """
    counts = np.concatenate([layer.counts.reshape(config.n_pe, -1) for layer in layers], axis=1)
    pointers = np.zeros((config.n_pe, counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=pointers[:, 1:])
    ptr = Layouts.of(config).ptr
    return pack(ptr, pointers % (1 << ptr.width))


def pack_entries(config: EIEConfig, layers: list[Encoded]) -> list[NDArray[np.uint64]]:
    """Pack the spmat words of each PE, uint64 n_words × n_beats, at least one word."""
    lanes, word = config.entries_per_word, Layouts.of(config).spmat_word
    parts: list[list[Encoded]] = [[] for _ in range(config.n_pe)]
    for layer in layers:
        bounds = np.cumsum(layer.counts.sum(axis=(1, 2)))[:-1]
        for part, v, z in zip(parts, np.split(layer.v, bounds), np.split(layer.z, bounds)):
            part.append(Encoded(v, z, layer.counts[:0]))
    images = []
    for part in parts:
        n_entries = sum(len(layer.v) for layer in part)
        n_words = max(1, -(-n_entries // lanes))
        fields = {}
        for name in ("v", "z"):
            field = np.zeros(n_words * lanes, np.uint8)
            np.concatenate([getattr(layer, name) for layer in part], out=field[:n_entries])
            fields[name] = field.reshape(-1, lanes)
        images.append(pack(word, fields))
    return images
