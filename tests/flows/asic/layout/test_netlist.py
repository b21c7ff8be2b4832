"""Netlist of a module for placement."""

import pytest

from eie_flows.asic.layout import netlist
from eie_flows.asic.layout.netlist import make_netlist, read_blif, to_verilog
from eie_flows.libraries import LIBRARIES

LIBRARY = LIBRARIES["osu018"]
needs_tools = pytest.mark.skipif(not LIBRARY.file.exists(),
                                 reason="qflow-tech-osu018 is not installed")

MACHINE = """
module eie(clk, a, y, same, one);
  input clk; input [1:0] a; output [3:0] y; output same, one;
  assign same = a[0], one = 1'b1;
  eie_part part (.clk(clk), .a(a), .y$3(y));
endmodule
module eie_part(clk, a, y$3);
  input clk; input [1:0] a; output [3:0] y$3;
  eie_sram #(.WIDTH(4), .DEPTH(4), .ADDR_WIDTH(2)) m (.clk(clk), .r_en(1'b1), .r_addr(~a),
    .r_data(y$3), .w_en(1'b0), .w_addr(a), .w_data(4'd3));
endmodule
"""
MEMORY = """
module {} #(parameter WIDTH = 1, parameter DEPTH = 2, parameter ADDR_WIDTH = 1)
  (input clk, input r_en, input [ADDR_WIDTH-1:0] r_addr, output [WIDTH-1:0] r_data,
   input w_en, input [ADDR_WIDTH-1:0] w_addr, input [WIDTH-1:0] w_data);
endmodule
"""
FILES = {"eie.v": MACHINE, "eie_sram.v": MEMORY.format("eie_sram"),
         "eie_regfile.v": MEMORY.format("eie_regfile")}


def test_cells_are_numbered_by_type():
    found = read_blif(".inputs a b\n.outputs y\n.gate INV A=a Y=c\n.gate AND A=c B=b Y=d\n"
                      ".gate INV A=d Y=y\n")
    assert found.kinds == {"INV_1": "INV", "AND_1": "AND", "INV_2": "INV"}
    assert found.nets["c"] == {("INV_1", "Y"), ("AND_1", "A")}
    assert found.nets["y"] == {("INV_2", "Y"), ("", "y")}


def test_names_get_plain_characters_and_stay_different():
    text = netlist._plain(".model m\n.inputs a$1 a_1 b.c\n.gate INV A=a$1 Y=b.c\n")
    assert text == ".model m\n.inputs a_1_ a_1 b_c\n.gate INV A=a_1_ Y=b_c\n"


def test_a_clock_of_many_flipflops_gets_buffers():
    def design(count):
        return ".model m\n.inputs clk d\n.outputs q\n" + "".join(
            f".gate DFFPOSX1 CLK=clk D=d Q=q{number}\n" for number in range(count)) + ".end\n"

    assert netlist._buffer_clocks(design(400)) == design(400)
    found = read_blif(netlist._buffer_clocks(design(420)))
    buffers = [name for name, kind in found.kinds.items() if kind == "CLKBUF1"]
    assert len(buffers) == 14 and sum(kind == "DFFPOSX1" for kind in found.kinds.values()) == 420
    assert found.nets["clk"] == {("", "clk"), *((name, "A") for name in buffers)}
    driven = [[pin for pin in pins if pin[1] == "CLK"] for net, pins in found.nets.items()
              if pins & {(name, "Y") for name in buffers}]
    assert [len(pins) for pins in driven] == [32] * 13 + [4]
    assert len({pin for pins in driven for pin in pins}) == 420


def test_verilog_has_cells_and_nets_of_the_layout():
    text = (".model m\n.inputs a b\n.outputs y\n.gate INV A=a Y=c\n.gate AND A=c B=vdd Y=d\n"
            ".gate INV A=d Y=y\n.end\n")
    assert to_verilog(text) == (
        "module m (a, b, y);\n  input a;\n  input b;\n  output y;\n  supply1 vdd;\n"
        "  supply0 gnd;\n  INV INV_1 (.A(a), .Y(c));\n  AND AND_1 (.A(c), .B(vdd), .Y(d));\n"
        "  INV INV_2 (.A(d), .Y(y));\nendmodule\n")


@needs_tools
def test_memories_become_ports_and_constants_the_supply(tmp_path):
    found = make_netlist(FILES, "eie", LIBRARY, tmp_path, period=5)
    ports = {port for pins in found.nets.values() for name, port in pins if not name}
    assert {"part_m_r_data_3", "part_m_r_addr_0", "a_1", "y_3", "one"} <= ports
    assert ("", "one") not in found.nets["vdd"]
    # Each output has a cell, as it is a net of its own.
    assert set(found.kinds.values()) == {"BUFX2", "INVX1"}
    assert found.nets["vdd"] and found.nets["gnd"]
