"""Emitted Verilog: deterministic, small, and accepted by tools without warnings."""

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export.names import VerilogNameError
from eie_hdl.export.verilog import Emitted, emit, to_verilog
from eie_hdl.lib.sram import Sram
from eie_sim.rtl.toolchain import find_verilator, tool_environment
from eie_sim.rtl.verilator_host import verilog
from support.machines import DEEPEST_MAC

DOCS = Path(__file__).parents[3] / "docs"

#: Every shape of tree, and zero for every width that allows it.
CONFIGS = {
    **PRESETS,
    "one_pe": dataclasses.replace(PRESETS["tiny"], n_pe=1, n_codebooks=1),
    "two_pes_wide": EIEConfig(n_pe=2, v_width=8, z_width=8, entries_per_word=1),
    "eight_pes_shallow": dataclasses.replace(PRESETS["tiny"], n_pe=8, acc_depth=4,
                                             entries_per_word=16, drop_empty_columns=False),
    "deepest_mac": DEEPEST_MAC,
}


@pytest.fixture(scope="module")
def emitted(simulators):
    """Return a function that maps a configuration to the emitted text by file name."""
    return lambda name: verilog(CONFIGS[name], simulators)


@pytest.fixture(scope="module", params=[
    # In short, the default machine has a tree of two levels, and `deepest_mac` unusual parameters.
    pytest.param(name, marks=[pytest.mark.full] if name == "eight_pes_shallow" else [])
    for name in CONFIGS])
def folder(request, emitted, tmp_path_factory):
    """Folder with the files of a configuration."""
    path = tmp_path_factory.mktemp(request.param)
    Emitted(emitted(request.param)).write(path)
    return path


def lint(folder, *waivers, top="eie"):
    return subprocess.run(
        [find_verilator().path, "--lint-only", "-Wall", *waivers, "-f", "eie.f",
         "--top-module", top],
        cwd=folder, env=tool_environment(), capture_output=True, encoding="utf-8")


# Linting 64 PEs takes Verilator longer than all other configurations together. In short, those that
# differ most from the machines of the next test.
@pytest.mark.parametrize("folder", [
    pytest.param(name, marks=[] if name in ("two_pes_wide", "deepest_mac") else [pytest.mark.full])
    for name in sorted(CONFIGS.keys() - {"isca2016"})], indirect=True)
def test_verilator_reports_no_warning(folder, verilator):
    run = lint(folder, "eie.vlt")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("folder", ["tiny", "one_pe"], indirect=True)
def test_each_waiver_is_needed_and_only_for_generated_text(folder, verilator):
    run = lint(folder)
    found = set(re.findall(r"%Warning-(\w+): (\S+?\.v)", run.stderr))
    waived = set(re.findall(r"-rule (\w+)", (folder / "eie.vlt").read_text(encoding="utf-8")))
    assert found == {(rule, "eie.v") for rule in waived}


def test_icarus_reports_no_warning(folder, icarus):
    run = subprocess.run(["iverilog", "-g2005", "-Wall", "-t", "null", "-s", "eie", "-c", "eie.f"],
                         cwd=folder, capture_output=True, encoding="utf-8")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_slang_elaborates_it_without_a_message(folder):
    pytest.importorskip("pyslang")
    script = ("import sys; from pyslang import driver; slang = driver.Driver(); "
              "slang.addStandardArgs(); "
              "assert slang.parseCommandLine(' '.join(['slang', *sys.argv[1:]])); "
              "assert slang.processOptions() and slang.parseAllSources(); "
              "slang.reportCompilation(slang.createCompilation(), False); "
              "assert slang.reportDiagnostics(False)")
    files = (folder / "eie.f").read_text(encoding="utf-8").split()
    run = subprocess.run([sys.executable, "-c", script, "--top", "eie_bench", *files,
                          "eie_bench.v"], cwd=folder, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Build succeeded: 0 errors, 0 warnings" in run.stdout + run.stderr


def test_yosys_finds_no_problem(folder):
    pytest.importorskip("pyosys")
    script = ("from pyosys import libyosys as yosys; design = yosys.Design(); "
              "[yosys.run_pass(line, design) for line in ("
              "'read_verilog eie.v eie_sram.v eie_regfile.v', 'hierarchy -check -top eie', "
              "'proc', 'check -assert')]")
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True,
                         encoding="utf-8")
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr
    assert "Found and reported 0 problems." in run.stdout
    assert "Warning" not in run.stdout


