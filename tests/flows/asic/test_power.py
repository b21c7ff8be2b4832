"""Power at the activity of a simulation."""

import os
import re
import shutil

import pytest

from eie_flows.asic import power as power_module
from eie_flows.asic.activity import Activity
from eie_flows.asic.macros import Macro, describe_liberty
from eie_flows.asic.power import (
    Power,
    macro_power,
    measure,
    read_power,
    require_calibrated_opensta,
)
from eie_flows.asic.timing import describe_constraints
from eie_flows.libraries import LIBRARIES
from eie_hdl.export.memories import MemoryKind
from eie_sim.rtl.toolchain import ToolError, find_opensta

LIBRARY = LIBRARIES["osu018"]
MACRO = Macro(16, 4, True, 1, LIBRARY.process)

#: A flip-flop that drives an inverter in a module, beside a memory.
NETLIST = r"""
module part(clk, d, q);
  input clk, d;
  output q;
  wire \n[3] ;
  DFFPOSX1 \n[3]_reg  ( .CLK(clk), .D(d), .Q(\n[3] ) );
  INVX1 _0_ ( .A(\n[3] ), .Y(q) );
  eie_ram_16x4 ram ( .clk(clk), .r_en(d), .r_addr({d, d, d, d}), .w_en(d),
                     .w_addr({d, d, d, d}), .w_data({d, d, d, d}) );
endmodule
module eie(aclk, d, q);
  input aclk;
  input d;
  output q;
  part one ( .clk(aclk), .d(d), .q(q) );
endmodule
"""

HEADER = r"""$scope module bench $end
$scope module machine $end
$var wire 1 ! aclk $end
$scope module one $end
$scope module \n[3]_reg $end
$var wire 1 # Q $end
$upscope $end
$scope module _0_ $end
$var wire 1 $ Y $end
$upscope $end
$scope module ram $end
$var wire 1 % r_en $end
$var wire 1 & w_en $end
$enddefinitions $end
#0
0!
0#
1$
1%
0&
"""


def waveform(*, busy):
    """A waveform of ten cycles, in which the flip-flop changes in each if busy."""
    return HEADER + "".join(
        f"#{10 * cycle + 5}\n1!\n" + (f"{(cycle + 1) % 2}#\n{cycle % 2}$\n" if busy else "")
        + f"#{10 * cycle + 10}\n0!\n" for cycle in range(10))


def prepare(folder, library, netlist):
    """Write what OpenSTA reads."""
    (folder / "netlist.v").write_text(netlist, encoding="utf-8")
    (folder / "macros.lib").write_text(describe_liberty([MACRO]), encoding="utf-8")
    (folder / "eie.sdc").write_text(describe_constraints(
        library, netlist, "eie", clock="aclk", period=10), encoding="utf-8")


@pytest.mark.skipif(not shutil.which("sta") or not LIBRARY.file.exists(),
                    reason="opensta and qflow-tech-osu018 are not installed")
def test_power_follows_the_changes_of_the_waveform(tmp_path):
    prepare(tmp_path, LIBRARY, NETLIST)
    memories = [MemoryKind("eie_sram", 16, 4, ("eie.one",))]
    found = {}
    for busy in (False, True):
        (tmp_path / "a.vcd").write_text(waveform(busy=busy), encoding="utf-8")
        found[busy], cycles = measure(tmp_path, LIBRARY, [MACRO], memories, tmp_path / "a.vcd",
                                      period=10)
        assert cycles == 10
    assert list(found[True]) == ["eie", "eie.one"]
    # The clock alone, and the energies of a flip-flop and an inverter that change.
    assert 0.005 < found[False]["eie"].logic < 0.015
    assert found[True]["eie"].logic > 1.3 * found[False]["eie"].logic
    assert found[True]["eie"] == found[True]["eie.one"]
    # A read in every cycle.
    assert found[True]["eie"].macros == pytest.approx(MACRO.energy / 10)


#: A flip-flop without gate, and 40 with one.
GATED = """
module eie(aclk, d, q);
  input aclk, d;
  output [40:0] q;
  wire low, open, gated;
  DFFPOSX1 free_reg ( .CLK(aclk), .D(d), .Q(q[40]) );
  INVX1 clock_gate_0_inverter ( .A(aclk), .Y(low) );
  LATCH clock_gate_0_latch ( .CLK(low), .D(d), .Q(open) );
  AND2X2 clock_gate_0_gate ( .A(open), .B(aclk), .Y(gated) );
""" + "".join(f"  DFFPOSX1 q{n}_reg ( .CLK(gated), .D(d), .Q(q[{n}]) );\n"
              for n in range(40)) + "endmodule\n"


