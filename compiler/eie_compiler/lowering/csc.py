"""Interleaved CSC with relative indices: encoding to entries and pointers, and decoding."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig, clog2
from eie_hdl.format import Layouts
from eie_hdl.packing import pack, unpack

from ..errors import require_words

__all__ = ["DecodeError", "DecodedLayer", "Encoded", "decode", "encode", "pack_entries",
           "pack_pointers", "require_entries"]


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


def encode(config: EIEConfig, codes: csc_array, rows: NDArray[np.int64],
           cols: NDArray[np.int64]) -> Encoded:
    """Encode one layer.

    Parameters
    ----------
    codes : csc_array of uint8, n_rows × n_cols
        Codebook indices of the nonzero weights.
    rows, cols : int64, n_rows and n_cols
        Column number, slot · n_pe + PE, of each result, and of each input activation.

    Raises
    ------
    CompileError
        If the spmat SRAM of a PE cannot hold the entries.
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
    paddings = zeros >> config.z_width
    end = np.cumsum(paddings + 1)
    n_codes = np.bincount(column, minlength=n_pe * n_tiles * n_columns)
    column_end = np.concatenate([[0], end])[np.cumsum(n_codes)]
    counts = np.diff(column_end, prepend=0).reshape(n_pe, n_tiles, n_columns)
    require_entries(config, [counts])    # before allocating memory for the entries

    n_entries = int(column_end[-1])
    v = np.zeros(n_entries, np.uint8)
    z = np.full(n_entries, config.max_run, np.uint8)
    v[end - 1] = code
    z[end - 1] = zeros & config.max_run
    return Encoded(v, z, counts)


def require_entries(config: EIEConfig, counts: Sequence[NDArray[np.int64]]) -> None:
    """Check that the spmat SRAMs hold the entries of all layers, `counts` as in :class:`Encoded`.

    Raises
    ------
    CompileError
        If a PE has too many entries; the message names the fullest PE.
    """
    entries = sum(count.sum(axis=(1, 2)) for count in counts)
    fullest = int(np.argmax(entries))
    require_words("spmat SRAM", -(-int(entries[fullest]) // config.entries_per_word),
                  config.spmat_depth, "spmat_depth",
                  where=f" for the {entries[fullest]} entries of PE {fullest}",
                  instead=", or n_pe")


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


class DecodeError(ValueError):
    """Invalid images; the message names the descriptor, PE and column."""


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedLayer:
    """Decoded layer, with rows and columns by column number.

    Attributes
    ----------
    codes : csc_array of uint8, n_rows × n_columns
        Codebook indices. Unused rows are empty.
    codebook : int64, ``2 ** v_width``
        Weight of each index.
    bias : int64, n_rows
        Biases before the shift.
    bias_shift, shift : :class:`int`
        Left shift of a bias, and right shift of an accumulator.
    relu : :class:`bool`
        True if negative results become zero.
    source, destination : :class:`int`
        First rows in the activation SRAM.
    """

    codes: csc_array
    codebook: NDArray[np.int64]
    bias: NDArray[np.int64]
    bias_shift: int
    shift: int
    relu: bool
    source: int
    destination: int


def decode(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]],
           start: int = 0) -> list[DecodedLayer]:
    """Decode the layers of the program at `start` from the images alone.

    A layer begins at a tile with `barrier`. The columns of a tile end at the pointers of the next
    tile or at the end of its source.

    Raises
    ------
    DecodeError
        If the program has no end, or a column exceeds its tile or its image.
    """
    program = unpack(Layouts.of(config).descriptor, images["ccu.program"])
    final = np.flatnonzero(program["final"][start:])
    if not len(final):
        raise DecodeError(f"Program must end, but no descriptor from {start} is final")
    steps = range(start, start + int(final[0]) + 1)
    tiles = [step for step in steps if not program["start"]["send"][step]]
    layers: list[list[int]] = []
    for step in tiles:
        if program["barrier"][step] or not layers:
            layers.append([])
        layers[-1].append(step)
    bases = np.unique(program["ptr_base"][tiles])
    memories = _Memories(config, images)
    return [_decode_layer(config, program, memories, bases, layer) for layer in layers]