@pytest.fixture(scope="module")
def two_machines(simulators, tmp_path_factory):
    """Folder with two machines of different names, and a module that contains both."""
    path = tmp_path_factory.mktemp("two")
    for name, config in TWO_MACHINES.items():
        Emitted(verilog(config, simulators, name=name)).write(path / name)
    (path / "two.v").write_text(
        "module two (input wire aclk, input wire aresetn, output wire [1:0] irq);\n" + "".join(
            f"    /* verilator lint_off PINMISSING */\n"
            f'    {name} #(.IMAGE_FOLDER("{name}-net")) {name} (\n'
            f"        .aclk(aclk), .aresetn(aresetn), .irq(irq[{number}]));\n"
            for number, name in enumerate(TWO_MACHINES)) + "endmodule\n", encoding="utf-8")
    return path


TWO_MACHINES = {"left": dataclasses.replace(PRESETS["tiny"], n_pe=2), "right": PRESETS["tiny"]}

#: All files of both machines, as they are listed.
TWO_FILES = [f"{name}/{name}{part}.v"
             for name in TWO_MACHINES for part in ("", "_sram", "_regfile")]


def test_all_names_begin_with_that_of_the_machine(two_machines):
    defined = []
    for name in TWO_MACHINES:
        files = {path.name: path.read_text(encoding="utf-8")
                 for path in (two_machines / name).iterdir()}
        assert all(re.fullmatch(rf"{name}[_.].*", file) for file in files)
        modules = re.findall(r"^module (\w+)", "".join(files.values()), re.MULTILINE)
        assert all(re.fullmatch(rf"{name}(_.*)?", module) for module in modules)
        macros = re.findall(r"`(?:ifdef|ifndef|define) (\w+)", "".join(files.values()))
        assert all(macro == "SYNTHESIS" or macro.startswith(name.upper()) for macro in macros)
        assert not re.search(r"eie[_.]|EIE_", "".join(files.values()))
        assert files[f"{name}.f"].split() == [f"{name}{part}.v"
                                              for part in ("", "_sram", "_regfile")]
        defined += modules
    assert len(defined) == len(set(defined))


def test_two_machines_fit_into_one_design_without_a_warning(two_machines, simulator):
    command = {
        "verilator": [find_verilator().path, "--lint-only", "-Wall", "--top-module", "two",
                      "left/left.vlt", "right/right.vlt"],
        "icarus": ["iverilog", "-g2005", "-t", "null", "-s", "two"]}[simulator]
    run = subprocess.run([*command, *TWO_FILES, "two.v"], cwd=two_machines, capture_output=True,
                         encoding="utf-8", env=tool_environment())
    assert (run.returncode, run.stderr) == (0, "")


def test_two_machines_of_one_name_are_an_error_even_if_warnings_are_not(two_machines, simulator):
    """Verilator would take the modules of the first one for both."""
    other = (two_machines / "right" / "right.v").read_text(encoding="utf-8")
    (two_machines / "again.v").write_text(
        other.replace("right", "left").replace("RIGHT", "LEFT"), encoding="utf-8")
    command = {
        "verilator": [find_verilator().path, "--lint-only", "-Wno-fatal", "--top-module", "left"],
        "icarus": ["iverilog", "-g2005", "-t", "null", "-s", "left"]}[simulator]
    run = subprocess.run([*command, *TWO_FILES[:3], "again.v"], cwd=two_machines,
                         capture_output=True, encoding="utf-8", env=tool_environment())
    assert run.returncode != 0
    assert re.search(r"again\.v:\d+(:\d+)?: syntax error", run.stderr)


