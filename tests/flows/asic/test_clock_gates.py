"""Clock gates: which flip-flops get one, and that nothing else changes."""

import re
import subprocess

import pytest

from eie_flows.asic import clock_gates, synthesis
from eie_flows.asic.clock_gates import LEAST, describe_gate, is_gate
from eie_flows.asic.macros import describe_models, list_macros
from eie_flows.asic.synthesis import cell_areas, synthesise
from eie_flows.libraries import LIBRARIES
from eie_flows.netlist.simulation import compare, make_trials, record
from eie_hdl.config import EIEConfig
from eie_hdl.export.verilog import Emitted, emit
from eie_sim.rtl.toolchain import check_tools, find_icarus

LIBRARY = LIBRARIES["osu018"]
needs_yosys = pytest.mark.skipif(
    not LIBRARY.file.exists() or not all(tool.ok for tool in check_tools()
                                         if tool.name == "pyosys"),
    reason="pyosys and qflow-tech-osu018 are not installed")
needs_icarus = pytest.mark.skipif(not find_icarus().ok, reason="Icarus is missing")

#: Words with an enable; with a reset that needs it and one that does not; with one for low; too
#: narrow; and without enable. Each depends on the one before.
MACHINE = """
module eie(aclk, rst, en, d, word, both, above, low, narrow, plain);
  input aclk, rst;
  input [5:0] en;
  input [7:0] d;
  output reg [7:0] word, both, above, low, plain;
  output reg [1:0] narrow;
  always @(posedge aclk) if (en[0]) word <= d;
  always @(posedge aclk) if (en[1]) both <= en[5] ? 8'h5a : word + d;
  always @(posedge aclk) if (rst) above <= 8'ha5; else if (en[2]) above <= both;
  always @(posedge aclk) if (!en[3]) low <= above ^ d;
  always @(posedge aclk) if (en[4]) narrow <= low[1:0];
  always @(posedge aclk) plain <= low + narrow;
endmodule
"""

#: Both beside each other; inputs change right after an edge of the clock, as registers do.
BENCH = """
module bench;
    reg clk = 0, rst = 0;
    reg [5:0] en = 0;
    reg [7:0] d = 0;
    wire [41:0] out, other;
    eie netlist(clk, rst, en, d, out[41:34], out[33:26], out[25:18], out[17:10], out[9:8],
                out[7:0]);
    rtl verilog(clk, rst, en, d, other[41:34], other[33:26], other[25:18], other[17:10],
                other[9:8], other[7:0]);
    integer n, differences = 0, seed = 1;
    always @(posedge clk) begin
        {rst, en, d} <= $random(seed);
        if (n > 50 && out !== other) differences = differences + 1;
    end
    initial begin
        for (n = 0; n < 1000; n = n + 1) begin
            #5 clk = 1;
            #5 clk = 0;
            if (n > 50 && out !== other) differences = differences + 1;
        end
        $display("%0d differ, %b", differences, ^out);
    end
endmodule
"""


def count_differences(folder):
    """Simulate the netlist in `folder` beside its Verilog."""
    (folder / "bench.v").write_text(BENCH + MACHINE.replace("module eie", "module rtl"),
                                    encoding="utf-8")
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v", "netlist.v",
                    "cells.v"], cwd=folder, check=True)
    answer = subprocess.run(["vvp", "-N", "bench.vvp"], cwd=folder, check=True,
                            capture_output=True, encoding="utf-8").stdout
    return int(re.fullmatch(r"(\d+) differ, [01]\n", answer)[1])


@needs_yosys
def test_words_with_an_enable_get_a_gate(tmp_path):
    found = synthesise(Emitted({"eie.v": MACHINE}), LIBRARY, [], tmp_path, period=5,
                       clock_gates=True)["eie"]
    assert (found.flipflops, found.gated) == (42, 32)
    netlist = (tmp_path / "netlist.v").read_text(encoding="utf-8")
    gates = re.findall(r"AND2X2 (clock_gate_\d+_gate) ", netlist)
    assert len(gates) == len(re.findall(r"LATCH clock_gate_\d+_latch ", netlist)) == 4
    assert all(map(is_gate, gates)) and not is_gate("clock_gate_1_latch")
    clocks = re.findall(r"DFFPOSX1 \S+ +\(\s*\.CLK\((\w+)\)", netlist)
    assert sorted(clocks.count(clock) for clock in set(clocks)) == [8, 8, 8, 8, 10]


@needs_yosys
def test_narrower_words_get_one_if_they_may(tmp_path, monkeypatch):
    monkeypatch.setattr(clock_gates, "LEAST", LEAST - 1)
    found = synthesise(Emitted({"eie.v": MACHINE}), LIBRARY, [], tmp_path, period=5,
                       clock_gates=True)["eie"]
    assert found.gated == 34


@needs_yosys
def test_nothing_has_a_gate_unless_asked_for(tmp_path):
    found = synthesise(Emitted({"eie.v": MACHINE}), LIBRARY, [], tmp_path, period=5)["eie"]
    assert found.gated == 0
    assert "LATCH" not in (tmp_path / "netlist.v").read_text(encoding="utf-8")


@needs_yosys
@needs_icarus
def test_a_netlist_with_gates_computes_in_every_cycle_what_the_verilog_does(tmp_path):
    synthesise(Emitted({"eie.v": MACHINE}), LIBRARY, [], tmp_path, period=5, clock_gates=True)
    assert count_differences(tmp_path) == 0


@needs_yosys
@needs_icarus
def test_a_gate_without_its_latch_does_not(tmp_path, monkeypatch):
    without = LIBRARY.clock_gate.replace(".A(open)", ".A(en)")
    assert without != LIBRARY.clock_gate
    monkeypatch.setattr(synthesis, "describe_gate",
                        lambda library: describe_gate(library).replace(library.clock_gate, without))
    synthesise(Emitted({"eie.v": MACHINE}), LIBRARY, [], tmp_path, period=5, clock_gates=True)
    assert count_differences(tmp_path) > 0


@pytest.mark.skipif(not LIBRARY.file.exists(), reason="qflow-tech-osu018 is not installed")
def test_every_cell_of_a_gate_has_an_area():
    areas = cell_areas(LIBRARY.file.read_text(encoding="utf-8"), LIBRARY.areas)
    cells = re.findall(r"(\w+) \w+ \(", describe_gate(LIBRARY).partition(";")[2])
    assert sorted(cells) == ["AND2X2", "INVX1", "LATCH"]
    assert all(areas[cell][0] > 0 for cell in cells)


@pytest.mark.full
@needs_yosys
@needs_icarus
def test_a_machine_with_gates_transfers_the_same_in_the_same_cycles(tmp_path):
    config = EIEConfig(n_pe=1)
    emitted = emit(config)
    macros = list_macros(emitted.memories, LIBRARY.process)
    areas = synthesise(emitted, LIBRARY, macros, tmp_path, period=5, clock_gates=True)
    assert areas["eie"].gated > areas["eie"].flipflops / 2
    netlist = {name: (tmp_path / name).read_text(encoding="utf-8")
               for name in ("netlist.v", "cells.v")} | {"macros.v": describe_models(macros)}
    trial = make_trials(config, seed=1)[0]
    expected = record(trial, tmp_path / "rtl", emitted.files)
    assert compare(expected, record(trial, tmp_path / "gated", netlist)) == []
    assert len(expected.transfers["m_axis_t"])
