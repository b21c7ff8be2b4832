"""Interleaved CSC with relative indices: decoding of memory images to layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, n_drained
from eie_hdl.packing import unpack

__all__ = ["DecodeError", "DecodedLayer", "decode"]


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

    A layer begins at a tile with `barrier`. The columns of a tile are those of its loop; in
    local mode, each PE has its own columns. On a machine without loops, they end at the pointers of
    the next tile or at the end of its source.

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
    is_tile = (program["valid"] == 1) & (program["start"]["send"] == 0)
    bases = np.unique(program["ptr_base"][is_tile])    # of all programs
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
        if config.loops:
            n_columns = int(program["loop"]["columns"][step])
        else:
            n_columns = min((int(start["last_word"][step]) + 1) * ACTS_PER_WORD * config.n_pe,
                            limit - base)
        is_local = config.local and program["loop"]["local"][step] == 1
        slots = int(n_drained(end)[step])
        rows = int(end["bias"][step]) + np.arange(int(end["last_word"][step]) + 1)
        bias.append(memories.activations[:, rows].reshape(config.n_pe, -1)[:, :slots])
        for pe in range(config.n_pe):
            columns = np.arange(pe, n_columns, config.n_pe) if is_local else np.arange(n_columns)
            row, column, code = _decode_columns(config, memories, step, pe, base, columns, slots)
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


def _decode_columns(config: EIEConfig, memories: _Memories, step: int, pe: int, base: int,
                    columns: NDArray[np.int64], slots: int) -> tuple[NDArray[np.int64], ...]:
    """Row, column and code of the nonzeros of one tile in one PE, whose first pointer is `base`."""
    where = f"descriptor {step}, PE {pe}"
    pointers = memories.pointers[pe, base:base + len(columns) + 1]
    begin = pointers[:-1]
    counts = (pointers[1:] - begin) % (1 << Layouts.of(config).ptr.width)
    if counts.max() > config.acc_depth:
        wrong = int(np.argmax(counts))
        raise DecodeError(f"{where}, column {columns[wrong]}: pointers must be at most "
                          f"acc_depth = {config.acc_depth} apart, not {counts[wrong]}")
    place = np.repeat(np.arange(len(counts)), counts)
    column = columns[place]
    first = np.cumsum(counts) - counts
    at = (begin - first)[place] + np.arange(len(place))
    if len(at) and at.max() >= len(memories.v[pe]):
        wrong = column[int(np.argmax(at))]
        raise DecodeError(f"{where}, column {wrong}: entries must be before "
                          f"{len(memories.v[pe])}, the end of the image, not at {at.max()}")
    v, z = memories.v[pe][at], memories.z[pe][at]
    walked = np.concatenate([[0], np.cumsum(z + 1)])
    row = walked[1:] - walked[first][place] - 1
    if len(row) and row.max() >= slots:
        wrong = column[int(np.argmax(row))]
        raise DecodeError(f"{where}, column {wrong}: rows must be below {slots}, the rows of the "
                          f"tile, not {row.max()}")
    return row[v > 0], column[v > 0], v[v > 0]
