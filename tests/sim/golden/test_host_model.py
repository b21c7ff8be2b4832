"""HostModel against packets assembled by hand."""

import zlib

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import input_packets, memory_packets, packet, scatter
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts, Memory
from eie_hdl.packing import pack
from eie_hdl.registers import Error
from eie_sim.golden.host_model import Fault, HostModel
from eie_sim.golden.model import GoldenModel

TINY = PRESETS["tiny"]    # 4 PEs, words of one beat
WIDE = EIEConfig(n_pe=2, act_width=24)    # 96 bits of activations: two beats


def beats_of(config, words, **header):
    """Packet with the given header fields; the others are zero."""
    layout = Layouts.of(config).load_header
    fields = {name: 0 for name, _ in layout} | header
    return np.concatenate([pack(layout, fields), np.array(words, np.uint64)])


@pytest.fixture
def machine():
    machine = HostModel(TINY)
    machine.input_base, machine.input_words, machine.input_stride = 10, 4, 6
    return machine


def test_words_go_to_the_address_in_the_header(machine):
    assert machine.take(beats_of(TINY, [1, 2], memory=Memory.SPMAT.value, address=5, count=2,
                                 pe=3)) is None
    assert machine.take(beats_of(TINY, [7], memory=Memory.PTR.value, address=2, count=1,
                                 everyone=1, pe=200)) is None
    assert machine.words[Memory.SPMAT][3, 5:7, 0].tolist() == [1, 2]
    assert np.count_nonzero(machine.words[Memory.SPMAT]) == 2
    assert machine.images()["pe_1.ptr_even"][1] == 7


def test_words_of_an_input_go_to_the_pes_in_turn(machine):
    assert machine.take(beats_of(TINY, range(1, 7), memory=Memory.INPUT.value, address=1, count=6,
                                 buffer=1)) is None
    rows = machine.words[Memory.ACT][:, 10 + 6 + 1:, 0].T
    assert rows[:2].tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]


def test_unused_bits_of_a_word_are_masked(machine):
    machine.take(beats_of(TINY, [2**64 - 1], memory=Memory.CODEBOOK.value, count=1))
    assert machine.words[Memory.CODEBOOK][0, 0, 0] == 2**TINY.codebook_width - 1


@pytest.mark.parametrize(("header", "fault"), [
    ({"memory": 7, "pe": 9, "address": 3}, Fault(Error.BAD_HEADER, 3, 7, 9)),
    ({"memory": 6}, Fault(Error.BAD_HEADER, 0, 6)),
    ({"reserved": 2}, Fault(Error.BAD_HEADER)),
    ({"pe": 4, "address": 2**24 - 1}, Fault(Error.BAD_PE, 2**24 - 1, 0, 4)),
    ({"address": 256}, Fault(Error.BAD_ADDRESS, 256)),
    ({"memory": 4, "pe": 4, "address": 16}, Fault(Error.BAD_ADDRESS, 16, 4, 4)),
    ({"memory": 5, "address": 4}, Fault(Error.BAD_ADDRESS, 4, 5)),
    ({"address": 7, "count": 2}, Fault(Error.TRUNCATED, 8)),
    ({"address": 7, "count": 0}, Fault(Error.OVERLONG, 7)),
])
def test_invalid_headers_are_reported(machine, header, fault):
    assert machine.take(beats_of(TINY, [1], **{"count": 1} | header)) == fault


@pytest.mark.parametrize("buffer", [0, 1])
def test_input_buffers_must_fit_the_memory(machine, buffer):
    beats = beats_of(TINY, [1], memory=Memory.INPUT.value, count=1, buffer=buffer)
    machine.input_base = TINY.act_depth - 10
    assert machine.take(beats) is None
    machine.input_base += 1
    assert machine.take(beats) == Fault(Error.BAD_ADDRESS, 0, 5)


