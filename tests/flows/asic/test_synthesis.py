"""Netlists in standard cells: areas by instance, and the text that Yosys gets."""

import re
from collections import Counter

import pytest

from eie_flows.asic import synthesis
from eie_flows.asic.macros import Macro
from eie_flows.asic.synthesis import (
    Area,
    cell_areas,
    list_instances,
    summarise,
    synthesise,
)
from eie_flows.libraries import LIBRARIES
from eie_hdl.export.verilog import Emitted
from eie_sim.rtl.toolchain import ToolError, check_tools

LIBERTY = """
library (l) {
  cell (INVX1) {
    area : 16;
    pin (A) { capacitance : 1; }
  }
  cell ("DFF") {
    area : 96.5;
    ff (IQ, IQN) { clocked_on : "CLK"; }
  }
}
"""

NETLIST = r"""
module eie(aclk);
  eie_pe pe_0 (
    .clk(aclk)
  );
  eie_pe \pe.1  (
    .clk(aclk)
  );
  INVX1 _0_ (
    .A(aclk)
  );
endmodule

module \$paramod$1\eie_sram (clk);
  eie_ram_4x4 ram (
    .clk(clk)
  );
endmodule

module eie_pe(clk);
  \$paramod$1\eie_sram  spmat (
    .clk(clk)
  );
  DFF q_reg (
    .CLK(clk)
  );
endmodule
"""

MODULES = {"eie": Counter(eie_pe=2, INVX1=1),
           "eie_pe": Counter({r"$paramod$1\eie_sram": 1, "DFF": 1}),
           r"$paramod$1\eie_sram": Counter(eie_ram_4x4=1)}


def test_areas_and_flipflops_are_read_from_the_library():
    assert cell_areas(LIBERTY) == {"INVX1": (16.0, False), "DFF": (96.5, True)}


def test_areas_are_added_up_for_every_instance():
    found = summarise(MODULES, cell_areas(LIBERTY), {"eie_ram_4x4": 1000.0},
                      list_instances(NETLIST, MODULES))
    assert found == {
        "eie": Area(3, 2, 209.0, 2000.0), "eie.pe_0": Area(1, 1, 96.5, 1000.0),
        "eie.pe_0.spmat": Area(0, 0, 0.0, 1000.0), "eie.pe.1": Area(1, 1, 96.5, 1000.0),
        "eie.pe.1.spmat": Area(0, 0, 0.0, 1000.0)}
    assert list(found)[:3] == ["eie", "eie.pe_0", "eie.pe_0.spmat"]


def test_gated_flipflops_are_added_up_too():
    found = summarise(MODULES, cell_areas(LIBERTY), {"eie_ram_4x4": 1000.0},
                      list_instances(NETLIST, MODULES), {"eie_pe": 1})
    assert [found[path].gated for path in ("eie", "eie.pe_0", "eie.pe_0.spmat")] == [2, 1, 0]


def test_an_area_that_the_library_lacks_is_given_beside_it():
    text = LIBERTY.replace("area : 96.5", "area : 0")
    assert cell_areas(text, {"DFF": 96.0}) == {"INVX1": (16.0, False), "DFF": (96.0, True)}


def test_a_cell_that_is_not_mapped_is_refused():
    modules = {**MODULES, "eie": Counter({"$add": 1})}
    with pytest.raises(ToolError, match=r"^the netlist must have cells of the library alone, not "
                                        r"\$add$"):
        summarise(modules, cell_areas(LIBERTY), {}, {"eie": []})


#: A machine of one module in another, with a memory and a register file that stays one.
MACHINE = """
module eie(aclk, d, q);
  input aclk;
  input [7:0] d;
  output [7:0] q;
  eie_pe #(
    .IMAGE("pe_0")
  ) pe_0 (
    .clk(aclk),
    .d(d),
    .q(q)
  );
endmodule
module eie_pe #(parameter IMAGE = "") (clk, d, q);
  input clk;
  input [7:0] d;
  output [7:0] q;
  wire [7:0] m;
  reg [7:0] total;
  always @(posedge clk) total <= total + m;
  assign q = total;
  eie_sram #(
    .ADDR_WIDTH(32'd4),
    .DEPTH(32'd16),
    .IMAGE({IMAGE, ".act.hex"}),
    .WIDTH(32'd8)
  ) act (
    .clk(clk), .r_en(1'h1), .r_addr(d[3:0]), .r_data(m), .w_en(d[7]), .w_addr(d[6:3]), .w_data(d)
  );
endmodule
"""


@pytest.mark.parametrize("name, flipflop", [
    ("osu018", r"DFFPOSX1"), ("sky130_fd_sc_hd", r"sky130_fd_sc_hd__dfxtp_\d")])
def test_a_machine_becomes_cells_and_macros_with_names_of_the_design(name, flipflop, tmp_path):
    library = LIBRARIES[name]
    if not library.file.exists():
        pytest.skip(library.install)
    if not all(tool.ok for tool in check_tools() if tool.name == "pyosys"):
        pytest.skip("pyosys is not installed")
    macro = Macro(16, 8, True, 1, library.process)
    found = synthesise(Emitted({"eie.v": MACHINE}), library, [macro], tmp_path, period=5)
    assert list(found) == ["eie", "eie.pe_0", "eie.pe_0.act"]
    assert found["eie"].flipflops == 8
    areas = cell_areas(library.file.read_text(encoding="utf-8"))
    assert found["eie"].logic > 8 * min(area for area, is_flipflop in areas.values() if is_flipflop)
    assert found["eie.pe_0.act"] == Area(0, 0, 0.0, macro.area)
    netlist = (tmp_path / "netlist.v").read_text(encoding="utf-8")
    assert re.search(r"eie_ram_16x8 ram +\(", netlist)
    assert re.search(rf"{flipflop} \\q\[7\]_reg +\(", netlist)
    assert "assign {" not in netlist
    models = (tmp_path / "cells.v").read_text(encoding="utf-8")
    assert re.search(rf"^module \\?{flipflop}\b", models, re.MULTILINE)


def test_a_missing_yosys_is_named(tmp_path, monkeypatch):
    def missing():
        raise ToolError("no yosys")

    monkeypatch.setattr(synthesis, "require_yosys", missing)
    with pytest.raises(ToolError, match="^no yosys$"):
        synthesise(Emitted(), LIBRARIES["osu018"], [], tmp_path, period=5)
    assert not list(tmp_path.iterdir())
