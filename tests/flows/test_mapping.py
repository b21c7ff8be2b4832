"""Mapping of memories and multipliers to the cells of each family, and their counts."""

import functools
from collections import Counter

import pytest

from eie_flows import mapping
from eie_flows.mapping import count, map_cells, matches
from eie_flows.provenance import Provenance
from eie_flows.report import Report
from eie_hdl.config import EIEConfig
from eie_hdl.export.families import FAMILIES
from eie_hdl.export.names import read_source
from eie_hdl.export.verilog import emit
from eie_sim.rtl import toolchain
from eie_sim.rtl.toolchain import ToolError

needs_yosys = pytest.mark.skipif(
    not all(tool.ok for tool in toolchain.check_tools() if tool.purpose == "synthesis"),
    reason="Yosys is not installed")

#: A PE whose multiplier and memories are as those of the default one, or smaller.
SMALL = EIEConfig(n_pe=1, v_width=2, z_width=2, entries_per_word=2, queue_depth=2, acc_depth=16,
                  spmat_depth=256, ptr_depth=128, act_depth=64, n_codebooks=1, act_width=12,
                  codebook_width=12, acc_width=28)


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
    cells = map_cells(MODULE, tmp_path, top="small")
    kinds = {memory: Counter(kind for name, kind in cells.items() if name.startswith(f"{memory}."))
             for memory in ("spmat", "acc")}
    assert kinds["spmat"]["DP16KD"] == 1
    assert "TRELLIS_DPR16X4" not in kinds["spmat"]
    assert kinds["acc"]["TRELLIS_DPR16X4"] == 4 * 36 / 4
    assert "DP16KD" not in kinds["acc"]
    counts = count(cells)
    assert counts.multipliers == 1
    assert counts.memories == {"spmat": {"DP16KD": 1}, "acc": {"TRELLIS_DPR16X4": 36}}


@needs_yosys
def test_a_block_ram_costs_no_logic_and_the_clock_may_have_the_name_of_a_bus(tmp_path):
    alone = {**MODULE, "small.v": """
module small(input wire aclk, input wire en, input wire we, input wire [5:0] row,
             input wire [5:0] w_row, input wire [35:0] data, output wire [35:0] spmat_data);
    parameter IMAGE = "";
    wire clk = aclk;""" + block("spmat", "eie_sram", ".spmat.hex") + "\nendmodule\n"}
    assert list(map_cells(alone, tmp_path, top="small").values()) == ["DP16KD"]


@needs_yosys
def test_verilog_that_cannot_be_synthesised_is_reported(tmp_path):
    with pytest.raises(ToolError, match=r"(?s)^synthesis failed; the end of .*ports\.log:.*ERROR"):
        map_cells({"bad.v": "module bad; oops u(); endmodule\n"}, tmp_path, top="bad")


@functools.cache    # most families have the same text
def emitted(ram_style, initial_values):
    return emit(SMALL, ram_style=ram_style, initial_values=initial_values).files


@needs_yosys
@pytest.mark.parametrize("target", FAMILIES)
def test_a_pe_has_block_rams_and_a_multiplier_in_every_family(target, tmp_path):
    family = FAMILIES[target]
    files = emitted(family.ram_style, family.initial_values)
    counts = count(map_cells(files, tmp_path, top="eie_pe", family=family), family)
    report = Report(provenance=Provenance(SMALL, None, {}), target=target, module="eie_pe", n_pe=1,
                    n_multipliers=1, counts=counts, routes=(), seconds=0)
    assert report.misses() == []
    assert min(counts.luts, counts.carry, counts.flipflops, counts.block_ram) > 0
    assert bool(family.multipliers) == bool(counts.multipliers)
    # No cell is of a kind that the table of the family lacks, muxes of LUTs and constants aside.
    known = (*family.luts, *family.carry, *family.flipflops, *family.lut_ram, *family.block_ram,
             *family.multipliers)
    assert {kind for kind in counts.cells if not matches(kind, known)} <= {
        "PFUMX", "L6MUX21", "MUXF7", "MUXF8", "MUX2_LUT5", "MUX2_LUT6", "MUX2_LUT7", "MUX2_LUT8",
        "VCC", "GND", "VLO", "VHI", "CLKINT", "INV"}


def test_cells_are_counted_by_the_patterns_of_the_family():
    cells = {"core.pe_0.spmat.rows.0.0": "PDPSC16K", "core.pe_1.spmat.rows.0.0": "PDPSC16K",
             "acc.rows.0.0": "DPR16X4", "a": "LUT4", "b": "WIDEFN9", "c": "CCU2", "d": "FD1P3IX",
             "mac.product": "MULT18X18", "spmat.logic": "LUT4"}
    counts = count(cells, FAMILIES["nexus"])
    assert (counts.luts, counts.carry, counts.flipflops) == (4, 1, 1)
    assert (counts.lut_ram, counts.block_ram, counts.multipliers) == (1, 2, 1)
    assert counts.memories == {"spmat": {"PDPSC16K": 2}, "acc": {"DPR16X4": 1}}
    assert counts.cells["LUT4"] == 2


def test_a_missing_tool_stops_before_a_file_is_written(tmp_path, monkeypatch):
    def missing():
        raise ToolError("pyosys must be installed")

    monkeypatch.setattr(mapping, "require_yosys", missing)
    with pytest.raises(ToolError):
        map_cells(MODULE, tmp_path / "pe", top="small")
    assert not (tmp_path / "pe").exists()