def test_waivers_of_a_machine_are_not_for_files_whose_name_ends_like_its_own(two_machines,
                                                                              verilator):
    (two_machines / "myleft.v").write_text(
        "module myleft (input wire [3:0] a, output wire b);\n    assign b = a;\nendmodule\n",
        encoding="utf-8")
    run = subprocess.run([find_verilator().path, "--lint-only", "-Wall", "left/left.vlt",
                          "myleft.v"], cwd=two_machines, capture_output=True, encoding="utf-8",
                         env=tool_environment())
    assert "%Warning-WIDTHTRUNC: myleft.v" in run.stderr


def emit_as(name, monkeypatch, emitted):
    """Emit a small machine by a name, in no time."""
    text = re.sub(r"\beie(?=\b|_)", name, emitted("tiny")["eie.v"])    # before `emit` is changed
    monkeypatch.setattr("eie_hdl.export.verilog.Eie", lambda config: None)
    monkeypatch.setattr("eie_hdl.export.verilog.to_verilog", lambda _, name, prefix: text)
    emit(PRESETS["tiny"], name)


@pytest.mark.parametrize("name", ["aclk", "irq", "s_axil_awaddr", "m_axis_tdata"])
def test_a_name_of_a_port_is_refused(name, monkeypatch, emitted):
    """Verilator warns of a port that hides the module in which it is."""
    with pytest.raises(VerilogNameError, match=f"^name must not be {name}, which is a port of a "
                                               "module: choose another name$"):
        emit_as(name, monkeypatch, emitted)


@pytest.mark.parametrize("name", ["left_core", "left_core_ccu", "a_b_pe", "x_sram", "x_regfile",
                                  "x_load_packets_check", "x_node4"])
def test_a_name_that_another_machine_has_for_a_module_is_refused(name, monkeypatch, emitted):
    with pytest.raises(VerilogNameError, match=(
            rf"^name must not be {name}, which is a module of a machine named \w+: "
            "choose another name$")):
        emit_as(name, monkeypatch, emitted)


def test_a_machine_whose_name_is_no_module_of_another_shares_no_module_with_it(folder):
    """Else the name of one must end in a part that only both modules together have."""
    parts = [name.removeprefix("eie_") for name in re.findall(
        r"^module (eie_\w+)", (folder / "eie.v").read_text(encoding="utf-8"), re.MULTILINE)]
    for part in parts:
        for other in parts:
            if other.endswith(f"_{part}"):
                assert other.removesuffix(f"_{part}") in parts


