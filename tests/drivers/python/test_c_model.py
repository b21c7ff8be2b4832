"""C tables of a program: packets, and the places of inputs in them."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import input_packets, memory_packets
from eie_driver.c_export import export_files
from eie_driver.c_model import count_input_beats
from eie_hdl.config import PRESETS
from support.c_text import read_array
from support.dead_inputs import clear_inputs
from support.driver_builds import compiled_programs
from support.sequences import make_layer

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def build():
    network = random_network(np.random.default_rng(1), [20, 9, 5], density=0.5, frac=4, v_width=3)
    return compile_network(network, TINY, outputs="all")


def test_packets_are_those_of_the_build(build):
    text = export_files(build)["model.c"]
    packets = memory_packets(build.config, build.images)
    assert read_array(text, "model_packets") == [len(packet) for packet in packets]
    assert read_array(text, "model_beats") == np.concatenate(packets).tolist()


def test_inputs_have_their_places_in_the_packet(build):
    text = export_files(build)["model.c"]
    places = read_array(text, "model_input_places")
    for element, bit in enumerate(places):
        words = np.zeros((1, len(places)), np.int64)
        words[0, element] = -1
        for buffer, header in enumerate(read_array(text, "model_input_headers")):
            beats = input_packets(build.config, build.input, words, buffer=buffer)[0]
            assert beats[0] == header
            packet = int.from_bytes(beats[1:].astype("<u8").tobytes(), "little")
            assert packet == (1 << TINY.act_width) - 1 << bit - 64


def test_inputs_that_are_not_sent_have_no_place():
    network = random_network(np.random.default_rng(1), [40, 9], density=0.5, frac=4, v_width=3)
    dead = list(range(3, 23))
    whole, build = (compile_network(each, TINY) for each in (network, clear_inputs(network, dead)))
    texts = export_files(build)
    places = read_array(texts["model.c"], "model_input_places")
    assert [element for element, bit in enumerate(places) if bit < 0] == dead
    assert "MODEL_N_INPUTS = 40," in texts["model.h"]
    assert "MODEL_INPUT_BEATS = 9," in texts["model.h"]    # a header and 2 rows of 4 PEs
    assert count_input_beats(build) == 9
    assert "MODEL_INPUT_BEATS = 13," in export_files(whole)["model.h"]
    words = np.arange(1, 41)[np.newaxis]
    beats = input_packets(build.config, build.input, words)[0]
    packet = int.from_bytes(beats.astype("<u8").tobytes(), "little")
    assert [packet >> bit & 0xFF for bit in places if bit >= 0] == [
        word for element, word in enumerate(words[0].tolist()) if element not in dead]


def test_only_a_program_after_others_has_a_descriptor_and_packets_that_clear():
    for name, build in compiled_programs().items():
        text = export_files(build)["model.c"]
        assert (f".descriptor = {build.first_descriptor}," in text) == (build.first_descriptor > 0)
        clears = build.clearing_packets()
        assert ("_clears" in text) == bool(clears), name
        if clears:
            assert read_array(text, "model_clears") == np.concatenate(clears).tolist()
            assert f".clear_beats = {len(clears[0])}," in text


def test_only_a_model_with_states_has_steps_and_descriptors_that_reset_them():
    build = make_layer(steps=5, buffers=2).build
    text = export_files(build)["model.c"]
    assert ".descriptor = 1," in text and ".steps = 5," in text and ".reset = 2," in text
    text = export_files(dataclasses.replace(build, steps=0, reset=0))["model.c"]
    assert ".steps" not in text and ".reset" not in text
