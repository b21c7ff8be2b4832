"""Vectors on their way in and out: numbers, fixed-point words, places in memory, load packets."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.format import Layouts, Memory, pack
from eie_hdl.numeric import limits

__all__ = ["VectorError", "dequantise", "gather", "input_packets", "model_packets", "packet",
           "quantise", "scatter"]


class VectorError(ValueError):
    """Numbers that are no vectors of the machine; the message says which and why."""


class Placed(Protocol):
    """What is needed of a compiler's vector: where its elements are."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def base_word(self) -> int:
        """Row of the activation SRAMs at which it begins."""

    @property
    def columns(self) -> NDArray[np.int64]:
        """Column number of each element."""


def quantise(values: ArrayLike, frac: int, width: int) -> NDArray[np.int64]:
    """Round to fixed point: halves up, and what is out of range to the nearest that is in it.

    Parameters
    ----------
    values
        Numbers, of any shape.
    frac : :class:`int`
        Fraction bits.
    width : :class:`int`
        Bits in all.

    Raises
    ------
    VectorError
        If one of `values` is not a number, or infinite.
    """
    numbers = np.asarray(values, np.float64)
    if not (finite := np.isfinite(numbers)).all():
        where = np.argwhere(~finite)[0].tolist()
        raise VectorError(f"Element {where} must be a number, not {numbers[tuple(where)]}")
    low, high = limits(width)
    # Clipped as floats, since what is beyond 64 bits has no integer.
    return np.clip(np.floor(np.ldexp(numbers, frac) + 0.5), low, high).astype(np.int64)


def dequantise(words: NDArray[np.int64], frac: int) -> NDArray[np.float64]:
    """Invert :func:`quantise`, as far as can be."""
    return np.ldexp(words.astype(np.float64), -frac)


def scatter(vector: Placed, values: NDArray[np.int64], n_pe: int) -> NDArray[np.int64]:
    """Put elements (batch, n) where the compiler placed them: (batch, n_columns) by column number.

    Whole rows of the activation SRAMs are filled; what lies between the elements is zero.

    Raises
    ------
    VectorError
        If there is another number of elements than the vector has.
    """
    if values.ndim != 2 or values.shape[1] != len(vector.columns):
        raise VectorError(f"{vector.name} must have {len(vector.columns)} elements for each of a "
                          f"batch, not shape {values.shape}")
    group = ACTS_PER_WORD * n_pe
    n_columns = -(-(int(vector.columns.max()) + 1) // group) * group
    placed = np.zeros((len(values), n_columns), np.int64)
    placed[:, vector.columns] = values
    return placed


def gather(vector: Placed, placed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Invert :func:`scatter`.

    Raises
    ------
    VectorError
        If there are fewer columns than the vector needs.
    """
    if placed.shape[-1] <= vector.columns.max():
        raise VectorError(f"{vector.name} must have {vector.columns.max() + 1} columns or more, "
                          f"not {placed.shape[-1]}")
    return placed[..., vector.columns]


def packet(config: EIEConfig, memory: Memory, words: NDArray[np.uint64], *, address: int = 0,
           pe: int | NDArray[np.int64] | None = None) -> NDArray[np.uint64]:
    """Beats of load packets, a header and the words after it.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    memory : :class:`~eie_hdl.format.Memory`
        What is loaded.
    words : uint64 (..., n_words, n_beats)
        As :func:`eie_hdl.format.pack` makes them; the leading axes are packets.
    address : :class:`int`
        Where the first word goes.
    pe : :class:`int` or array of the leading axes
        PE it is for; all of them if left out.

    Returns
    -------
    uint64 (..., 1 + n_words * n_beats)
        Beats of each packet.
    """
    packets, count = words.shape[:-2], words.shape[-2]
    numbers = np.zeros(packets, np.int64) if pe is None else np.broadcast_to(pe, packets)
    header = pack(Layouts(config).load_header, {
        "address": address, "count": count, "pe": numbers, "everyone": int(pe is None),
        "memory": memory.value})
    return np.concatenate([header, words.reshape(*packets, -1)], axis=-1)


def input_packets(config: EIEConfig, vector: Placed, values: NDArray[np.int64]
                  ) -> NDArray[np.uint64]:
    """Beats that load an input vector, one packet for each PE.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    vector
        Where the compiler placed the elements.
    values : int64 (batch, n)
        Elements in logical order.

    Returns
    -------
    uint64 (batch, n_beats)
        What to send for each of the batch.
    """
    shape = Layouts(config).act_word
    by_slot = scatter(vector, values, config.n_pe).reshape(len(values), -1, config.n_pe)
    rows = by_slot.swapaxes(1, 2).reshape(len(values), config.n_pe, -1, ACTS_PER_WORD)
    beats = packet(config, Memory.ACT, pack(shape, rows), address=vector.base_word,
                   pe=np.arange(config.n_pe))
    return beats.reshape(len(values), -1)


def model_packets(config: EIEConfig, images: Mapping[str, NDArray[np.uint64]]
                  ) -> NDArray[np.uint64]:
    """Beats that load all memories. What is the same for all PEs is sent once.

    Parameters
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    images : mapping of instance name to uint64 (n_words, n_beats)
        Contents of each memory instance.

    Returns
    -------
    uint64 (n_beats,)
        What to send.
    """
    beats = [packet(config, Memory.PROGRAM, images["ccu.program"], pe=0)]
    for memory in (Memory.SPMAT, Memory.PTR, Memory.ACT, Memory.CODEBOOK):
        words = [_memory_words(images, memory, pe) for pe in range(config.n_pe)]
        if all(np.array_equal(words[0], other) for other in words[1:]):
            beats.append(packet(config, memory, words[0]))
        else:
            beats += [packet(config, memory, word, pe=pe) for pe, word in enumerate(words)]
    return np.concatenate(beats)


def _memory_words(images: Mapping[str, NDArray[np.uint64]], memory: Memory, pe: int
                  ) -> NDArray[np.uint64]:
    """Words of a memory of a PE, as the load stream addresses them."""
    if memory is not Memory.PTR:
        return images[f"pe_{pe}.{memory.name.lower()}"]
    banks = [images[f"pe_{pe}.ptr_{parity}"] for parity in ("even", "odd")]
    words = np.zeros((2 * max(map(len, banks)), banks[0].shape[1]), np.uint64)
    for parity, bank in enumerate(banks):
        words[parity::2][:len(bank)] = bank
    return words