def gated_waveform(pulses):
    """A waveform of ten cycles, in so many of which the gate is open; nothing else changes."""
    def scope(name, *pins):
        return f"$scope module {name} $end\n" + "".join(
            f"$var wire 1 {code} {pin} $end\n" for pin, code in pins) + "$upscope $end\n"

    header = ("$scope module bench $end\n$scope module machine $end\n$var wire 1 ! aclk $end\n"
              + scope("free_reg", ("CLK", "!"), ("Q", "q"))
              + scope("clock_gate_0_inverter", ("Y", "n"))
              + scope("clock_gate_0_latch", ("CLK", "n"), ("Q", "o"))
              + scope("clock_gate_0_gate", ("Y", "g"))
              + "".join(scope(f"q{n}_reg", ("CLK", "g"), ("Q", "q")) for n in range(40)))
    changes = "".join(
        f"#{10 * cycle + 5}\n1!\n0n\n" + "1g\n" * (cycle < pulses)
        + f"#{10 * cycle + 10}\n0!\n1n\n" + "0g\n" * (cycle < pulses) for cycle in range(10))
    return f"{header}$enddefinitions $end\n#0\n0!\n1n\n0o\n0g\n0q\n{changes}"


@pytest.mark.skipif(not shutil.which("sta") or not LIBRARY.file.exists(),
                    reason="opensta and qflow-tech-osu018 are not installed")
def test_a_clock_that_does_not_pass_its_gate_takes_no_power_after_it(tmp_path):
    prepare(tmp_path, LIBRARY, GATED)
    power = {}
    for pulses in (0, 5, 10):
        (tmp_path / "a.vcd").write_text(gated_waveform(pulses), encoding="utf-8")
        found, _ = measure(tmp_path, LIBRARY, [], [], tmp_path / "a.vcd", period=10)
        power[pulses] = found["eie"].logic
    # The free flip-flop, inverter and latch have the clock in any case: 0.011, 0.010 and 0.007 mW.
    assert 0.02 < power[0] < 0.035
    # 40 flip-flops and the inside of the gate, without the charge of the 40 pins.
    assert power[10] - power[0] == pytest.approx(40 * 0.0111 + 0.006, rel=0.02)
    assert power[5] == pytest.approx((power[0] + power[10]) / 2, rel=1e-3)


@pytest.mark.skipif(not shutil.which("sta"), reason="opensta is not installed")
def test_a_flipflop_that_does_not_change_takes_the_energy_of_its_clock(tmp_path):
    library = LIBRARIES["sky130_fd_sc_hd"]
    netlist = re.sub(r"INVX1|DFFPOSX1", lambda found: "sky130_fd_sc_hd__" + {
        "INVX1": "inv_1", "DFFPOSX1": "dfxtp_1"}[found[0]], NETLIST)
    prepare(tmp_path, library, netlist)
    (tmp_path / "a.vcd").write_text(waveform(busy=False), encoding="utf-8")
    found, _ = measure(tmp_path, library, [MACRO], [], tmp_path / "a.vcd", period=10)
    clock = library.file.read_text(encoding="utf-8").partition("pin (CLK)")[2]
    rise, fall = (float(re.search(rf'{edge}_power \(scalar\) {{ values \("(\S+)"\)', clock)[1])
                  for edge in ("rise", "fall"))
    # pJ in 10 ns are 0.1 mW.
    assert found["eie"].logic == pytest.approx((rise + fall) / 10, rel=0.01)


def test_reads_and_writes_of_a_macro_are_counted():
    activity = Activity(100, {}, {}, {"a/ram/r_en": 30, "a/ram/w_en": 20})
    assert macro_power(MACRO, activity, "a", 10) == pytest.approx(MACRO.energy * 0.5 / 10)
    file = Macro(64, 40, False, 1, LIBRARY.process)
    assert macro_power(file, activity, "a", 10) == pytest.approx(file.energy * 1.2 / 10)


def test_the_power_of_each_cell_is_read_in_milliwatts_with_half_of_the_internal_one():
    text = ("POWER core/mac/_1_ 1 1e-05 2e-05 4e-05 7.0e-05\nother\n"
            "POWER core/mac/_2_ 1 0 0 4e-05 4e-05\n")
    assert read_power(text) == {"eie.core.mac._1_": Power(pytest.approx(0.065), 0.0),
                                "eie.core.mac._2_": Power(pytest.approx(0.04), 0.0)}


def test_the_power_of_a_missing_clock_is_taken_off_without_leakage():
    text = ("POWER a_reg 1 1e-05 2e-05 4e-05 7.0e-05\n"
            "POWER a_reg -0.75 0.8e-05 1e-05 4e-05 5.8e-05\n")
    assert read_power(text) == {"eie.a_reg": Power(pytest.approx(0.065 - 0.75 * 0.014), 0.0)}


@pytest.mark.parametrize("version", ["2.0.17", "2.6.0", "12.0.1"])
def test_only_a_version_whose_powers_were_compared_is_used(tmp_path, monkeypatch, version):
    (tmp_path / "sta").write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
    (tmp_path / "sta").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(power_module, "find_opensta", find_opensta.__wrapped__)    # not cached
    if version == "2.0.17":
        require_calibrated_opensta()
    else:
        with pytest.raises(ToolError, match=rf"needs OpenSTA 2\.0\.x.*found {version}: "):
            require_calibrated_opensta()
