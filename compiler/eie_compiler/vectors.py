"""Conversion of vectors between numbers, fixed-point words, SRAM columns and load packets."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth.hdl import Shape, ShapeLike
from numpy.typing import ArrayLike, NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import (
    BEAT_WIDTH,
    Layouts,
    Memory,
    n_beats,
    n_elements,
    n_pieces,
    result_lane_width,
)
from eie_hdl.numeric import limits
from eie_hdl.packing import pack, unpack

__all__ = [
    "NOT_SENT", "Vector", "VectorError", "dequantise", "first_rows", "gather", "input_packets",
    "memory_packets", "n_input_words", "output_columns", "packet", "quantise", "read_words",
    "result_order", "result_type", "scatter",
]

#: Column number of an element of the input that the host does not send, as no result depends on it.
NOT_SENT = -1


class VectorError(ValueError):
    """Invalid numbers or shape of a vector; the message names the element or vector."""


@dataclasses.dataclass(frozen=True, eq=False)
class Vector:
    """A vector of activations in the activation SRAMs.

    Attributes
    ----------
    name : :class:`str`
        ``input``, or the name of the layer that computes it.
    base_word : :class:`int`
        First row, the same in every PE.
    columns : int64, n_elements
        Column number, slot · n_pe + PE, of each logical element; or, of the input, `NOT_SENT`.
    frac : :class:`int`
        Fraction bits: word `a` represents ``a / 2 ** frac``.
    """

    name: str
    base_word: int
    columns: NDArray[np.int64]
    frac: int

    @property
    def is_sent(self) -> NDArray[np.bool_]:
        """True for each element that has a column."""
        return self.columns != NOT_SENT


def quantise(values: ArrayLike, frac: int | NDArray[np.int64], width: int
             ) -> NDArray[np.int64]:
    """Convert to fixed point: round half up, then saturate.

    Parameters
    ----------
    values
        Numbers, of any shape.
    frac : :class:`int`, or one for each element of the last dimension
        Fraction bits.
    width : :class:`int`
        Width of a word in bits.

    Raises
    ------
    VectorError
        If a value is not finite.
    """
    numbers = np.asarray(values, np.float64)
    if not (finite := np.isfinite(numbers)).all():
        where = np.argwhere(~finite)[0].tolist()
        raise VectorError(f"Inputs must be finite, but element {where} is "
                          f"{numbers[tuple(where)]}")
    low, high = limits(width)
    with np.errstate(over="ignore"):
        # Clip as floats: values beyond 64 bits cannot be converted to integers.
        scaled = np.clip(np.ldexp(numbers, frac), low, high)
    floor = np.floor(scaled)
    # The difference is exact, unlike the sum of a number just below a half, and a half.
    return floor.astype(np.int64) + (scaled - floor >= 0.5)


def dequantise(words: NDArray[np.int64], frac: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Convert fixed-point words to numbers, the inverse of :func:`quantise` up to rounding."""
    return np.ldexp(words.astype(np.float64), -frac)