def test_memories_in_use_are_not_written_but_input_buffers_are(machine):
    """A packet for an input buffer has waited until it is free."""
    machine.running = True
    assert machine.take(beats_of(TINY, [1], count=1)) == Fault(Error.LOAD_IN_USE)
    machine.clear()
    header = {"memory": Memory.INPUT.value, "count": 1}
    for buffer in range(2):
        assert machine.take(beats_of(TINY, [1], **header, buffer=buffer)) is None


def test_words_complete_before_a_fault_stay_written():
    machine = HostModel(WIDE)
    header = {"memory": Memory.ACT.value, "count": 2}
    assert machine.take(beats_of(WIDE, [1, 2, 3], **header)) == Fault(Error.TRUNCATED, 1, 2)
    assert machine.words[Memory.ACT][0, :2].tolist() == [[1, 2], [0, 0]]
    machine.clear()
    whole = np.array([1, 1, 1, 1, 0], bool)
    assert machine.take(beats_of(WIDE, [4, 5, 6, 7], **header), whole) == \
        Fault(Error.PARTIAL_BEAT, 1, 2)
    assert machine.words[Memory.ACT][0, :2].tolist() == [[4, 5], [0, 0]]
    machine.clear()
    assert machine.take(beats_of(WIDE, range(6), **header)) == Fault(Error.OVERLONG, 2, 2)
    assert machine.words[Memory.ACT][0, :3].tolist() == [[0, 1], [2, 3], [0, 0]]


def test_the_first_error_stays_until_it_is_cleared(machine):
    assert machine.take(beats_of(TINY, [1], count=1), np.zeros(2, bool)) == \
        Fault(Error.PARTIAL_BEAT)
    assert machine.take(beats_of(TINY, [1], memory=7)) is None
    assert machine.take(beats_of(TINY, [1], count=1)) is None
    assert machine.error == Fault(Error.PARTIAL_BEAT)
    assert not machine.words[Memory.SPMAT].any()


def test_the_checksum_is_that_of_beats_that_were_taken(machine):
    good = beats_of(TINY, [1, 2], count=2)
    machine.take(good)
    machine.take(beats_of(TINY, [1] * 4, memory=Memory.INPUT.value, count=4))
    machine.take(beats_of(TINY, [3, 4, 5], count=2))
    assert machine.checksum == zlib.crc32(
        good.tobytes() + beats_of(TINY, [3, 4], count=2).tobytes())
    machine.clear()
    machine.take(beats_of(TINY, [], count=2))
    machine.take(beats_of(TINY, [1], memory=7, count=1))
    assert machine.checksum == zlib.crc32(
        good.tobytes() + beats_of(TINY, [3, 4], count=2).tobytes())


@pytest.mark.parametrize("buffer", [0, 1])
def test_a_program_runs_on_what_was_loaded(buffer):
    network = random_network(np.random.default_rng(1), [20, 12, 5], v_width=3, frac=4)
    build = compile_network(network, TINY, outputs="all")
    inputs = np.random.default_rng(2).integers(-99, 99, (1, 20))
    machine = HostModel(TINY)
    machine.input_base, machine.input_words = build.input.base_word, build.input_words
    machine.input_stride = build.input_stride
    for beats in [*memory_packets(TINY, build.images),
                  *input_packets(TINY, build.input, inputs, buffer=buffer)]:
        assert machine.take(beats) is None
    outputs = machine.run(0, buffer)
    expected = GoldenModel(TINY, build.images).run(scatter(build.input, inputs, 4),
                                                   build.input.base_word)
    assert [output.tolist() for output in outputs] == [each[0].tolist() for each in expected]
    # The activation SRAMs now hold the last layer's results, in the region of the buffer.
    last = build.layers[-1]
    first = last.base_word + buffer * build.input_stride
    machine.take(packet(TINY, Memory.PROGRAM, machine._dump_activations()))
    (shown,) = machine.run()
    assert shown[first * 16:][last.columns].tolist() == \
        expected[-1][0][last.columns].tolist()
