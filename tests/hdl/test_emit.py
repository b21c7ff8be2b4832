"""The Verilog that users get: deterministic, small, and accepted by their tools without a word."""

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.emit import emit
from eie_hdl.format import COUNTERS, Layouts, unpack
from eie_hdl.words import describe_words
from eie_sim.tools import find_verilator, tool_environment

#: Every shape of tree, and every width that can become zero.
CONFIGS = {
    **PRESETS,
    "one_pe": dataclasses.replace(PRESETS["tiny"], n_pe=1, n_codebooks=1),
    "two_pes_wide": EIEConfig(n_pe=2, v_width=8, z_width=8, entries_per_word=1),
    "eight_pes_shallow": dataclasses.replace(PRESETS["tiny"], n_pe=8, acc_depth=4,
                                             entries_per_word=16),
}


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request, tmp_path_factory):
    """Folder with the files of a configuration."""
    path = tmp_path_factory.mktemp(request.param)
    emit(CONFIGS[request.param]).write(path)
    return path


def lint(folder, *waivers):
    return subprocess.run(
        [find_verilator().path, "--lint-only", "-Wall", *waivers, "-f", "eie.f",
         "--top-module", "eie"],
        cwd=folder, env=tool_environment(), capture_output=True, text=True)


def test_verilator_has_nothing_to_say(folder, verilator):
    run = lint(folder, "eie.vlt")
    assert (run.returncode, run.stderr) == (0, "")


def test_each_waiver_is_needed_and_only_for_generated_text(folder, verilator):
    run = lint(folder)
    found = set(re.findall(r"%Warning-(\w+): (\S+?\.v)", run.stderr))
    waived = set(re.findall(r"-rule (\w+)", (folder / "eie.vlt").read_text()))
    assert found == {(rule, "eie.v") for rule in waived}


def test_icarus_has_nothing_to_say(folder, icarus):
    run = subprocess.run(["iverilog", "-g2005", "-Wall", "-t", "null", "-s", "eie", "-c", "eie.f"],
                         cwd=folder, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_yosys_finds_no_problem(folder):
    pytest.importorskip("pyosys")
    script = ("from pyosys import libyosys as yosys; design = yosys.Design(); "
              "[yosys.run_pass(line, design) for line in ("
              "'read_verilog eie.v eie_sram.v eie_regfile.v', 'hierarchy -check -top eie', "
              "'proc', 'check -assert')]")
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    assert "Found and reported 0 problems." in run.stdout
    assert "Warning" not in run.stdout


def test_each_module_is_there_once(folder):
    modules = re.findall(r"^module (\S+?)\b", (folder / "eie.v").read_text(), re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert {"eie", "eie_ccu", "eie_pe"} <= set(modules)


def test_a_memory_is_an_instance_and_not_a_list_of_values(folder):
    text = (folder / "eie.v").read_text()
    assert "initial" not in text
    assert not re.search(r"^\s*reg \[.*\] \S+ \[", text, re.MULTILINE)
    for image in ("ptr_even", "ptr_odd", "spmat", "act", "codebook"):
        assert f'.IMAGE({{IMAGE, ".{image}.hex"}})' in text
    assert '.IMAGE("ccu.program.hex")' in text
    assert '.IMAGE("pe_0")' in text


def test_text_names_no_place_on_this_machine(folder):
    for path in folder.iterdir():
        text = path.read_text()
        assert os.getcwd() not in text
        assert sys.prefix not in text
        assert not re.search(r'["( ]/\w+/', text), path.name


def test_ports_have_the_names_that_users_connect():
    text = emit(PRESETS["tiny"]).files["eie.v"]
    top = text[text.index("module eie("):text.index("endmodule")]
    ports = set(re.findall(r"^  (?:in|out)put (?:\[.*?\] )?(\w+);", top, re.MULTILINE))
    assert ports == {
        "clk", "rst", "busy", "overflow", "overflow_tile",
        *(f"{stream}_{signal}" for stream in ("load", "run", "result")
          for signal in ("payload", "valid", "ready")),
        *(f"counters_{name}" for name in COUNTERS)}


def test_text_is_the_same_whatever_the_hash_seed():
    script = ("import hashlib; from eie_hdl.config import PRESETS; from eie_hdl.emit import emit; "
              "print(hashlib.sha256(repr(emit(PRESETS['tiny']).files).encode()).hexdigest())")
    digests = {subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
               for seed in ("0", "1", "4711")}
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_sixty_four_pes_take_less_than_a_megabyte():
    assert sum(map(len, emit(PRESETS["isca2016"]).files.values())) < 1_000_000


def test_the_title_tells_every_parameter():
    title = emit(PRESETS["tiny"]).files["eie.v"].split("module")[0]
    for name, value in PRESETS["tiny"].as_dict().items():
        assert f"//   {name} = {value}\n" in title


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_table_of_words_has_the_bits_of_the_layouts(config):
    text = describe_words(config)
    layouts = Layouts(config)
    tables = {"Header of a load packet": layouts.load_header, "PROGRAM: a descriptor":
              layouts.descriptor, "`result_payload`": layouts.result}
    for title, layout in tables.items():
        table = text.split(f"## {title}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| `(\S+)` \| (\d+)(?::(\d+))? \|$", table, re.MULTILINE)
        covered = 0
        for name, high, low in rows:
            mask = (1 << int(high) + 1) - (1 << int(low or high))
            beats = np.array([mask >> 64 * n & (1 << 64) - 1 for n in range(2)], np.uint64)
            # Nothing but the named field has bits, and that has all of its own.
            fields = dict(flatten(unpack(layout, beats)))
            width = int(high) - int(low or high) + 1
            assert fields.pop(name) in (-1, (1 << width) - 1)
            assert not any(fields.values())
            covered |= mask
        assert covered == (1 << layout.size) - 1


def flatten(fields, prefix=""):
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, int(value)
