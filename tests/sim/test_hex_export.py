"""Builds in plain Verilog: two machines and three networks in one simulation, without Python."""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_sim.hex_export import HexExportError, example_inputs, export_hex
from eie_sim.rtl.cache import make_once
from eie_sim.rtl.simulators import run_step
from eie_sim.rtl.toolchain import find_verilator
from eie_sim.rtl.verilator_host import verilog
from support.short import icarus_in_short

MACHINES = {"left": dataclasses.replace(PRESETS["tiny"], n_pe=2), "right": PRESETS["tiny"]}

#: Network -> its machine, and sizes of its layers. Two networks are on machines of one kind.
NETWORKS = {"one": ("left", [20, 9, 5]), "two": ("right", [11, 14]), "three": ("left", [7, 6, 13])}

#: All benches in one design, which ends when all have ended. Nothing in it but the benches.
TOP = ("module everything;\n    wire [2:0] done, failed;\n" + "".join(
    f'    {name}_bench #(.FOLDER("{name}"), .FINISH(0)) {name} (.done(done[{n}]), '
    f".failed(failed[{n}]));\n" for n, name in enumerate(NETWORKS))
    + "    initial begin\n        wait (done == 3'b111);\n"
      "        if (failed != 0) $fatal(1, \"a bench failed\");\n        $finish;\n    end\n"
      "endmodule\n")


def make_build(name):
    machine, sizes = NETWORKS[name]
    rng = np.random.default_rng(list(NETWORKS).index(name))
    network = random_network(rng, sizes, density=0.5, frac=4, v_width=3)
    return compile_network(network, MACHINES[machine], outputs="all")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder with the exports of all networks."""
    path = tmp_path_factory.mktemp("exported")
    for name, (machine, _) in NETWORKS.items():
        build = make_build(name)
        export_hex(build, path / name, example_inputs(build), words=True, name=name,
                   machine=machine)
    return path


@pytest.fixture
def run(exported, simulator, simulators, tmp_path):
    """Run the simulation of all benches in a copy of the exports, after a change to it."""
    texts = {"everything.v": TOP}
    for name, config in MACHINES.items():
        files = verilog(config, simulators, name=name)
        texts |= {file: files[file] for file in [*files[f"{name}.f"].split(), f"{name}.vlt"]}
    for name in NETWORKS:
        texts[f"{name}_bench.v"] = (exported / name / f"{name}_bench.v").read_text(encoding="utf-8")
    sources = [file for file in texts if file.endswith(".v")]
    command = {"icarus": ["iverilog", "-g2005", "-Wall", "-DLEFT_CHECK_COLLISIONS",
                          "-DRIGHT_CHECK_COLLISIONS", "-s", "everything", "-o", "simulation"],
               # Compiled quickly rather than well.
               "verilator": [find_verilator().path, "--binary", "--timing", "-j", "2",
                             "-DLEFT_CHECK_COLLISIONS", "-DRIGHT_CHECK_COLLISIONS",
                             "-MAKEFLAGS", "OPT_FAST=-O0", "-MAKEFLAGS", "OPT_GLOBAL=-O0",
                             "-MAKEFLAGS", "VM_PARALLEL_BUILDS=0",
                             "--top-module", "everything", "-o", "../simulation",
                             "left.vlt", "right.vlt"]}[simulator]

    def make(folder):
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        run_step([*command, *sources], folder)
        assert not re.search("warning", (folder / "build.log").read_text(encoding="utf-8"), re.I)

    program = make_once(simulators, f"everything-{simulator}", [texts, command], make)
    copy = tmp_path / "copy"

    def start(change=lambda folder: None):
        shutil.copytree(exported, copy)
        change(copy)
        interpreter = ["vvp", "-n"] if simulator == "icarus" else []
        return subprocess.run([*interpreter, program / "simulation"], cwd=copy,
                              capture_output=True, encoding="utf-8")
    return start


def flip(path, line, digit):
    """Flip the lowest bit of a hexadecimal digit."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line] = (lines[line][:digit] + f"{int(lines[line][digit], 16) ^ 1:x}"
                   + lines[line][digit + 1:])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# Verilator takes long to compile the benches, and the test of the FuseSoC core runs one in it.
@icarus_in_short
def test_two_machines_and_three_networks_each_give_their_own_results(run):
    ended = run()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(re.findall(r"^PASS: 4 inferences, \d+ beats of results$", ended.stdout,
                          re.MULTILINE)) == len(NETWORKS)
    assert "FAIL" not in ended.stdout


@icarus_in_short
def test_a_bit_of_an_image_makes_that_network_alone_fail(run):
    """The bits of a weight that is used, in the folder of one instance of two."""
    ended = run(lambda folder: [flip(folder / "three/images" / f"pe_{pe}.codebook.hex", line, 0)
                                for pe in range(2) for line in range(1, 8)])
    assert ended.returncode != 0
    assert re.findall(r"^FAIL: everything\.(\w+)\.finish: results differ", ended.stdout,
                      re.MULTILINE) == ["three"]
    assert ended.stdout.count("PASS: ") == len(NETWORKS) - 1


@icarus_in_short
def test_a_bit_of_an_expected_result_makes_that_network_alone_fail(run):
    def change(folder):
        path = folder / "two/results.hex"
        flip(path, 0, len("1_ff_") + 15)    # the lowest digit of the first element

    ended = run(change)
    assert ended.returncode != 0
    assert re.findall(r"^FAIL: everything\.(\w+)\.finish: results differ", ended.stdout,
                      re.MULTILINE) == ["two"]
    assert len(re.findall(r"^everything\.two: beat 0 is ", ended.stdout, re.MULTILINE)) == 1


@icarus_in_short
def test_an_image_that_is_missing_never_passes(run):
    ended = run(lambda folder: (folder / "one/images/pe_1.spmat.hex").unlink())
    assert "cannot read the image one/images/pe_1.spmat.hex" in ended.stdout
    assert "PASS" not in ended.stdout
    assert ended.returncode != 0


def test_the_bytes_of_the_results_are_those_of_all_elements(exported):
    for name in NETWORKS:
        build = make_build(name)
        lines = (exported / name / "results.hex").read_text(encoding="utf-8").split()
        fields = [[int(part, 16) for part in line.split("_")] for line in lines]
        width = 1 if build.config.act_width <= 8 else 2
        assert sum(keep.bit_count() for _, keep, _ in fields) == \
            4 * width * sum(len(vector.columns) for vector in build.outputs)
        assert sum(last for last, *_ in fields) == 4 * len(build.outputs)


@pytest.mark.parametrize(("machine", "message"), [
    ("left", "^name must not be left, the name of the machine"),
    ("left_bench", "^machine must not be left_bench, the name of the bench"),
])
def test_the_machine_must_not_have_the_name_of_the_network_or_its_bench(tmp_path, machine, message):
    build = make_build("one")
    with pytest.raises(HexExportError, match=message):
        export_hex(build, tmp_path, example_inputs(build), words=True, name="left",
                   machine=machine)


def test_a_build_with_states_is_refused(tmp_path):
    build = dataclasses.replace(make_build("one"), steps=2)
    with pytest.raises(HexExportError, match="^build must keep no states, as the bench starts"):
        export_hex(build, tmp_path, example_inputs(build), words=True)
