"""A small machine with everything that a netlist can have: logic, memories, a multiplication."""

import pytest

from eie_flows.netlist.cell_sets import CELL_SETS
from eie_hdl.export.names import read_source
from eie_sim.rtl import toolchain

MACHINE = """module eie_sum(a, b, clk, sum);
  input clk;
  input [7:0] a, b;
  output [7:0] sum;
  reg [7:0] sum = 8'h00;
  reg dead = 1'h0;
  always @(posedge clk) begin
    sum <= a[0] ? a + b : a ^ b;
    dead <= a[1];
  end
endmodule
module eie(clk, en, we, addr, w_addr, data, out, part);
  input clk, en, we;
  input [4:0] addr, w_addr;
  input [35:0] data;
  output [35:0] out;
  output [7:0] part;
  wire [35:0] block, kept;
  reg signed [15:0] product = 16'h0;
  eie_sram #(
    .ADDR_WIDTH(32'd5),
    .DEPTH(32'd32),
    .IMAGE({IMAGE, ".block"}),
    .WIDTH(32'd36)
  ) rows (
    .clk(clk), .r_en(en), .r_addr(addr), .r_data(block), .w_en(we), .w_addr(w_addr), .w_data(data)
  );
  eie_regfile #(
    .ADDR_WIDTH(32'd5),
    .DEPTH(32'd32),
    .WIDTH(32'd36)
  ) file (
    .clk(clk), .r_en(en), .r_addr(addr), .r_data(kept), .w_en(we), .w_addr(w_addr), .w_data(data)
  );
  eie_sum adder (
    .a(kept[7:0]), .b(block[7:0]), .clk(clk), .sum(part)
  );
  always @(posedge clk) product <= $signed(block[7:0]) * $signed(kept[7:0]);
  assign out = block ^ kept ^ product;
endmodule
""".replace("module eie(", 'module eie #(parameter IMAGE = "") (')


@pytest.fixture(params=CELL_SETS)
def library(request):
    """Each library that is installed."""
    if not all(tool.ok for tool in toolchain.check_tools() if tool.name == "pyosys"):
        pytest.skip("Yosys is not installed")
    try:
        CELL_SETS[request.param].models()
    except toolchain.ToolError as error:
        pytest.skip(str(error))
    return CELL_SETS[request.param]


@pytest.fixture
def machine():
    """Verilog of the small machine by file name."""
    return {"eie.v": MACHINE, **{name: read_source(name)
                                 for name in ("eie_sram.v", "eie_regfile.v")}}
