"""Mapping of memories to an ECP5, the report of the result, and its command `eie_cli.synth`."""

import dataclasses
import json
from collections import Counter

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_flows import ecp5
from eie_hdl.export.names import read_source
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl import toolchain
from eie_sim.rtl.toolchain import Tool, ToolError

needs_yosys = pytest.mark.skipif(
    not all(tool.ok for tool in toolchain.check_tools() if tool.purpose == "synthesis"),
    reason="Yosys is not installed")

#: What a PE should be, for the tests of what is said if it is not.
GOOD = ecp5.Report(
    lut4=800, carry=90, flipflops=1000, lut_ram=69, block_ram=10, dsp=1,
    memories={"spmat": {"DP16KD": 5}, "ptr_even": {"DP16KD": 1}, "ptr_odd": {"DP16KD": 1},
              "act": {"DP16KD": 2}, "codebook": {}, "acc": {"TRELLIS_DPR16X4": 40}},
    mhz=105.25, critical=("scan.mask.Q", "act.rows.0.0.ADB5"), seed=1)


def block(instance, module, image):
    return f"""
    {module} #(.WIDTH(36), .DEPTH(64), .ADDR_WIDTH(6), .IMAGE({{IMAGE, "{image}"}})) {instance} (
        .clk(clk), .r_en(en), .r_addr(row), .r_data({instance}_data),
        .w_en(we), .w_addr(w_row), .w_data(data));"""


#: A memory of each kind, and a multiplication.
MODULE = {
    "small.v": f"""
module small #(parameter IMAGE = "") (
    input wire clk, input wire en, input wire we, input wire [5:0] row, input wire [5:0] w_row,
    input wire [35:0] data, output reg [35:0] product);
    wire [35:0] spmat_data, acc_data;
    {block("spmat", "eie_sram", ".spmat.hex")}
    {block("acc", "eie_regfile", ".acc.hex")}
    always @(posedge clk) product <= spmat_data[17:0] * acc_data[17:0] + spmat_data + acc_data;
endmodule
""",
    **{name: read_source(name) for name in ("eie_sram.v", "eie_regfile.v")}}


@needs_yosys
def test_memories_are_mapped_to_the_intended_cells(tmp_path):
    cells = ecp5.map_cells(MODULE, tmp_path, top="small")
    kinds = {memory: Counter(cell["type"] for name, cell in cells.items()
                             if name.startswith(f"{memory}."))
             for memory in ("spmat", "acc")}
    assert kinds["spmat"]["DP16KD"] == 1
    assert "TRELLIS_DPR16X4" not in kinds["spmat"]
    assert kinds["acc"]["TRELLIS_DPR16X4"] == 4 * 36 / 4
    assert "DP16KD" not in kinds["acc"]
    assert sum(cell["type"] == "MULT18X18D" for cell in cells.values()) == 1


@needs_yosys
def test_a_block_ram_costs_no_logic(tmp_path):
    alone = {**MODULE, "small.v": """
module small(input wire clk, input wire en, input wire we, input wire [5:0] row,
             input wire [5:0] w_row, input wire [35:0] data, output wire [35:0] spmat_data);
    parameter IMAGE = "";""" + block("spmat", "eie_sram", ".spmat.hex") + "\nendmodule\n"}
    cells = ecp5.map_cells(alone, tmp_path, top="small")
    assert [cell["type"] for cell in cells.values()] == ["DP16KD"]


@needs_yosys
def test_verilog_that_cannot_be_synthesised_is_reported(tmp_path):
    with pytest.raises(ToolError, match=r"(?s)^synthesis failed; the end of .*ports\.log:.*ERROR"):
        ecp5.map_cells({"bad.v": "module bad; oops u(); endmodule\n"}, tmp_path, top="bad")


