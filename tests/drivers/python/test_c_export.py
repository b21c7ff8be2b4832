"""C source of a build: its constants are those of the build, and it is valid C."""

import re
import subprocess

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_compiler.vectors import input_packets, memory_packets
from eie_driver.c_export import ExportError, array, export_files
from eie_hdl.config import PRESETS
from eie_sim.c_driver.program import C_FLAGS

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def build():
    network = random_network(np.random.default_rng(1), [20, 9, 5], density=0.5, frac=4, v_width=3)
    return compile_network(network, TINY, outputs="all")


def values(text, name):
    """Parse the elements of a C array."""
    body = re.search(rf" {name}\[\] = {{(.*?)}};", text, re.S)[1]
    return [int(value.strip().removesuffix("u"), 0) for value in body.split(",") if value.strip()]


@pytest.mark.parametrize("name", ["", "2nd", "Model", "a-b", "eie", "a.b"])
def test_a_name_that_c_cannot_have_is_refused(build, name):
    with pytest.raises(ExportError, match=(
            "^name must be a C identifier of lower-case letters, digits and underscores that "
            f"begins with a letter, other than eie, not {name!r}$")):
        export_files(build, name=name)


def test_packets_are_those_of_the_build(build):
    text = export_files(build)["model.c"]
    packets = memory_packets(build.config, build.images)
    assert values(text, "packets") == [len(packet) for packet in packets]
    assert values(text, "beats") == np.concatenate(packets).tolist()


def test_inputs_have_their_places_in_the_packet(build):
    text = export_files(build)["model.c"]
    places = values(text, "input_places")
    for element, bit in enumerate(places):
        words = np.zeros((1, len(places)), np.int64)
        words[0, element] = -1
        for buffer, header in enumerate(values(text, "input_headers")):
            beats = input_packets(build.config, build.input, words, buffer=buffer)[0]
            assert beats[0] == header
            packet = int.from_bytes(beats[1:].astype("<u8").tobytes(), "little")
            assert packet == (1 << TINY.act_width) - 1 << bit - 64


def test_lines_of_arrays_are_full_but_not_too_long():
    text = array("int", "a", map(str, range(1000)))
    lines = text.splitlines()
    assert values(text, "a") == list(range(1000))
    assert max(map(len, lines)) <= 100
    assert min(map(len, lines[1:-2])) > 90


def test_any_name_of_a_layer_is_a_string(tmp_path):
    name = '??)"\'%d ?? Schicht ä'
    layer = make_layer(np.ones((3, 2), np.uint8), codebook=np.linspace(0, 1, 8), name=name)
    build = compile_network(CompressedNetwork((layer,), input_frac=4, v_width=3), TINY)
    for file, text in export_files(build).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "model.h"\n'
        "int main(void) { fputs(model.outputs[0].name, stdout); return 0; }\n", encoding="utf-8")
    subprocess.run(["gcc", *C_FLAGS, "main.c", "model.c", "-o", "main"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    assert said.decode() == name