def test_each_module_is_defined_once(folder):
    modules = re.findall(r"^module (\S+?)(?: |\()", (folder / "eie.v").read_text(encoding="utf-8"),
                         re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert {"eie", "eie_core", "eie_pe"} <= set(modules)
    assert [name for name in modules if not re.fullmatch(r"\w+", name)] == []


def test_a_memory_is_an_instance_and_not_a_list_of_values(folder):
    text = (folder / "eie.v").read_text(encoding="utf-8")
    assert "initial" not in text
    assert not re.search(r"^\s*reg \[.*\] \S+ \[", text, re.MULTILINE)
    for image in ("ptr_even", "ptr_odd", "spmat", "act", "codebook"):
        assert f'.IMAGE({{IMAGE, ".{image}.hex"}})' in text
    assert '.IMAGE("ccu.program.hex")' in text
    assert '.IMAGE("pe_0")' in text
    assert ".IMAGE()" not in text


class Nested(wiring.Component):
    """A memory at some depth of submodules."""

    q: Out(4)

    def __init__(self, depth):
        self.depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        if self.depth:
            m.submodules.inner = inner = Nested(self.depth - 1)
            m.d.comb += self.q.eq(inner.q)
        else:
            m.submodules.memory = memory = Sram(width=4, depth=8, image=".deep.hex")
            m.d.comb += [memory.r.en.eq(1), self.q.eq(memory.r.data)]
        return m


def test_parameters_of_images_reach_memories_at_any_depth():
    text = to_verilog(Nested(3), "outer")
    headers = re.findall(r"^module (\w+) #\((.*?)\) \(", text, re.MULTILINE)
    assert headers == [(name, 'parameter IMAGE = "", parameter IMAGE_FOLDER = ""') for name in (
        "outer", "outer_inner", "outer_inner_inner", "outer_inner_inner_inner")]
    assert len(re.findall(r"inner #\(\n    \.IMAGE\(IMAGE\),\n    "
                          r"\.IMAGE_FOLDER\(IMAGE_FOLDER\)\n  \) inner \(", text)) == 3
    assert '.IMAGE({IMAGE, ".deep.hex"}),\n    .IMAGE_FOLDER(IMAGE_FOLDER)' in text


def test_only_intermediate_values_are_unnamed(folder):
    names = set(re.findall(r"\\\$(\S+)", (folder / "eie.v").read_text(encoding="utf-8")))
    assert {name for name in names if not re.fullmatch(r"\d+|auto\$\S+", name)} == set()


def test_text_contains_no_local_path(folder):
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert os.getcwd() not in text
        assert sys.prefix not in text
        assert not re.search(r'["( ]/\w+/', text), path.name


def test_ports_have_the_names_that_tools_infer_buses_by(emitted):
    channel = ("valid", "ready")
    access = {"aw": ("addr", "prot"), "w": ("data", "strb"), "b": ("resp",),
              "ar": ("addr", "prot"), "r": ("data", "resp")}
    assert set(find_ports(emitted("tiny")["eie.v"])) == {
        "aclk", "aresetn", "irq",
        *(f"s_axil_{name}{signal}" for name, signals in access.items()
          for signal in (*channel, *signals)),
        *(f"{stream}_t{signal}" for stream in ("s_axis", "m_axis")
          for signal in (*channel, "data", "keep", "last"))}


def find_ports(text):
    """Direction and width of each port of the top module."""
    top = text[text.index("module eie "):text.index("endmodule")]
    declared = re.findall(r"^  (in|out)put (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in declared}


def test_the_docs_list_the_ports(emitted):
    table = (DOCS / "verilog.md").read_text(encoding="utf-8").split("## Ports")[1].split("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    listed = {}
    for _, names, directions, *_ in rows:
        for name, direction in zip(names.split(","), directions.split(","), strict=True):
            port, high = re.fullmatch(r" `(\w+)(?:\[(\d+):0\])?` ?", name).groups()
            listed[port] = (direction.strip(), int(high or 0) + 1)
    for name in ("tiny", "isca2016"):
        assert listed == find_ports(emitted(name)["eie.v"])


def test_text_is_the_same_whatever_the_hash_seed(emitted):
    script = ("import hashlib; from eie_hdl.config import PRESETS; "
              "from eie_hdl.export.verilog import emit; "
              "print(hashlib.sha256(repr(sorted(emit(PRESETS['tiny']).files.items())).encode())"
              ".hexdigest())")
    # The cached text was emitted with another seed, which Python chooses at random.
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8",
                         check=True, env={**os.environ, "PYTHONHASHSEED": "4711"})
    files = repr(sorted(emitted("tiny").items())).encode()
    assert run.stdout.strip() == hashlib.sha256(files).hexdigest()


@pytest.mark.parametrize("bridge", ["uart", "spi"])
def test_a_bridge_adds_a_top_module_without_warnings_and_changes_no_other(
        bridge, emitted, tmp_path, verilator):
    """With eie_hdl.bridged_top."""
    files = emit(CONFIGS["one_pe"], bridge=bridge).files
    plain = emitted("one_pe")
    assert {name: text for name, text in files.items() if plain.get(name) != text}.keys() == {
        f"eie_{bridge}.v", "eie.f", "eie.core", "eie.vlt", "eie_words.md", "eie_memories.json"}
    assert f"eie_{bridge}.bridge.sender.buffer" in files["eie_memories.json"]
    Emitted(files).write(tmp_path)
    run = lint(tmp_path, "eie.vlt", top=f"eie_{bridge}")
    assert (run.returncode, run.stderr) == (0, "")


#: SHA-256 of ``eie.v`` of the preset tiny. A change of the hardware or of the package's version
#: changes it; another Python must not.
TINY_SHA256 = "4dc5a9066d74f8ff096068c3e73346901157cc20a5bce25bfb5331249fbb6aae"


def test_text_is_the_same_with_every_python(emitted):
    text = emitted("tiny")["eie.v"]
    assert hashlib.sha256(text.encode()).hexdigest() == TINY_SHA256


def test_sixty_four_pes_take_at_most_one_ninth_more_than_a_megabyte(emitted):
    assert sum(map(len, emitted("isca2016").values())) < 1_111_111


@pytest.mark.parametrize("name, listed", [("tiny", "interface"), ("deepest_mac", "as_dict")])
def test_title_lists_every_parameter_that_is_not_for_the_default_stages(name, listed, emitted):
    title = emitted(name)["eie.v"].split("module")[0]
    values = {"interface": CONFIGS[name].interface, "as_dict": CONFIGS[name].as_dict()}[listed]
    assert re.findall(r"^//   (\w+ = \w+)$", title, re.MULTILINE) == [
        f"{name} = {value}" for name, value in values.items()]


def test_small_memories_have_the_style_that_is_asked_for(emitted, monkeypatch):
    text = emitted("tiny")["eie.v"]
    monkeypatch.setattr("eie_hdl.export.verilog.Eie", lambda config: None)
    monkeypatch.setattr("eie_hdl.export.verilog.to_verilog",
                        lambda _, name, prefix: text)
    plain, other = (emit(PRESETS["tiny"], ram_style=style).files
                    for style in ("distributed", "auto"))
    assert plain["eie_regfile.v"] == emitted("tiny")["eie_regfile.v"]
    assert [name for name in plain if plain[name] != other[name]] == ["eie_regfile.v"]
    assert plain["eie_regfile.v"].replace('"distributed"', '"auto"') == other["eie_regfile.v"]
    with pytest.raises(ValueError, match="^ram_style must be one of distributed, auto, block, "
                                         "registers, not 'ultra'$"):
        emit(PRESETS["tiny"], ram_style="ultra")


def test_a_machine_without_initial_values_starts_by_its_reset(
        tmp_path, emitted, icarus, monkeypatch):
    """Icarus begins with unknown values; the bench reads the registers."""
    text = emitted("one_pe")["eie.v"]
    text = text[text.index("module "):]
    monkeypatch.setattr("eie_hdl.export.verilog.Eie", lambda config: None)
    monkeypatch.setattr("eie_hdl.export.verilog.to_verilog", lambda _, name, prefix: text)
    machine = emit(CONFIGS["one_pe"], initial_values=False)
    values = r"^  reg (?:\[\d+:0\] )?(\S+) *= \d+'|\(\* init = "
    assert len(re.findall(values, text, re.MULTILINE)) > 200
    assert not re.findall(values, machine.files["eie.v"], re.MULTILINE)
    machine.write(tmp_path)
    for command in (["iverilog", "-g2005", "-s", "eie_bench", "-o", "bench", "eie_bench.v",
                     "-c", "eie.f"], ["vvp", "-n", "bench"]):
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
        assert run.returncode == 0, run.stdout + run.stderr
    assert "PASS: 0 inferences" in run.stdout