class _Memories:
    """Contents of the memories of all PEs, unpacked."""

    def __init__(self, config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]) -> None:
        layouts = Layouts.of(config)

        def get(memory: str, shape: Any) -> list[Any]:
            return [unpack(shape, images[f"pe_{pe}.{memory}"]) for pe in range(config.n_pe)]

        spmat = get("spmat", layouts.spmat_word)
        self.v = [words["v"].ravel() for words in spmat]
        self.z = [words["z"].ravel() for words in spmat]
        even, odd = np.stack(get("ptr_even", layouts.ptr)), np.stack(get("ptr_odd", layouts.ptr))
        self.pointers = np.zeros((config.n_pe, even.shape[1] + odd.shape[1]), np.int64)
        self.pointers[:, 0::2], self.pointers[:, 1::2] = even, odd
        self.codebooks = get("codebook", layouts.weight)
        # An image may be shorter than the memory; the remaining words are zero.
        self.activations = np.zeros((config.n_pe, config.act_depth, ACTS_PER_WORD), np.int64)
        for pe, words in enumerate(get("act", layouts.act_word)):
            self.activations[pe, :len(words)] = words


def _decode_layer(config: EIEConfig, program: Any, memories: _Memories,
                  bases: NDArray[np.int64], steps: list[int]) -> DecodedLayer:
    first = steps[0]
    start, end = program["start"], program["end"]
    codebook = int(start["codebook"][first]) << config.v_width
    parts, n_columns, bias = [], 0, []
    for tile, step in enumerate(steps):
        base = int(program["ptr_base"][step])
        later = bases[bases > base]
        limit = int(later[0]) if len(later) else memories.pointers.shape[1] - 1
        n_columns = min((int(start["last_word"][step]) + 1) * ACTS_PER_WORD * config.n_pe,
                        limit - base)
        slots = (int(end["last_word"][step]) + 1) * ACTS_PER_WORD
        rows = int(end["bias"][step]) + np.arange(slots // ACTS_PER_WORD)
        bias.append(memories.activations[:, rows].reshape(config.n_pe, slots))
        for pe in range(config.n_pe):
            row, column, code = _decode_columns(config, memories, step, pe,
                                                memories.pointers[pe, base:base + n_columns + 1],
                                                slots)
            parts.append(((tile * config.acc_depth + row) * config.n_pe + pe, column, code))
    row, column, code = (np.concatenate(part) for part in zip(*parts))
    biases = np.concatenate(bias, axis=1).T.ravel()
    codes = csc_array((code.astype(np.uint8), (row, column)), shape=(len(biases), n_columns))
    codes.sort_indices()
    return DecodedLayer(
        codes=codes, codebook=memories.codebooks[0][codebook:codebook + (1 << config.v_width)],
        bias=biases, bias_shift=int(end["bias_shift"][first]), shift=int(end["shift"][first]),
        relu=bool(end["relu"][first]), source=int(start["source"][first]),
        destination=int(end["destination"][first]))


def _decode_columns(config: EIEConfig, memories: _Memories, step: int, pe: int,
                    pointers: NDArray[np.int64], slots: int) -> tuple[NDArray[np.int64], ...]:
    """Row, column and code of the nonzeros of one tile in one PE."""
    where = f"descriptor {step}, PE {pe}"
    begin = pointers[:-1]
    counts = (pointers[1:] - begin) % (1 << Layouts.of(config).ptr.width)
    if counts.max() > config.acc_depth:
        wrong = int(np.argmax(counts))
        raise DecodeError(f"{where}, column {wrong}: pointers must be at most "
                          f"acc_depth = {config.acc_depth} apart, not {counts[wrong]}")
    column = np.repeat(np.arange(len(counts)), counts)
    first = np.cumsum(counts) - counts
    at = (begin - first)[column] + np.arange(len(column))
    if len(at) and at.max() >= len(memories.v[pe]):
        wrong = column[int(np.argmax(at))]
        raise DecodeError(f"{where}, column {wrong}: entries must be before "
                          f"{len(memories.v[pe])}, the end of the image, not at {at.max()}")
    v, z = memories.v[pe][at], memories.z[pe][at]
    walked = np.concatenate([[0], np.cumsum(z + 1)])
    row = walked[1:] - walked[first][column] - 1
    if len(row) and row.max() >= slots:
        wrong = column[int(np.argmax(row))]
        raise DecodeError(f"{where}, column {wrong}: rows must be below {slots}, the rows of the "
                          f"tile, not {row.max()}")
    return row[v > 0], column[v > 0], v[v > 0]
