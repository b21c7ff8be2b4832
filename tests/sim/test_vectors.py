"""Vectors on their way in and out."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory, pack, unpack
from eie_sim.vectors import (
    VectorError,
    dequantise,
    gather,
    input_packets,
    packet,
    quantise,
    scatter,
)

TINY = PRESETS["tiny"]    # 4 PEs, 8-bit activations


class Vector(NamedTuple):
    name: str
    base_word: int
    columns: NDArray[np.int64]


SHUFFLED = Vector("x", 5, np.array([18, 0, 3, 7]))


def test_halves_are_rounded_up_and_what_is_out_of_range_is_clipped():
    values = [0.5, -0.5, 0.124, 0.125, 15.9, 16, 1e300, -1e300, -16]
    assert quantise(values, 2, 7).tolist() == [2, -2, 0, 1, 63, 63, 63, -64, -64]


def test_negative_fraction_bits_make_a_word_worth_more():
    assert quantise([8, 11, -8], -3, 8).tolist() == [1, 1, -1]
    assert dequantise(np.array([1, -1]), -3).tolist() == [8, -8]


def test_words_survive_the_way_to_numbers_and_back():
    words = np.arange(-128, 128)
    for frac in (-3, 0, 7, 12):
        assert quantise(dequantise(words, frac), frac, 8).tolist() == words.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_rejected(value):
    with pytest.raises(VectorError, match=rf"^Element \[1, 0\] must be a number, not {value}$"):
        quantise([[0.0], [value]], 0, 8)


def test_elements_are_scattered_and_gathered():
    values = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]])
    placed = scatter(SHUFFLED, values, 4)
    assert placed.shape == (2, 32)
    assert placed[0, [18, 0, 3, 7]].tolist() == [1, 2, 3, 4]
    assert np.count_nonzero(placed) == 8
    assert gather(SHUFFLED, placed).tolist() == values.tolist()


def test_wrong_number_of_elements_is_rejected():
    with pytest.raises(VectorError, match=r"^x must have 4 elements for each of a batch, not "
                                          r"shape \(2, 3\)$"):
        scatter(SHUFFLED, np.zeros((2, 3), np.int64), 4)


def test_too_few_columns_are_rejected():
    with pytest.raises(VectorError, match=r"^x must have 19 columns or more, not 16$"):
        gather(SHUFFLED, np.zeros((2, 16), np.int64))


def test_packet_is_a_header_and_the_words_low_beat_first():
    config = EIEConfig(entries_per_word=16)    # 160 bits in three beats
    layouts = Layouts(config)
    entries = np.arange(32).reshape(2, 16)
    words = pack(layouts.spmat_word, {"v": entries % 16, "z": entries})
    beats = packet(config, Memory.SPMAT, words, address=7, pe=3)
    assert beats.shape == (1 + 2 * 3,)
    assert unpack(layouts.load_header, beats[np.newaxis, :1]) == {
        "address": 7, "count": 2, "pe": 3, "everyone": 0, "memory": Memory.SPMAT.value}
    assert beats[1:].reshape(2, 3).tolist() == words.tolist()


def test_packet_for_no_pe_is_for_everyone():
    beats = packet(TINY, Memory.CODEBOOK, pack(Layouts(TINY).weight, np.arange(3)))
    header = unpack(Layouts(TINY).load_header, beats[np.newaxis, :1])
    assert (header["everyone"], header["pe"], header["count"]) == (1, 0, 3)


@pytest.mark.parametrize("config", [TINY, EIEConfig(act_width=24, n_pe=8), EIEConfig(n_pe=1)],
                         ids=["tiny", "two-beats", "one-pe"])
def test_input_packets_fill_the_memories_as_placed(config):
    layouts = Layouts(config)
    rng = np.random.default_rng(5)
    vector = Vector("x", 5, rng.permutation(100)[:60])
    values = rng.integers(-100, 100, (3, 60))
    for sent, expected in zip(input_packets(config, vector, values),
                              scatter(vector, values, config.n_pe)):
        memory = np.zeros((config.n_pe, config.act_depth, 4), np.int64)
        while len(sent):
            header = {name: int(field[0]) for name, field in unpack(
                layouts.load_header, sent[np.newaxis, :1]).items()}
            n_beats = header["count"] * (2 if config.act_width == 24 else 1)
            rows = slice(header["address"], header["address"] + header["count"])
            assert header["memory"] == Memory.ACT.value and not header["everyone"]
            words = sent[1:1 + n_beats].reshape(header["count"], -1)
            memory[header["pe"], rows] = unpack(layouts.act_word, words)
            sent = sent[1 + n_beats:]
        assert not memory[:, :5].any()
        slots = memory[:, 5:].reshape(config.n_pe, -1)
        by_column = slots.T.ravel()
        assert by_column[:len(expected)].tolist() == expected.tolist()
        assert not by_column[len(expected):].any()
