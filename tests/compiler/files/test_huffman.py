import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_compiler.files.huffman import MAX_LENGTH, HuffmanError, code_lengths, decode, encode


def coded(symbols, n_symbols):
    lengths = code_lengths(np.bincount(symbols, minlength=n_symbols))
    return *encode(symbols, lengths), lengths


@settings(max_examples=100)
@given(st.lists(st.integers(0, 40), max_size=200))
def test_decoded_is_what_was_encoded(symbols):
    symbols = np.array(symbols, np.uint8)
    content, n_bits, lengths = coded(symbols, 41)
    assert decode(content, n_bits, len(symbols), lengths).tolist() == symbols.tolist()


def test_large_symbols_are_decoded():
    symbols = np.random.default_rng(1).geometric(0.002, 5000).clip(0, 4095).astype(np.uint16)
    content, n_bits, lengths = coded(symbols, 4096)
    assert np.array_equal(decode(content, n_bits, len(symbols), lengths), symbols)


def test_no_symbols_need_no_bits():
    assert encode(np.zeros(0, np.uint8), np.zeros(4, np.uint8)) == (b"", 0)
    assert decode(b"", 0, 0, np.zeros(4, np.uint8)).tolist() == []
    assert decode(b"", 0, 0, np.zeros(0, np.uint8)).tolist() == []


def test_a_single_symbol_takes_a_bit_each_time():
    content, n_bits, lengths = coded(np.full(9, 3, np.uint8), 4)
    assert (content, n_bits, lengths.tolist()) == (b"\0\0", 9, [0, 0, 0, 1])


def test_words_are_canonical():
    # By length, then by symbol: 2 is 0, 0 is 10, 1 is 110, 3 is 111.
    assert encode(np.array([2, 0, 1, 3], np.uint8), np.array([2, 3, 1, 3], np.uint8)) \
        == (bytes([0b01011011, 0b10000000]), 9)


def test_a_code_is_as_short_as_huffmans():
    counts = np.array([5, 9, 12, 13, 16, 45])    # Cormen et al., Introduction to Algorithms
    assert int(counts @ code_lengths(counts)) == 224


def test_a_code_is_within_a_bit_of_the_entropy():
    counts = np.random.default_rng(2).integers(1, 1000, 256)
    share = counts / counts.sum()
    entropy = -(share * np.log2(share)).sum()
    assert entropy <= share @ code_lengths(counts) < entropy + 1


@pytest.mark.parametrize("n_symbols, longest", [(28, 27), (60, 17)])
def test_no_word_is_longer_than_can_be_decoded(n_symbols, longest):
    counts = np.ones(n_symbols, np.int64)    # Fibonacci's numbers make the longest words
    for n in range(2, n_symbols):
        counts[n] = counts[n - 1] + counts[n - 2]
    lengths = code_lengths(counts)
    assert lengths.all() and longest == lengths.max() <= MAX_LENGTH
    symbols = np.arange(n_symbols, dtype=np.uint8)
    assert decode(*encode(symbols, lengths), n_symbols, lengths).tolist() == symbols.tolist()


@pytest.mark.parametrize("content, n_bits, n_symbols, lengths, message", [
    (b"\0", 8, 8, [1, 1, 1],
     "lengths must be those of a complete prefix code, but the sum of 2 ** -length is 1.5, not 1"),
    (b"\0", 8, 8, [2, 1],
     "lengths must be those of a complete prefix code, but the sum of 2 ** -length is 0.75, not 1"),
    (b"\0", 8, 4, [2],
     "lengths must be those of a complete prefix code, but the sum of 2 ** -length is 0.25, not 1"),
    (b"\0", 8, 1, [32], "lengths must be from 0 to 31, not 32"),
    (b"\0", 9, 8, [1, 1], "bits must end within the last of 1 bytes, not at 9"),
    (b"\0\0", 8, 8, [1, 1], "bits must end within the last of 2 bytes, not at 8"),
    (b"", -1, 0, [1, 1], "bits must end within the last of 0 bytes, not at -1"),
    (b"\x01", 7, 7, [1, 1], "bit 7 must be 0, as all after the 7 bits of the words"),
    (b"\x10", 8, 8, [1], "bit 3 must be 0, the only word of the code"),
    (b"\0", 8, 0, [], "8 bits must contain 0 words of the 0 in the code, but they cannot"),
    (b"\0", 8, 9, [1, 1], "8 bits must contain 9 words of the 2 in the code, but they cannot"),
    (b"\0", 8, -1, [1, 1], "8 bits must contain -1 words of the 2 in the code, but they cannot"),
    (b"", 0, 10 ** 12, [1, 1], "0 bits must contain 1000000000000 words of the 2 in the code, but "
                               "they cannot"),
    (b"\x01", 8, 8, [1, 2, 2], "8 words must be in the 8 bits, but these end within the last word"),
    (b"\xff", 8, 5, [1, 2, 2], "5 words must be in the 8 bits, but these end within the last word"),
    (b"\x00", 8, 7, [1, 2, 2], "7 words must end at bit 8, not 7"),
])
def test_invalid_codes_are_refused(content, n_bits, n_symbols, lengths, message):
    with pytest.raises(HuffmanError, match=f"^{re.escape(message)}$"):
        decode(content, n_bits, n_symbols, np.array(lengths, np.uint8))


def test_random_bits_are_refused_or_decoded():
    rng, n_refused = np.random.default_rng(3), 0
    lengths = np.array([1, 2, 4, 4, 4, 4], np.uint8)
    for _ in range(300):
        content = rng.bytes(4)
        n_symbols = int(rng.integers(8, 20))
        try:
            symbols = decode(content, 32, n_symbols, lengths)
        except HuffmanError:
            n_refused += 1
        else:
            assert encode(symbols, lengths) == (content, 32)
    assert 0 < n_refused < 300
