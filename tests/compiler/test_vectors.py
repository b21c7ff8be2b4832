"""Conversion of vectors, and load packets."""

import numpy as np
import pytest
from amaranth.hdl import unsigned

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import (
    NOT_SENT,
    Vector,
    VectorError,
    dequantise,
    first_rows,
    gather,
    input_packets,
    memory_packets,
    n_pieces,
    output_columns,
    packet,
    quantise,
    read_words,
    result_order,
    result_type,
    scatter,
)
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory, n_beats
from eie_hdl.numeric import wrap
from eie_hdl.packing import pack, unpack

TINY = PRESETS["tiny"]    # 4 PEs, 8-bit activations


SHUFFLED = Vector("x", 5, np.array([18, 0, 3, 7]), frac=0)


def small_build():
    network = random_network(np.random.default_rng(1), [10, 9], v_width=3, frac=4)
    return compile_network(network, TINY)


def test_halves_are_rounded_up_and_what_is_out_of_range_is_clipped():
    values = [0.5, -0.5, 0.124, 0.125, 15.9, 16, 1e300, -1e300, -16]
    assert quantise(values, 2, 7).tolist() == [2, -2, 0, 1, 63, 63, 63, -64, -64]


def test_negative_fraction_bits_make_a_word_worth_more():
    assert quantise([8, 11, -8], -3, 8).tolist() == [1, 1, -1]
    assert dequantise(np.array([1, -1]), -3).tolist() == [8, -8]


def test_words_survive_a_round_trip_through_numbers():
    words = np.arange(-128, 128)
    for frac in (-3, 0, 7, 12):
        assert quantise(dequantise(words, frac), frac, 8).tolist() == words.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_rejected(value):
    with pytest.raises(VectorError, match=r"^Inputs must be finite, but element "
                                          rf"\[1, 0\] is {value}$"):
        quantise([[0.0], [value]], 0, 8)


def test_elements_are_scattered_and_gathered():
    values = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]])
    placed = scatter(SHUFFLED, values, 4)
    assert placed.shape == (2, 32)
    assert placed[0, [18, 0, 3, 7]].tolist() == [1, 2, 3, 4]
    assert np.count_nonzero(placed) == 8
    assert gather(SHUFFLED, placed).tolist() == values.tolist()


def test_elements_that_are_not_sent_are_left_out():
    vector = Vector("x", 5, np.array([NOT_SENT, 3, NOT_SENT, 0]), frac=0)
    assert vector.is_sent.tolist() == [False, True, False, True]
    placed = scatter(vector, np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), 1)
    assert placed.tolist() == [[4, 0, 0, 2], [8, 0, 0, 6]]
    with pytest.raises(VectorError, match=r"^x must have shape \(batch, 4\), not \(1, 2\)$"):
        scatter(vector, np.zeros((1, 2), np.int64), 1)


def test_wrong_number_of_elements_is_rejected():
    with pytest.raises(VectorError, match=r"^x must have shape \(batch, 4\), not \(2, 3\)$"):
        scatter(SHUFFLED, np.zeros((2, 3), np.int64), 4)


def test_too_few_columns_are_rejected():
    with pytest.raises(VectorError, match=r"^x must have 19 columns or more, not 16$"):
        gather(SHUFFLED, np.zeros((2, 16), np.int64))


def test_packet_is_a_header_and_the_words_low_beat_first():
    config = EIEConfig(entries_per_word=16)    # 160 bits in three beats
    layouts = Layouts.of(config)
    entries = np.arange(32).reshape(2, 16)
    words = pack(layouts.spmat_word, {"v": entries % 16, "z": entries})
    beats = packet(config, Memory.SPMAT, words, address=7, pe=3)
    assert beats.shape == (1 + 2 * 3,)
    assert unpack(layouts.load_header, beats[np.newaxis, :1]) == {
        "address": 7, "count": 2, "pe": 3, "everyone": 0, "memory": Memory.SPMAT.value,
        "buffer": 0, "reserved": 0}
    assert beats[1:].reshape(2, 3).tolist() == words.tolist()


def test_packet_for_no_pe_is_for_everyone():
    beats = packet(TINY, Memory.CODEBOOK, pack(Layouts.of(TINY).weight, np.arange(3)))
    header = unpack(Layouts.of(TINY).load_header, beats[np.newaxis, :1])
    assert (header["everyone"], header["pe"], header["count"]) == (1, 0, 3)


@pytest.mark.parametrize("config", [TINY, EIEConfig(act_width=24, n_pe=8), EIEConfig(n_pe=1)],
                         ids=["tiny", "two-beats", "one-pe"])
