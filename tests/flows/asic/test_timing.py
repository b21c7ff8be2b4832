"""Static timing by OpenSTA."""

import shutil

import pytest

from eie_flows.asic import timing
from eie_flows.asic.macros import Macro, describe_liberty
from eie_flows.asic.timing import LongPath, analyse, describe_constraints, read_paths
from eie_flows.libraries import LIBRARIES
from eie_sim.rtl.toolchain import Tool, ToolError

LIBRARY = LIBRARIES["osu018"]
needs_tools = pytest.mark.skipif(not shutil.which("sta") or not LIBRARY.file.exists(),
                                 reason="opensta and qflow-tech-osu018 are not installed")

REPORT = """Startpoint: core/pe_0/a\\[0\\]_reg (rising edge-triggered flip-flop clocked by clk)
Endpoint: core/pe_0/b\\[3\\]_reg
          (rising edge-triggered flip-flop clocked by clk)
 -0.16    4.84   library setup time
          -1.50   slack (VIOLATED)

Startpoint: core/x (rising edge-triggered flip-flop clocked by clk)
Endpoint: core/y (rising edge-triggered flip-flop clocked by clk)
          -1.75   slack (VIOLATED)
"""

#: A memory between two flip-flops, the second one after inverters.
NETLIST = """
module top(clk, d, q);
  input clk;
  input d;
  output q;
  wire a, e, f;
  wire [3:0] m;
  DFFPOSX1 a_reg ( .CLK(clk), .D(d), .Q(a) );
  eie_ram_16x4 ram ( .clk(clk), .r_en(a), .r_addr({a, a, a, a}), .r_data(m), .w_en(a),
                     .w_addr({a, a, a, a}), .w_data({a, a, a, a}) );
  INVX1 _0_ ( .A(m[2]), .Y(e) );
  INVX1 _1_ ( .A(e), .Y(f) );
  DFFPOSX1 f_reg ( .CLK(clk), .D(f), .Q(q) );
endmodule
"""


def test_paths_are_read_with_the_longest_first():
    assert read_paths(REPORT) == [LongPath("core/x", "core/y", -1.75),
                                  LongPath("core/pe_0/a[0]", "core/pe_0/b[3]", -1.5)]


def test_constraints_name_clock_ports_and_surroundings():
    lines = describe_constraints(LIBRARY, NETLIST.replace("input d", "input [3:0] d"), "top",
                                 clock="clk", period=10).splitlines()
    assert "create_clock -name clk -period 10.000 [get_ports clk]" in lines
    assert "set_input_delay -clock clk -max 2.000 [get_ports {d[*]}]" in lines
    assert "set_output_delay -clock clk -max 2.000 [get_ports {q}]" in lines
    assert "set_driving_cell -lib_cell BUFX4 [get_ports {d[*]}]" in lines


def prepare(folder, netlist=NETLIST):
    macro = Macro(16, 4, True, 1, LIBRARY.process)
    (folder / "netlist.v").write_text(netlist, encoding="utf-8")
    (folder / "macros.lib").write_text(describe_liberty([macro]), encoding="utf-8")
    return macro


@needs_tools
def test_a_path_from_a_macro_is_as_long_as_its_access_and_the_gates(tmp_path):
    macro = prepare(tmp_path)
    found = analyse(tmp_path, LIBRARY, "top", clock="clk", period=10)
    assert (found.paths[0].start, found.paths[0].end) == ("ram", "f")
    longest = 1000 / found.mhz
    assert macro.access + 0.1 < longest < macro.access + 1.0
    assert found.paths[0].slack == pytest.approx(10 - longest)
    assert found.gate is None


#: Two flip-flops, the second with its clock from a gate, whose enable comes through inverters.
GATED = """
module top(clk, d, q);
  input clk, d;
  output q;
  wire a, low, open, gated;
""" + "".join(f"  wire n{n};\n  INVX1 i{n} ( .A({f'n{n - 1}' if n else 'a'}), .Y(n{n}) );\n"
              for n in range(40)) + """
  DFFPOSX1 a_reg ( .CLK(clk), .D(d), .Q(a) );
  INVX1 low_inverter ( .A(clk), .Y(low) );
  LATCH open_latch ( .CLK(low), .D(n39), .Q(open) );
  AND2X2 gate ( .A(open), .B(clk), .Y(gated) );
  DFFPOSX1 b_reg ( .CLK(gated), .D(a), .Q(q) );
endmodule
"""


@needs_tools
@pytest.mark.parametrize("period", [1, 3, 5, 20])
def test_an_enable_has_the_whole_period_to_reach_its_gate(period, tmp_path):
    prepare(tmp_path, GATED)
    found = analyse(tmp_path, LIBRARY, "top", clock="clk", period=period)
    # A flip-flop with a gated clock is the end of a path, too.
    assert [(path.start, path.end) for path in found.paths] == [("a", "b")]
    assert (found.gate.start, found.gate.end) == ("a", "open_latch")
    # Of 40 inverters, not twice as much: the latch is open until the edge.
    assert 40 * 0.03 < 1000 / found.mhz < 40 * 0.06
    assert found.gate.slack == pytest.approx(period - 1000 / found.mhz)
    assert found.mhz == pytest.approx(
        analyse(tmp_path, LIBRARY, "top", clock="clk", period=7).mhz)


@needs_tools
def test_a_netlist_that_cannot_be_read_is_an_error(tmp_path):
    prepare(tmp_path, NETLIST.replace("INVX1 _0_ (", "INVX1 {_0_} ("))
    with pytest.raises(ToolError, match=r"(?s)^OpenSTA failed; the end of its output:\n.*Error"):
        analyse(tmp_path, LIBRARY, "top", clock="clk", period=10)


def test_a_missing_opensta_is_named_with_its_package(monkeypatch):
    missing = Tool.check("sta", "timing and power", None, None, "0", "apt install opensta")
    monkeypatch.setattr(timing, "find_opensta", lambda: missing)
    with pytest.raises(ToolError, match="^sta must be installed for timing and power, but was not "
                                        "found: apt install opensta$"):
        timing.require_opensta()
