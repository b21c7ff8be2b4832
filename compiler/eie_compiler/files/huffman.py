"""Canonical Huffman coding of arrays of small symbols.

A code is defined by the length of each symbol's code word, 0 for a symbol that does not occur. Code
words are assigned in order of length, then of symbol: each is the previous one plus one, shifted
left to its length.
"""

from typing import Any

import numpy as np
from bitarray import bitarray
from bitarray.util import canonical_decode, canonical_huffman, int2ba
from numpy.typing import NDArray

__all__ = ["MAX_LENGTH", "HuffmanError", "code_lengths", "decode", "encode"]

#: Bits of the longest code word that bitarray decodes.
MAX_LENGTH = 31

#: Rarer symbols are counted as a share of 2 ** -20. The length of a code word is at most minus the
#: logarithm, to the base of the golden ratio, of the share of its symbol: here 29 bits.
_RAREST = 20


class HuffmanError(ValueError):
    """Invalid code or bits; the message names the bit where known."""


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Compute the length of each symbol's code word in bits.

    Parameters
    ----------
    counts : int64, n_symbols
        Number of occurrences of each symbol.

    Returns
    -------
    uint8, n_symbols
        0 for a symbol that does not occur, 1 for the only one that does.
    """
    lengths = np.zeros(len(counts), np.uint8)
    present = np.flatnonzero(counts)
    if present.size:
        weights = np.maximum(counts[present], int(counts.sum()) >> _RAREST)
        words, _, _ = canonical_huffman(dict(zip(present.tolist(), weights.tolist())))
        lengths[list(words)] = [len(word) for word in words.values()]
    return lengths


def encode(symbols: NDArray[Any], lengths: NDArray[np.uint8]) -> tuple[bytes, int]:
    """Encode symbols.

    Parameters
    ----------
    symbols : uint8 or uint16, n
        Symbols, each with a code word in `lengths`.
    lengths : uint8, n_symbols
        Code, as from :func:`code_lengths`.

    Returns
    -------
    pair of :class:`bytes` and :class:`int`
        Code words, highest bit first, padded with zeros to a whole byte; and number of bits.
    """
    bits = bitarray(endian="big")
    if symbols.size:    # bitarray takes no code without words
        bits.encode(_words(lengths), np.ascontiguousarray(symbols).data)
    return bits.tobytes(), len(bits)


def decode(content: bytes, n_bits: int, n_symbols: int, lengths: NDArray[np.uint8]
           ) -> NDArray[np.uint16]:
    """Decode symbols from :func:`encode`.

    Memory is allocated for the bits present, not for the number of symbols declared.

    Parameters
    ----------
    content : :class:`bytes`
        Code words, highest bit first, padded with zeros to a whole byte.
    n_bits, n_symbols : :class:`int`
        Bits and symbols that `content` must contain.
    lengths : uint8, n_symbols
        Code, as from :func:`code_lengths`.

    Raises
    ------
    HuffmanError
        If the lengths define no complete code, or the bits are not `n_symbols` code words.
    """
    if not 0 <= n_bits <= 8 * len(content) < n_bits + 8:
        raise HuffmanError(f"bits must end within the last of {len(content)} bytes, "
                           f"not at {n_bits}")
    bits = bitarray(content, endian="big")
    if (at := bits.find(1, n_bits)) >= 0:
        raise HuffmanError(f"bit {at} must be 0, as all after the {n_bits} bits of the words")
    del bits[n_bits:]
    counts, symbols = _tables(lengths)
    if not 0 <= n_symbols <= n_bits or (n_bits > 0 and not len(symbols)):
        raise HuffmanError(f"{n_bits} bits must contain {n_symbols} words of the {len(symbols)} in "
                           f"the code, but they cannot")
    if len(symbols) == 1 and (at := bits.find(1)) >= 0:
        raise HuffmanError(f"bit {at} must be 0, the only word of the code")
    try:
        words = canonical_decode(bits, counts, symbols) if symbols else iter(())
        decoded = np.fromiter(words, np.uint16, n_symbols)
    except ValueError as error:    # in a complete code only the end can be invalid
        raise HuffmanError(f"{n_symbols} words must be in the {n_bits} bits, but these end within "
                           f"the last word") from error
    end = int(np.bincount(decoded, minlength=len(lengths)) @ lengths.astype(np.int64))
    if end != n_bits:
        raise HuffmanError(f"{n_symbols} words must end at bit {n_bits}, not {end}")
    return decoded


def _tables(lengths: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Number of code words of each length, and the symbols in order of code words."""
    symbols = np.flatnonzero(lengths)
    used = lengths[symbols]
    if used.size and used.max() > MAX_LENGTH:
        raise HuffmanError(f"lengths must be from 0 to {MAX_LENGTH}, not {used.max()}")
    # Kraft's sum is 1 if no code word is a prefix of another and every bit sequence decodes.
    filled = int((1 << MAX_LENGTH - used.astype(np.int64)).sum())
    if filled != 1 << MAX_LENGTH and used.tolist() not in ([], [1]):
        raise HuffmanError(f"lengths must be those of a complete prefix code, but the sum of "
                           f"2 ** -length is {filled / (1 << MAX_LENGTH):g}, not 1")
    return (np.bincount(used, minlength=1).tolist(),
            symbols[np.argsort(used, kind="stable")].tolist())


def _words(lengths: NDArray[np.uint8]) -> dict[int, bitarray]:
    """Code word of each symbol."""
    words, word, before = {}, 0, 0
    for symbol in _tables(lengths)[1]:
        length = int(lengths[symbol])
        word <<= length - before
        words[symbol] = int2ba(word, length, "big")
        word, before = word + 1, length
    return words