@pytest.mark.parametrize("buffer", [0, 1])
def test_input_packets_fill_the_buffer_as_placed(config, buffer):
    layouts = Layouts.of(config)
    rng = np.random.default_rng(5)
    columns = rng.permutation(100)[:60]
    columns[rng.permutation(60)[:9]] = NOT_SENT
    vector = Vector("x", 5, columns, frac=0)
    values = rng.integers(-100, 100, (3, 60))
    sent = input_packets(config, vector, values, buffer=buffer)
    assert len(sent) == 3
    for beats, expected in zip(sent, scatter(vector, values, config.n_pe)):
        header = {name: int(field[0]) for name, field in unpack(
            layouts.load_header, beats[np.newaxis, :1]).items()}
        assert (header["memory"], header["address"], header["buffer"]) == (
            Memory.INPUT.value, 0, buffer)
        words = beats[1:].reshape(header["count"], n_beats(layouts.act_word))
        # Words of a row come PE by PE; column numbers count slot by slot.
        rows = unpack(layouts.act_word, words).reshape(-1, config.n_pe, 4)
        assert rows.swapaxes(1, 2).ravel().tolist() == expected.tolist()


def test_identical_memories_are_sent_once():
    build = small_build()
    packets = memory_packets(build.config, build.images)
    own = {**build.images, "pe_3.codebook": build.images["pe_3.codebook"] ^ np.uint64(1)}
    # All four PEs have the same codebook, until one is changed.
    assert len(memory_packets(build.config, own)) - len(packets) == 4 - 1
    header = unpack(Layouts.of(build.config).load_header, packets[-1][np.newaxis, :1])
    assert (header["memory"], header["everyone"]) == (Memory.CODEBOOK.value, 1)


def test_every_descriptor_that_sends_up_to_the_final_one_sends_a_vector():
    config = TINY
    shape = Layouts.of(config).descriptor
    build = small_build()
    fields = unpack(shape, np.repeat(build.images["ccu.program"][:1], 4, axis=0))
    fields["start"]["send"] = np.array([1, 0, 1, 1])
    fields["start"]["last_word"] = np.array([2, 5, 0, 7])
    fields["start"]["last_lane"] = np.array([3, 1, 0, 2])
    fields["start"]["last_pe"] = np.array([3, 0, 0, 1])
    fields["final"] = np.array([0, 0, 1, 0])
    assert output_columns(config, pack(shape, fields)) == [3 * 16, 1]
    fields["final"][:] = 0
    assert output_columns(config, pack(shape, fields)) == [3 * 16, 1, 7 * 16 + 2 * 4 + 2]


def test_the_input_is_in_the_rows_that_are_offset_up_to_the_descriptor_that_frees_it():
    shape = Layouts.of(TINY).descriptor
    fields = unpack(shape, np.repeat(small_build().images["ccu.program"][:1], 4, axis=0))
    fields["start"]["source"] = np.array([5, 6, 5, 7])
    fields["start"]["send"] = np.array([0, 0, 0, 1])
    fields["frees_input"] = np.array([0, 0, 1, 0])
    fields["final"] = np.array([0, 0, 0, 1])
    for offset, rows in [([1, 0, 1, 1], [5]), ([1, 1, 1, 1], [5, 6]), ([0, 0, 0, 1], [])]:
        fields["offset_source"] = np.array(offset)
        assert first_rows(TINY, pack(shape, fields)) == (rows, [7])
    fields["frees_input"][:] = 0
    for offset, rows in [([1, 0, 1, 0], [5]), ([1, 1, 0, 0], [5, 6]), ([0, 0, 0, 0], [])]:
        fields["offset_source"] = np.array(offset)
        assert first_rows(TINY, pack(shape, fields)) == (rows, [7])


def test_elements_of_a_result_are_in_order_of_row_and_pe():
    """15 elements: PEs 0 to 2 have four, PE 3 has three; then one more row."""
    first_row = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11]
    assert result_order(TINY, 15).tolist() == first_row
    assert result_order(TINY, 16).tolist() == [*first_row, 15]
    assert result_order(TINY, 22).tolist() == [*first_row, 15, 16, 20, 17, 21, 18, 19]
    assert result_order(EIEConfig(n_pe=1), 6).tolist() == list(range(6))
    for n_columns in range(1, 40):
        assert sorted(result_order(TINY, n_columns)) == list(range(n_columns))


@pytest.mark.parametrize(("width", "bits"), [(4, 8), (8, 8), (9, 16), (16, 16), (17, 32), (24, 32)])
def test_results_take_the_smallest_type_that_holds_them(width, bits):
    assert result_type(EIEConfig(act_width=width)).itemsize * 8 == bits


@pytest.mark.parametrize("width", [1, 8, 9, 63, 64, 65, 160])
def test_words_are_put_together_from_the_pieces_that_are_read(width):
    rng = np.random.default_rng(width)
    words = [rng.bytes(-(-width // 8)) for _ in range(5)]
    numbers = [int.from_bytes(word, "little") % (1 << width) for word in words]
    n = n_pieces(TINY, unsigned(width))
    pieces = [wrap(number >> 8 * piece & 255, 8) for number in numbers for piece in range(n)]
    got = read_words(TINY, unsigned(width), np.array(pieces))
    assert got.shape == (5, n_beats(unsigned(width)))
    assert [sum(int(beat) << 64 * place for place, beat in enumerate(word))
            for word in got] == numbers
