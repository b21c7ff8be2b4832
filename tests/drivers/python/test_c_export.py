"""C source of a build: its constants are those of the build, and it is valid C."""

import re
import subprocess

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer, random_network
from eie_driver.c_export import ExportError, export_files
from eie_hdl.config import PRESETS
from eie_sim.c_driver.program import C_FLAGS, DRIVER

TINY = PRESETS["tiny"]

CXX_FLAGS = ("-std=c++17", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", str(DRIVER))


@pytest.fixture(scope="module")
def build():
    network = random_network(np.random.default_rng(1), [20, 9, 5], density=0.5, frac=4, v_width=3)
    return compile_network(network, TINY, outputs="all")


@pytest.mark.parametrize("name", ["", "2nd", "Model", "a-b", "a.b", "../a", "_a", "ä", "a\n"])
def test_a_name_that_c_cannot_have_is_refused(build, name):
    with pytest.raises(ExportError, match=(
            "^name must be a C identifier of lower-case letters, digits and underscores that "
            f"begins with a letter, not {re.escape(repr(name))}$")):
        export_files(build, name=name)


def test_a_name_that_has_a_meaning_in_c_is_refused(build):
    with pytest.raises(ExportError, match=r"^name must not be int, which is a keyword of C or "
                                          r"C\+\+: choose another name$"):
        export_files(build, name="int")


def test_a_name_has_at_most_63_characters(build):
    assert export_files(build, name="n" * 63)
    with pytest.raises(ExportError, match="^name must have at most 63 characters, not 64: 'n+'$"):
        export_files(build, name="n" * 64)


@pytest.mark.parametrize("name", ["digits", "outputs", "beats", "packets", "settings", "expected",
                                  "places_0", "input_places", "input_headers", "config"])
def test_what_a_name_gives_is_c99_and_its_header_is_c17_plus_plus(build, name, tmp_path):
    for file, text in export_files(build, name=name).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    (tmp_path / "use.cpp").write_text(
        f'#include "{name}.h"\nint main() {{ return {name}.n_inputs != {name.upper()}_N_INPUTS; }}',
        encoding="utf-8")
    for command in (["gcc", *C_FLAGS, "-c", f"{name}.c"],
                    ["g++", *CXX_FLAGS, "use.cpp", f"{name}.o", "-o", "use"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "use"], check=True)


@pytest.mark.parametrize("header", sorted(DRIVER.glob("*.h")), ids=lambda path: path.name)
def test_a_header_of_the_driver_is_c99_and_c17_plus_plus_by_itself(header, tmp_path):
    for name, command in (("use.c", ["gcc", *C_FLAGS]), ("use.cpp", ["g++", *CXX_FLAGS])):
        # Included twice: its guard works.
        (tmp_path / name).write_text(f'#include "{header.name}"\n' * 2
                                     + "extern int used;\nint used = 1;\n", encoding="utf-8")
        subprocess.run([*command, "-c", name], cwd=tmp_path, check=True)


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
