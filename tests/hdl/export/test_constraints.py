"""Constraints in each format, read by the tools that are here."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from eie_hdl.config import PRESETS
from eie_hdl.export.constraints import (
    FORMATS,
    ConstraintsError,
    Port,
    list_ports,
    read_ports,
    write_constraints,
)
from eie_hdl.export.names import VerilogNameError
from eie_hdl.export.verilog import emit

#: A buffer-less library of one flip-flop for OpenSTA.
LIBERTY = """\
library(small) { delay_model : table_lookup;
  time_unit : "1ns"; capacitive_load_unit (1,pf); voltage_unit : "1V"; current_unit : "1mA";
  pulling_resistance_unit : "1kohm"; leakage_power_unit : "1nW";
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
  cell(DFF) { area : 1; ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin(C) { direction : input; clock : true; capacitance : 0.001; }
    pin(D) { direction : input; capacitance : 0.001;
      timing() { related_pin : "C"; timing_type : setup_rising;
        rise_constraint(scalar) { values("0.05"); } fall_constraint(scalar) { values("0.05"); } } }
    pin(Q) { direction : output; function : "IQ";
      timing() { related_pin : "C"; timing_type : rising_edge;
        cell_rise(scalar) { values("0.2"); } cell_fall(scalar) { values("0.2"); }
        rise_transition(scalar) { values("0.1"); } fall_transition(scalar) { values("0.1"); } } } }
}
"""


def statements(text, comment="#"):
    return [line for line in text.splitlines() if line and not line.startswith(comment)]


@pytest.mark.parametrize("bridge", [None, "uart", "spi"])
def test_ports_are_those_of_the_verilog(bridge):
    files = emit(PRESETS["tiny"], bridge=bridge).files
    top = f"eie_{bridge}" if bridge else "eie"
    found = read_ports(files[f"{top}.v"], top)
    assert [port._replace(is_timed=True) for port in sorted(list_ports(bridge))] == sorted(found)
    assert {port.name for port in list_ports(bridge) if not port.is_timed} == {
        None: set(), "uart": {"rx", "tx"}, "spi": {"sck", "cs_n", "mosi", "miso"}}[bridge]


@pytest.mark.parametrize("bridge, inputs", [("uart", 1), ("spi", 3)])
def test_synchronisers_of_a_bridge_have_the_names_of_its_property(bridge, inputs):
    text = emit(PRESETS["tiny"], bridge=bridge).files[f"eie_{bridge}.v"]
    assert re.search(rf"^  eie_{bridge}_line +line \(", text, re.MULTILINE)
    found = re.findall(rf"^module (eie_{bridge}_line_(\w*synchroniser)) .*?^endmodule", text,
                       re.MULTILINE | re.DOTALL)
    assert len(found) == inputs
    for module, instance in found:
        assert re.search(rf"^  {module} +{instance} \(", text, re.MULTILINE)
        body = text.partition(f"module {module} ")[2].partition("endmodule")[0]
        assert re.findall(r"^  reg (\w+)", body, re.MULTILINE) == ["stage0", "stage1"]


def test_a_name_with_the_suffix_of_a_bridge_is_refused():
    with pytest.raises(VerilogNameError, match="^name must not be my_spi, which is the top module "
                                               "of a machine named my with the bridge spi: give "):
        write_constraints(100, name="my_spi")


def test_ports_are_those_of_one_module():
    text = ("module eie_pe_mac(clk);\n  input clk;\nendmodule\n"
            "module eie_pe(clk, a, b);\n  input clk;\n  wire c;\n  input [3:0] a;\n"
            "  output b;\n  reg b;\nendmodule\n")
    assert read_ports(text, "eie_pe") == [Port("clk", True, 1), Port("a", True, 4),
                                          Port("b", False, 1)]
    with pytest.raises(ValueError, match="^text must have the module eie_p, but has not$"):
        read_ports(text, "eie_p")


@pytest.mark.parametrize("bridge", [None, "uart", "spi"])
@pytest.mark.parametrize("suffix", ["sdc", "xdc"])
def test_tcl_gives_each_port_the_delays_of_its_direction(suffix, bridge):
    tcl = pytest.importorskip("tkinter").Tcl()
    calls, properties = [], []
    tcl.createcommand("get_ports", lambda names: names)
    for name in ("create_clock", "set_input_delay", "set_output_delay", "set_false_path"):
        tcl.createcommand(name, lambda *arguments, name=name: calls.append((name, *arguments)))
    tcl.createcommand("get_cells", lambda *arguments: arguments[-1])
    tcl.createcommand("set_property", lambda *arguments: properties.append(arguments))
    files = write_constraints(125, bridge=bridge, io_percent=25)
    tcl.eval(files[f"eie_{bridge}.{suffix}" if bridge else f"eie.{suffix}"])
    clock, *delays = calls
    assert properties == ([("ASYNC_REG", "TRUE", "NAME =~ line/*synchroniser/stage?_reg")]
                          if bridge and suffix == "xdc" else [])
    assert clock == ("create_clock", "-name", "aclk", "-period", "8.000", "aclk")
    seen = []
    for command, *options, ports in delays:
        *options, which = options if command == "set_false_path" else options[:3]
        assert options == ([] if command == "set_false_path" else ["-clock", "aclk"])
        seen += [(command, which, port) for port in ports.split()]
    assert {delay for _, *options, _ in delays for which, delay in zip(options, options[1:])
            if which == "-max"} == {"2.000"}
    assert {delay for _, *options, _ in delays for which, delay in zip(options, options[1:])
            if which == "-min"} == {"0.000"}
    expected = []
    for port in list_ports(bridge):
        name, command = port.name + "[*]" * (port.width > 1), ("set_input_delay" if port.is_input
                                                               else "set_output_delay")
        if not port.is_timed:
            expected += [("set_false_path", "-from" if port.is_input else "-to", name)]
        elif name != "aclk":
            expected += [(command, which, name) for which in ("-max", "-min")]
    assert sorted(seen) == sorted(expected)


def run_opensta(folder, top, ports, *, bridge=None, commands):
    """Let OpenSTA read constraints for a module with a flip-flop at each port."""
    if not shutil.which("sta"):
        pytest.skip("OpenSTA is missing: apt install opensta")
    bits = [(port, f"{port.name}[{bit}]" if port.width > 1 else port.name)
            for port in ports if port.name != "aclk" for bit in range(port.width)]
    (folder / "top.v").write_text("\n".join([
        f"module {top}({', '.join(port.name for port in ports)});",
        *(f"{'input' if port.is_input else 'output'} "
          f"{f'[{port.width - 1}:0]' if port.width > 1 else ''} {port.name};" for port in ports),
        *(f"DFF c{number} (.C(aclk), " + (f".D({bit}));" if port.is_input else
                                         f".D(aresetn), .Q({bit}));")
          for number, (port, bit) in enumerate(bits)), "endmodule\n"]), encoding="utf-8")
    (folder / "small.lib").write_text(LIBERTY, encoding="utf-8")
    (folder / "top.sdc").write_text(write_constraints(125, bridge=bridge)[f"{top}.sdc"],
                                    encoding="utf-8")
    (folder / "run.tcl").write_text(
        f"read_liberty small.lib\nread_verilog top.v\nlink_design {top}\nread_sdc top.sdc\n"
        f"{commands}", encoding="utf-8")
    text = subprocess.run(["sta", "-exit", "run.tcl"], cwd=folder, encoding="utf-8", check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout
    assert not re.search("^(Warning|Error)", text, re.M), text
    # 8 ns - 3.2 ns outside - set-up or clock to output.
    return re.findall(r"(\d+\.\d+) +slack \(MET\)", text), text.count("No paths found.")


def test_opensta_times_every_port(tmp_path):
    assert run_opensta(tmp_path, "eie", list_ports(), commands=(
        "check_setup -verbose\nreport_checks -from [get_ports {s_axis_tdata[63]}]\n"
        "report_checks -to [get_ports irq]\n")) == (["4.75", "4.60"], 0)


def test_opensta_times_no_wire_of_a_bridge(tmp_path):
    assert run_opensta(tmp_path, "eie_uart", list_ports("uart"), bridge="uart", commands=(
        "report_checks -from [get_ports rx]\nreport_checks -to [get_ports tx]\n"
        "report_checks -to [get_ports irq]\n")) == (["4.60"], 2)


def test_other_formats_have_the_clock_rate_and_nothing_that_is_not_known():
    files = write_constraints(125, name="left")
    assert list(files) == [f"left.{suffix}" for suffix in FORMATS]
    assert statements(files["left.lpf"]) == [
        'FREQUENCY PORT "aclk" 125 MHZ;', 'INPUT_SETUP ALLPORTS 4.800 NS CLKPORT "aclk";',
        'CLOCK_TO_OUT ALLPORTS 4.800 NS CLKPORT "aclk";']
    assert statements(files["left.pcf"]) == ["set_frequency aclk 125"]
    assert statements(files["left.cst"], "//") == [
        f'IO_PORT "{name}" IO_TYPE=LVCMOS33;' for name in ("aclk", "aresetn", "irq")]
    for text in files.values():
        assert text.isascii() and re.search("one clock, aclk, of 125 MHz", text)
        assert "aresetn is synchronous" in text and re.search("lights an LED: irq", text)


def test_pins_of_a_bridge_without_timing_are_named_in_the_formats_that_can():
    files = write_constraints(100, bridge="spi")
    assert statements(files["eie_spi.lpf"])[3:] == [
        'BLOCK PATH FROM PORT "sck";', 'BLOCK PATH FROM PORT "cs_n";',
        'BLOCK PATH FROM PORT "mosi";', 'BLOCK PATH TO PORT "miso";']
    assert [line.split('"')[1] for line in statements(files["eie_spi.cst"], "//")] == [
        port.name for port in list_ports("spi")]
    for text in files.values():
        assert re.search(r"sck, cs_n and mosi have no clock", text)


#: Options of a place and route tool that reads each format, for a device with all the pins used.
ROUTERS = {
    "lpf": ("ecp5", ["--85k", "--package", "CABGA756", "--lpf", "eie.lpf",
                     "--lpf-allow-unconstrained"]),
    "pcf": ("ice40", ["--up5k", "--package", "sg48", "--pcf", "eie.pcf",
                      "--pcf-allow-unconstrained"]),
}


@pytest.mark.parametrize("suffix", ROUTERS)
def test_nextpnr_takes_the_clock_rate(suffix, tmp_path):
    family, options = ROUTERS[suffix]
    router = pytest.importorskip(f"yowasp_nextpnr_{family}")
    yosys = pytest.importorskip("pyosys.libyosys")
    (tmp_path / "eie.v").write_text(
        "module eie(input aclk, input aresetn, output reg irq);\n"
        "    always @(posedge aclk) irq <= aresetn & ~irq;\nendmodule\n", encoding="utf-8")
    (tmp_path / f"eie.{suffix}").write_text(write_constraints(33)[f"eie.{suffix}"],
                                            encoding="utf-8")
    design = yosys.Design()
    yosys.run_pass(f"tee -q read_verilog {tmp_path}/eie.v", design)
    yosys.run_pass(f"tee -q synth_{family} -top eie -json {tmp_path}/eie.json", design)
    code = (f"import sys, {router.__name__} as router\n"
            f"sys.exit(router.run_nextpnr_{family}(sys.argv[1:]))")
    run = subprocess.run([sys.executable, "-c", code, *options, "--json", "eie.json", "--report",
                          "report.json"], cwd=tmp_path, capture_output=True, encoding="utf-8",
                         stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr
    (rate,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["fmax"].values()
    assert rate["constraint"] == pytest.approx(33, rel=0.01)


@pytest.mark.parametrize("options, message", [
    ({"mhz": 0}, "clock rate must be a positive number of MHz, not 0"),
    ({"mhz": float("nan")}, "clock rate must be a positive number of MHz, not nan"),
    ({"mhz": 100, "io_percent": 100},
     "part of a cycle outside the machine must be from 0 to below 100 percent, not 100"),
])
def test_rates_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConstraintsError, match=f"^{message}$"):
        write_constraints(**options)
