"""List of memories, compared with the hierarchy that a simulator elaborates."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export.memories import describe_memories, list_memories, memories_json
from eie_hdl.format import Layouts
from eie_sim.hex_export import example_inputs
from eie_sim.inference import infer
from eie_sim.rtl.verilator_host import verilog

DOCS = Path(__file__).parents[3] / "docs"

CONFIGS = {"tiny": PRESETS["tiny"], "eight": EIEConfig(n_pe=8, readback=True)}


@pytest.fixture(params=CONFIGS)
def machine(request, simulators):
    """A configuration and its Verilog, named `left`."""
    return CONFIGS[request.param], verilog(CONFIGS[request.param], simulators, name="left")


def test_the_list_is_what_a_simulator_elaborates(machine, tmp_path, icarus):
    _, files = machine
    for kind in ("sram", "regfile"):
        text = files[f"left_{kind}.v"]
        assert "endmodule" in text
        files[f"left_{kind}.v"] = text.replace("endmodule", (
            f'    initial $display("left_{kind} %0d %0d %m", DEPTH, WIDTH);\nendmodule'))
    for name in ["left.f", *files["left.f"].split()]:
        (tmp_path / name).write_text(files[name], encoding="utf-8")
    subprocess.run(["iverilog", "-g2005", "-s", "left", "-c", "left.f", "-o", "left.vvp"],
                   cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "-n", "left.vvp"], cwd=tmp_path, check=True, capture_output=True,
                         encoding="utf-8")
    kinds = list_memories(files["left.v"], "left")
    assert sorted(run.stdout.splitlines()) == sorted(
        f"{kind.module} {kind.words} {kind.bits} {instance}"
        for kind in kinds for instance in kind.instances)


def test_the_memories_that_are_loaded_are_listed_with_their_sizes(machine):
    config, files = machine
    listed = {instance: (kind.words, kind.bits) for kind in list_memories(files["left.v"], "left")
              for instance in kind.instances}
    for name, _, _, image in Layouts.of(config).images(config):
        bits = image.shape.width if hasattr(image.shape, "width") else image.shape.size
        assert listed[f"left.core.{name}"] == (image.depth, bits)


def test_json_and_markdown_have_every_kind(machine):
    _, files = machine
    kinds = list_memories(files["left.v"], "left")
    found = json.loads(files["left_memories.json"])
    assert (found["schema_version"], found["machine"]) == (1, "left")
    assert [(row["module"], row["words"], row["bits"], row["count"], tuple(row["instances"]))
            for row in found["memories"]] == [
        (kind.module, kind.words, kind.bits, len(kind.instances), kind.instances)
        for kind in kinds]
    assert memories_json(kinds, "left") == files["left_memories.json"]
    assert files["left_words.md"].endswith(describe_memories(kinds))
    rows = re.findall(r"^\| `(left_\w+)` \| (\d+) \| (\d+) \| (\d+) \|", files["left_words.md"],
                      re.MULTILINE)
    assert rows == [(kind.module, str(kind.words), str(kind.bits), str(len(kind.instances)))
                    for kind in kinds]


@pytest.fixture
def macros(simulators):
    """Verilog of the preset tiny with the memories of the page, and models of its macros."""
    files = verilog(PRESETS["tiny"], simulators)
    page = (DOCS / "verilog.md").read_text(encoding="utf-8")
    wrapper = re.search(r"^```verilog\n(module eie_sram .*?)^```", page, re.M | re.S)[1]
    sizes = {(kind.words, kind.bits) for kind in list_memories(files["eie.v"], "eie")
             if kind.module == "eie_sram"}
    models = "".join(MACRO.format(words=words, bits=bits, high=(words - 1).bit_length() - 1)
                     for words, bits in sizes)
    return {name: text for name, text in files.items() if name.endswith(".v")} | {
        "eie_sram.v": wrapper, "macros.v": models}


#: Model of a macro that returns garbage unless it is read.
MACRO = """
module ram_{words}x{bits} (input wire clk, input wire re, input wire [{high}:0] ra,
                           output reg [{bits}-1:0] q,
                           input wire we, input wire [{high}:0] wa, input wire [{bits}-1:0] d);
    reg [{bits}-1:0] rows [0:{words}-1];
    always @(posedge clk) begin
        if (re) q <= we && wa == ra ? {bits}'bx : rows[ra];
        if (we) rows[wa] <= d;
    end
endmodule
"""


def test_the_wrapper_of_the_page_runs_a_network_with_its_assertions(macros, simulators, icarus,
                                                                    monkeypatch):
    monkeypatch.setattr("eie_sim.rtl.cocotb_engine.verilog", lambda config, cache: macros)
    network = random_network(np.random.default_rng(1), [20, 9, 5], density=0.5, frac=4, v_width=3)
    build = compile_network(network, PRESETS["tiny"])
    inference = infer(build, example_inputs(build, 2), words=True, engine="cocotb",
                      simulator=icarus, cache=simulators)
    assert inference.ok


@pytest.mark.parametrize(("ports", "message"), [
    (".r_en(1'b1), .r_addr(8'd3), .w_en(1'b1), .w_addr(8'd3)",
     "row 3 is read in the cycle in which it is written"),
    (".r_en(1'b0), .r_addr(8'd3), .w_en(1'b1), .w_addr(8'd250)", "row 250 is written, of 24")])
def test_the_assertions_of_the_page_fail_when_the_contract_is_broken(macros, tmp_path, icarus,
                                                                     ports, message):
    for name in ("eie_sram.v", "macros.v"):
        (tmp_path / name).write_text(macros[name], encoding="utf-8")
    (tmp_path / "use.v").write_text(
        "module use_it;\n    reg clk;\n    initial begin clk = 0; #1 clk = 1; #1 $finish; end\n"
        "    wire [6:0] q;\n    eie_sram #(.WIDTH(7), .DEPTH(24), .ADDR_WIDTH(8)) ram "
        f"(.clk(clk), .r_data(q), .w_data(7'd0), {ports});\nendmodule\n", encoding="utf-8")
    subprocess.run(["iverilog", "-g2005", "-s", "use_it", "-o", "use.vvp", "use.v", "eie_sram.v",
                    "macros.v"], cwd=tmp_path, check=True)
    run = subprocess.run(["vvp", "-n", "use.vvp"], cwd=tmp_path, capture_output=True,
                         encoding="utf-8")
    assert run.returncode == 1
    assert message in run.stdout + run.stderr


def test_a_size_without_a_macro_does_not_elaborate(macros, tmp_path, icarus):
    (tmp_path / "eie_sram.v").write_text(macros["eie_sram.v"], encoding="utf-8")
    run = subprocess.run(["iverilog", "-g2005", "-s", "eie_sram", "-t", "null", "eie_sram.v"],
                         cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert run.returncode != 0
    assert "no_macro_of_this_size" in run.stderr


def test_numbers_in_places_are_stars():
    (kind,) = list_memories(
        "module a (x);\n  a_b b_0 (\n  );\n  a_b b_1_12 (\n  );\nendmodule\n"
        "module a_b (x);\n  a_sram #(\n    .DEPTH(32'd4),\n    .WIDTH(32'd9)\n  ) \\input  (\n"
        "  );\nendmodule\n", "a")
    assert (kind.module, kind.words, kind.bits) == ("a_sram", 4, 9)
    assert kind.instances == ("a.b_0.input", "a.b_1_12.input")
    assert kind.places == ["a.b_*.input", "a.b_*_*.input"]
