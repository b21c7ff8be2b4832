"""Canonical Huffman coding of arrays of small symbols.

A code is known by the length of each symbol's word, 0 for a symbol that does not occur: words are
given in order of length, then of symbol, each the one before plus one, shifted to its length.
"""

from typing import Any

import numpy as np
from bitarray import bitarray
from bitarray.util import canonical_decode, canonical_huffman, int2ba
from numpy.typing import NDArray

__all__ = ["MAX_LENGTH", "HuffmanError", "code_lengths", "decode", "encode"]

#: Bits of the longest word that bitarray decodes.
MAX_LENGTH = 31

#: Rarer symbols count as if they made up 2 ** -20 of all. The length of a Huffman word is at most
#: minus the logarithm of its symbol's share to the base of the golden ratio: 29 bits then.
_RAREST = 20


class HuffmanError(ValueError):
    """Bits that are no Huffman code; the message says where, if that is known."""


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits of the word of each symbol.

    Parameters
    ----------
    counts : int64, n_symbols
        How often each symbol occurs.

    Returns
    -------
    uint8, n_symbols
        0 for a symbol that does not occur, 1 for one that is the only one.
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
        Below the length of `lengths`, which must have a word for each of them.
    lengths : uint8, n_symbols
        Code, as from :func:`code_lengths`.

    Returns
    -------
    pair of :class:`bytes` and :class:`int`
        The words, highest bit first, filled up with zeros to a whole byte; and their bits.
    """
    bits = bitarray(endian="big")
    if symbols.size:    # bitarray takes no code without words
        bits.encode(_words(lengths), np.ascontiguousarray(symbols).data)
    return bits.tobytes(), len(bits)


def decode(content: bytes, n_bits: int, n_symbols: int, lengths: NDArray[np.uint8]
           ) -> NDArray[np.uint16]:
    """Decode what :func:`encode` made.

    Memory is taken for the bits that are there, not for the symbols that are announced.

    Parameters
    ----------
    content : :class:`bytes`
        The words, highest bit first, with zeros at the end to a whole byte.
    n_bits, n_symbols : :class:`int`
        Bits and symbols that `content` must hold.
    lengths : uint8, n_symbols
        Code, as from :func:`code_lengths`.

    Raises
    ------
    HuffmanError
        If the lengths are those of no Huffman code, or the bits are not those of `n_symbols` words.
    """
    if not 0 <= n_bits <= 8 * len(content) < n_bits + 8:
        raise HuffmanError(f"bits must end within the last of {len(content)} bytes, "
                           f"not be {n_bits}")
    bits = bitarray(content, endian="big")
    if (at := bits.find(1, n_bits)) >= 0:
        raise HuffmanError(f"bit {at} must be 0, as all behind the {n_bits} of the words")
    del bits[n_bits:]
    counts, symbols = _tables(lengths)
    if not 0 <= n_symbols <= n_bits or (n_bits > 0 and not len(symbols)):
        raise HuffmanError(f"{n_bits} bits must hold {n_symbols} words of the {len(symbols)} in "
                           f"the code, but they cannot")
    if len(symbols) == 1 and (at := bits.find(1)) >= 0:
        raise HuffmanError(f"bit {at} must be 0, as the only word of the code is")
    try:
        words = canonical_decode(bits, counts, symbols) if symbols else iter(())
        decoded = np.fromiter(words, np.uint16, n_symbols)
    except ValueError as error:    # of a complete code only the end can be wrong
        raise HuffmanError(f"{n_symbols} words must be in the {n_bits} bits, but these end before "
                           f"the last word does") from error
    end = int(np.bincount(decoded, minlength=len(lengths)) @ lengths.astype(np.int64))
    if end != n_bits:
        raise HuffmanError(f"{n_symbols} words must be all, but they end at bit {end} of {n_bits}")
    return decoded


def _tables(lengths: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """Number of words of each length, and the symbols in order of their words."""
    symbols = np.flatnonzero(lengths)
    used = lengths[symbols]
    if used.size and used.max() > MAX_LENGTH:
        raise HuffmanError(f"lengths must be from 0 to {MAX_LENGTH}, not {used.max()}")
    # Kraft's sum is 1 if no word begins another one and no bits are left without a meaning.
    filled = int((1 << MAX_LENGTH - used.astype(np.int64)).sum())
    if filled != 1 << MAX_LENGTH and used.tolist() not in ([], [1]):
        raise HuffmanError(f"lengths must be those of a complete prefix code, but the sum of "
                           f"2 ** -length is {filled / (1 << MAX_LENGTH):g}, not 1")
    return (np.bincount(used, minlength=1).tolist(),
            symbols[np.argsort(used, kind="stable")].tolist())


def _words(lengths: NDArray[np.uint8]) -> dict[int, bitarray]:
    """Word of each symbol."""
    words, word, before = {}, 0, 0
    for symbol in _tables(lengths)[1]:
        length = int(lengths[symbol])
        word <<= length - before
        words[symbol] = int2ba(word, length, "big")
        word, before = word + 1, length
    return words