def test_a_missing_tool_is_named(tmp_path, monkeypatch):
    missing = Tool.check("pyosys", "synthesis", None, None, "1", "pip install pyosys")
    monkeypatch.setattr(ecp5, "check_tools", lambda: [missing])
    with pytest.raises(ToolError, match="^pyosys must be installed for synthesis, but was "
                                        "not found: pip install pyosys$"):
        ecp5.map_cells(MODULE, tmp_path, top="small")


def test_compiled_code_goes_to_a_cache_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "user"))
    assert ecp5._find_cache(tmp_path / "pe") == tmp_path / "user"
    monkeypatch.delenv("YOWASP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert ecp5._find_cache(tmp_path / "pe") == tmp_path / "pe" / "cache"


def test_cells_and_longest_path_are_summed_up():
    cells = {"spmat.rows.0.0": {"type": "DP16KD"}, "acc.rows.0.0": {"type": "TRELLIS_DPR16X4"},
             "a": {"type": "LUT4"}, "b": {"type": "LUT4"}, "c": {"type": "CCU2C"},
             "d": {"type": "TRELLIS_FF"}, "mac.product": {"type": "MULT18X18D"}}
    clock, io = "posedge $glbnet$clk$TRELLIS_IO_IN", "<async>"
    timing = {"fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 123.5, "constraint": 100}},
              "critical_paths": [
                  {"from": io, "to": clock, "path": []},
                  {"from": clock, "to": clock, "path": [
                      {"from": {"cell": "dut.x_TRELLIS_FF_Q_1", "port": "Q"},
                       "to": {"cell": "dut.n_LUT4_Z", "port": "A"}},
                      {"from": {"cell": "dut.n_LUT4_Z", "port": "F"},
                       "to": {"cell": "dut.act.rows.0.0", "port": "ADB5"}}]}]}
    report = ecp5.summarise(cells, timing, 3)
    assert (report.lut4, report.carry, report.flipflops) == (2, 1, 1)
    assert (report.lut_ram, report.block_ram, report.dsp) == (1, 1, 1)
    assert report.memories["spmat"] == {"DP16KD": 1}
    assert (report.mhz, report.seed) == (123.5, 3)
    assert report.critical == ("x.Q", "act.rows.0.0.ADB5")


def test_a_good_pe_misses_nothing():
    assert GOOD.misses() == []
    assert "| Fmax | 105.2 MHz | ≥ 105 MHz |" in GOOD.markdown()
    assert "| – act | 2 DP16KD | DP16KD |" in GOOD.markdown()


@pytest.mark.parametrize(("change", "message"), [
    ({"mhz": 104.94}, "the clock rate must be at least 105 MHz, not 104.9"),
    ({"lut4": 921}, "there must be at most 920 LUT4, not 921"),
    ({"dsp": 0}, "the multiplier must be a MULT18X18D, not LUTs"),
    ({"memories": {**GOOD.memories, "acc": {"DP16KD": 1}}},
     "acc must be in TRELLIS_DPR16X4, not {'DP16KD': 1}"),
    ({"memories": {**GOOD.memories, "ptr_odd": {}}}, "ptr_odd must be in DP16KD, not {}"),
])
def test_targets_that_a_pe_misses_are_listed(change, message):
    assert dataclasses.replace(GOOD, **change).misses() == [message]


@pytest.mark.parametrize(("report", "code"), [(GOOD, 0), (dataclasses.replace(GOOD, mhz=50), 1)])
def test_a_miss_sets_the_exit_code(report, code, tmp_path, monkeypatch):
    monkeypatch.setattr(ecp5, "emit", lambda config: Emitted())
    monkeypatch.setattr(ecp5, "synthesise", lambda files, folder, *, seed: report)
    result = CliRunner().invoke(main, ["synth", "-o", str(tmp_path)])
    assert result.exit_code == code
    assert "multipliers (MULT18X18D)" in result.stdout
    assert (tmp_path / "pe.md").read_text(encoding="utf-8") == report.markdown()
    assert json.loads((tmp_path / "pe.json").read_text(encoding="utf-8"))["lut4"] == report.lut4
    assert ("missed: the clock rate" in result.stderr) == bool(code)