def scatter(vector: Vector, values: NDArray[np.int64], n_pe: int) -> NDArray[np.int64]:
    """Arrange elements (batch, n) by column number (batch, n_columns), as the compiler placed them.

    The result covers whole rows of the activation SRAMs; unused columns are zero. Elements without
    a column are left out.

    Raises
    ------
    VectorError
        If the number of elements is not that of the vector.
    """
    if values.ndim != 2 or values.shape[1] != len(vector.columns):
        raise VectorError(f"{vector.name} must have shape (batch, {len(vector.columns)}), "
                          f"not {values.shape}")
    group = ACTS_PER_WORD * n_pe
    n_columns = -(-(int(vector.columns.max()) + 1) // group) * group
    placed = np.zeros((len(values), n_columns), np.int64)
    placed[:, vector.columns[vector.is_sent]] = values[:, vector.is_sent]
    return placed


def gather(vector: Vector, placed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Invert :func:`scatter` of a vector whose elements all have columns.

    Raises
    ------
    VectorError
        If there are fewer columns than the vector has.
    """
    if placed.shape[-1] <= vector.columns.max():
        raise VectorError(f"{vector.name} must have {vector.columns.max() + 1} columns or more, "
                          f"not {placed.shape[-1]}")
    return placed[..., vector.columns]


def packet(config: EIEConfig, memory: Memory, words: NDArray[np.uint64], *, address: int = 0,
           pe: int | None = None, buffer: int = 0) -> NDArray[np.uint64]:
    """Make a load packet: a header, then words for consecutive addresses of a memory.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    memory : :class:`~eie_hdl.format.Memory`
        Destination.
    words : uint64 (..., n_words, n_beats)
        Words as from :func:`~eie_hdl.packing.pack`. Leading dimensions make several packets.
    address : :class:`int`
        Address of the first word.
    pe : :class:`int`, optional
        Number of the PE. None: all PEs.
    buffer : :class:`int`
        Number of the input buffer, for an input.

    Returns
    -------
    uint64 (..., 1 + n_words * n_beats)
        Beats of each packet.
    """
    packets, count = words.shape[:-2], words.shape[-2]
    header = pack(Layouts.of(config).load_header, {
        "address": address, "count": count, "pe": pe or 0, "everyone": int(pe is None),
        "memory": memory.value, "buffer": buffer, "reserved": 0})
    beats = words.reshape(*packets, count * words.shape[-1])
    return np.concatenate([np.broadcast_to(header, (*packets, 1)), beats], axis=-1)


def input_packets(config: EIEConfig, vector: Vector, values: NDArray[np.int64], *,
                  buffer: int = 0, whole_rows: bool = True) -> NDArray[np.uint64]:
    """Make the packets that load vectors into an input buffer, up to the last word with an element.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    vector
        Placement of the elements.
    values : int64 (batch, n)
        Elements in logical order.
    buffer : :class:`int`
        Number of the input buffer.
    whole_rows : :class:`bool`
        Load the rest of the last row, too; required if other vectors share the rows of the input.

    Returns
    -------
    uint64 (batch, n_beats)
        One packet for each vector.
    """
    placed = scatter(vector, values, config.n_pe)
    n_rows = placed.shape[1] // (ACTS_PER_WORD * config.n_pe)
    by_slot = placed.reshape(len(values), n_rows, ACTS_PER_WORD, config.n_pe)
    words = pack(Layouts.of(config).act_word, by_slot.swapaxes(2, 3)).reshape(
        len(values), n_rows * config.n_pe, n_beats(Layouts.of(config).act_word))
    return packet(config, Memory.INPUT, buffer=buffer,
                  words=words if whole_rows else words[:, :n_input_words(config, vector)])


def n_input_words(config: EIEConfig, vector: Vector) -> int:
    """Count the words of a vector, row by row and PE by PE, up to the last with an element."""
    slot, pe = np.divmod(vector.columns[vector.is_sent], config.n_pe)
    return int((slot // ACTS_PER_WORD * config.n_pe + pe).max()) + 1


def memory_packets(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]
                  ) -> list[NDArray[np.uint64]]:
    """Make the packets that load all memories.

    Contents that all PEs share are sent once.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : mapping of instance name to uint64 (n_words, n_beats)
        Contents of each memory instance.

    Returns
    -------
    :class:`list` of uint64 (n_beats,)
        Packets in the order in which they must be sent.
    """
    packets = [packet(config, Memory.PROGRAM, images["ccu.program"])]
    for memory in (Memory.SPMAT, Memory.PTR, Memory.ACT, Memory.CODEBOOK):
        words = [_memory_words(images, memory, pe) for pe in range(config.n_pe)]
        if all(np.array_equal(words[0], other) for other in words[1:]):
            packets.append(packet(config, memory, words[0]))
        else:
            packets += [packet(config, memory, word, pe=pe) for pe, word in enumerate(words)]
    return packets


def output_columns(config: EIEConfig, program: NDArray[np.uint64]) -> list[int]:
    """Count the elements of each vector that a program sends to the host.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    program : uint64 (n_descriptors, n_beats)
        Descriptors, from the first one executed.
    """
    start = _used_fields(config, program)["start"]
    counts: list[int] = n_elements(config, start)[start["send"] == 1].tolist()
    return counts


def result_order(config: EIEConfig, n_columns: int) -> NDArray[np.int64]:
    """Return the column number of each element of a packet of results.

    A packet has the elements of PE 0 in the first row of the vector, then of the next PE; after the
    last PE follows the next row.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    n_columns : :class:`int`
        Elements of the vector, in columns 0 to ``n_columns - 1``.

    Returns
    -------
    int64 (n_columns,)
    """
    n_rows = -(-n_columns // (ACTS_PER_WORD * config.n_pe))
    by_slot = np.arange(n_rows * ACTS_PER_WORD * config.n_pe).reshape(n_rows, ACTS_PER_WORD, -1)
    columns = by_slot.swapaxes(1, 2).ravel()
    return columns[columns < n_columns]


def first_rows(config: EIEConfig, program: NDArray[np.uint64]) -> tuple[list[int], list[int]]:
    """Return the rows from which a program reads its input, and those from which it sends vectors.

    Each row of the input is listed once; those of vectors are in the order in which they are sent.

    Parameters
    ----------
    config, program
        As for :func:`output_columns`.
    """
    fields = _used_fields(config, program)
    sources = fields["start"]["source"]
    # The descriptors that read the input end with the one that frees it. None does if there is one
    # input buffer; then only the rows of the input are offset.
    frees_input = fields["frees_input"]
    reads_input = (np.cumsum(frees_input[::-1])[::-1] > 0) | (not frees_input.any())
    return (np.unique(sources[reads_input & (fields["offset_source"] == 1)]).tolist(),
            sources[fields["start"]["send"] == 1].tolist())


def _used_fields(config: EIEConfig, program: NDArray[np.uint64]) -> dict[str, Any]:
    """Unpack the descriptors of a program up to the final one."""
    fields = unpack(Layouts.of(config).descriptor, program)
    ends = np.flatnonzero(fields["final"])
    return unpack(Layouts.of(config).descriptor, program[:ends[0] + 1]) if ends.size else fields


def result_type(config: EIEConfig) -> np.dtype[np.signedinteger[Any]]:
    """Data type of an activation in a packet of results."""
    return np.dtype(f"<i{result_lane_width(config) // 8}")


def read_words(config: EIEConfig, shape: ShapeLike, pieces: NDArray[np.int64]
               ) -> NDArray[np.uint64]:
    """Assemble words (n_words, n_beats) from the pieces in which a memory is read back.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    shape
        Shape of a word.
    pieces : int64 (n_words * n_pieces,)
        Elements of the packet: signed numbers of `act_width` bits, low piece first.
    """
    width = Shape.cast(shape).width
    bits = pieces.reshape(-1, n_pieces(config, shape), 1) >> np.arange(config.act_width) & 1
    padded = np.zeros((len(bits), n_beats(shape) * BEAT_WIDTH), np.uint8)
    padded[:, :width] = bits.reshape(len(bits), -1)[:, :width]
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def _memory_words(images: Mapping[str, NDArray[np.uint64]], memory: Memory, pe: int
                  ) -> NDArray[np.uint64]:
    """Words of a memory of one PE, in the address order of load packets."""
    if memory is not Memory.PTR:
        return images[f"pe_{pe}.{memory.name.lower()}"]
    banks = [images[f"pe_{pe}.ptr_{parity}"] for parity in ("even", "odd")]
    words = np.zeros((2 * max(map(len, banks)), banks[0].shape[1]), np.uint64)
    for parity, bank in enumerate(banks):
        words[parity::2][:len(bank)] = bank
    return words
