"""Logic of any Verilog, its memories left out."""

import pytest

from eie_flows import cells, tools
from eie_flows.cells import Cells, count_cells, summarise
from eie_sim.rtl import toolchain
from eie_sim.rtl.toolchain import Tool, ToolError

needs_yosys = pytest.mark.skipif(
    not all(tool.ok for tool in toolchain.check_tools() if tool.purpose == "synthesis"),
    reason="Yosys is not installed")

#: Two multipliers of one module, and a memory.
FILES = {"top.v": """
module ram_a(input wire clk, input wire w, input wire [3:0] a, input wire [7:0] d,
             output reg [7:0] q);
    reg [7:0] mem [0:15];
    always @(posedge clk) if (w) mem[a] <= d; else q <= mem[a];
endmodule
module times(input wire clk, input wire [7:0] a, input wire [7:0] b, output reg [15:0] p);
    always @(posedge clk) p <= a * b;
endmodule
module top(input wire clk, input wire w, input wire [7:0] a, input wire [7:0] b,
           output wire [15:0] x, output wire [15:0] y);
    wire [7:0] q;
    ram_a ram(.clk(clk), .w(w), .a(a[3:0]), .d(b), .q(q));
    times one(.clk(clk), .a(a), .b(q), .p(x));
    times two(.clk(clk), .a(b), .b(q), .p(y));
endmodule
"""}


@needs_yosys
def test_a_module_is_counted_for_each_instance_and_memories_only_by_their_bits(tmp_path):
    found = count_cells(FILES, top="top", memories="ram_*", cache=tmp_path)
    assert (found.dsp, found.flipflops, found.memory_bits) == (2, 32, 128)


@needs_yosys
def test_a_result_is_kept(tmp_path, monkeypatch):
    first = count_cells(FILES, top="top", memories="ram_*", cache=tmp_path)
    monkeypatch.setattr(cells, "run_yosys", None)
    assert count_cells(FILES, top="top", memories="ram_*", cache=tmp_path) == first


def test_cells_of_nested_modules_are_added_up():
    def module(bits=0, **cells):
        return {"num_memory_bits": bits, "num_cells_by_type": cells}

    memories = {"top": module(5, pair=2), "pair": module(leaf=2), "leaf": module(64)}
    mapped = {"top": module(LUT4=1, pair=2), "pair": module(LUT4=10, leaf=2),
              "leaf": module(LUT4=100, TRELLIS_FF=3, CCU2C=2, MULT18X18D=1)}
    assert summarise(memories, mapped, top="top") == Cells(421, 8, 12, 4, 4 * 64 + 5)


def test_a_missing_tool_is_named(tmp_path, monkeypatch):
    missing = Tool.check("pyosys", "synthesis", None, None, "1", "pip install pyosys")
    monkeypatch.setattr(tools, "check_tools", lambda: [missing])
    with pytest.raises(ToolError, match="^pyosys must be installed for synthesis, but was "
                                        "not found: pip install pyosys$"):
        count_cells(FILES, top="top", memories="ram_*", cache=tmp_path)
