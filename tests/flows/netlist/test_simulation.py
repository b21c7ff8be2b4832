"""Comparison of recorded transfers, a netlist of `eie_flows.netlist.synthesis` beside its Verilog,
and the command `eie_cli.netlist_sim`.

The netlist of a whole machine is simulated by `make netlist-sim`, with the bench
`eie_flows.netlist.bench_netlist`.
"""

import dataclasses
import json
import re
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_compiler.errors import CompileError
from eie_flows.netlist import simulation
from eie_flows.netlist.cell_sets import CELL_SETS
from eie_flows.netlist.simulation import Comparison, Recording, compare
from eie_flows.netlist.synthesis import make_netlist
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.inference import infer
from eie_sim.rtl import toolchain
from eie_sim.rtl.cocotb_engine import SimulationResult

needs_icarus = pytest.mark.skipif(not toolchain.find_icarus().ok, reason="Icarus is missing")

#: Both in lock step, with random inputs; a row is never read while it is written.
BENCH = """
module bench;
    reg clk = 0, en = 0, we = 0;
    reg [4:0] addr = 0, w_addr = 0;
    reg [35:0] data = 0;
    wire [35:0] out, other_out;
    wire [7:0] part, other_part;
    eie netlist(clk, en, we, addr, w_addr, data, out, part);
    machine_rtl rtl(clk, en, we, addr, w_addr, data, other_out, other_part);
    integer n, differences = 0, seed = 1;
    initial begin
        for (n = 0; n < 1000; n = n + 1) begin
            {en, addr, w_addr} = n < 32 ? {1'b0, 5'd0, n[4:0]} : $random(seed);
            {data[35:32], data[31:0]} = {$random(seed), $random(seed)};
            we = n < 32 || ($random(seed) & 1 && addr != w_addr);
            #5 clk = 1;
            #5 clk = 0;
            if (n > 34 && {out, part} !== {other_out, other_part}) differences = differences + 1;
        end
        $display("%0d of %0d differ", differences, n);
    end
endmodule
"""


@pytest.fixture
def count_differences(machine, tmp_path):
    """Function that simulates a netlist of the small machine beside its Verilog."""
    def count(netlist):
        rtl = re.sub(r"\beie(?=\b|_)", "machine_rtl", "".join(machine.values()))
        (tmp_path / "all.v").write_text("".join([BENCH, rtl, *netlist.values()]), encoding="utf-8")
        subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "all.vvp", "all.v"],
                       cwd=tmp_path, check=True)
        answer = subprocess.run(["vvp", "-N", "all.vvp"], cwd=tmp_path, check=True,
                                capture_output=True, encoding="utf-8").stdout
        return int(re.search(r"(\d+) of 1000 differ", answer)[1])
    return count


@needs_icarus
def test_a_netlist_is_simulated_as_its_verilog(library, machine, tmp_path, count_differences):
    netlist = make_netlist(machine, library, tmp_path / "netlist")
    assert count_differences(netlist) == 0
    for pattern, replacement in {
            r"(LUT4 #\(\s*\.INIT\(16'h)([0-9a-f])":
                lambda match: f"{match[1]}{int(match[2], 16) ^ 15:x}",
            r"\bXOR2X1\b": "XNOR2X1",
            r"\bsky130_fd_sc_hd__nand2_1\b": "sky130_fd_sc_hd__nor2_1"}.items():
        text, count = re.subn(pattern, replacement, netlist["eie.v"], count=1)
        if count:
            break
    assert count_differences({**netlist, "eie.v": text}) > 0


@needs_icarus
def test_the_register_of_an_ecp5_multiplier_is_in_it(machine, tmp_path, count_differences):
    netlist = make_netlist(machine, CELL_SETS["ecp5"], tmp_path / "netlist")
    text = netlist["eie.v"]
    assert text.count('.REG_OUTPUT_CLK("CLK0")') == 1
    assert count_differences({**netlist, "eie.v": text.replace(".RST0(1'h0)", ".RST0(1'h1)")}) > 0
    without = text.replace('.REG_OUTPUT_CLK("CLK0")', '.REG_OUTPUT_CLK("NONE")')
    assert count_differences({**netlist, "eie.v": without}) > 0


@pytest.fixture
def recording():
    result = SimulationResult([np.array([[1, 2]])], [{"cycles": 9}], np.array([False]),
                              np.array([0]), 50, 20, None, 1.0)
    return Recording(result, {"s_axil_aw": [(3, "0101")], "irq": [(4, "1"), (5, "0")]})


def test_equal_recordings_do_not_differ(recording):
    assert compare(recording, recording) == []


@pytest.mark.parametrize("changes, transfers, message", [
    ({"outputs": [np.array([[1, 3]])]}, {},
     "results of vector 0 must be equal, but differ in 1 of 2 numbers"),
    ({"counters": [{"cycles": 8}]}, {}, "counters must be [{'cycles': 9}], not [{'cycles': 8}]"),
    ({"cycles": 51}, {}, "cycles must be 50, not 51"),
    ({}, {"irq": [(4, "1"), (6, "0")]},
     "transfer 1 on irq must be 0 in cycle 5, not 0 in cycle 6"),
    ({}, {"s_axil_aw": [(3, "01x1")]},
     "transfer 0 on s_axil_aw must be 0101 in cycle 3, not 01x1 in cycle 3"),
    ({}, {"irq": [(4, "1")]}, "irq must have 2 transfers, not 1"),
])
def test_each_difference_is_named(recording, changes, transfers, message):
    got = Recording(simulation.dataclasses.replace(recording.result, **changes),
                    recording.transfers | transfers)
    assert compare(recording, got) == [message]


@pytest.mark.parametrize("config", [EIEConfig(n_pe=2), PRESETS["tiny"]], ids=["default", "tiny"])
def test_networks_have_the_widths_of_the_machine_and_meaningful_results(config):
    for trial in simulation.make_trials(config, seed=1):
        assert trial.build.config == config
        outputs = infer(trial.build, trial.words, engine="golden", words=True).outputs
        for numbers in (trial.words, *outputs):
            assert len(np.unique(numbers)) > 8
            assert np.abs(numbers).max() < (1 << config.act_width - 1) - 1    # none saturates


def test_a_machine_without_room_for_the_networks_is_an_error():
    with pytest.raises(CompileError, match="^the machine must hold the networks that are "
                                           "simulated, of layers of 40, 32, 24, 10 activations, "
                                           "but spmat .* not 256: choose a machine with more PEs, "
                                           "or larger memories$"):
        simulation.make_trials(dataclasses.replace(PRESETS["tiny"], n_pe=1), seed=1)


def test_a_missing_library_is_reported_before_any_work(tmp_path, monkeypatch):
    def models():
        raise toolchain.ToolError("no cells")

    for tool in ("require_yosys", "find_icarus"):
        monkeypatch.setattr(simulation, tool, lambda: None)
    monkeypatch.setattr(simulation, "require", lambda tool: tool)
    monkeypatch.setitem(simulation.CELL_SETS, "osu018", simulation.dataclasses.replace(
        simulation.CELL_SETS["osu018"], models=models))
    with pytest.raises(toolchain.ToolError, match="^no cells$"):
        simulation.simulate(PRESETS["tiny"], ["osu018"], tmp_path, trials=[], step=pytest.fail)
    assert not list(tmp_path.iterdir())


def test_a_missing_icarus_is_reported_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "require_yosys", lambda: None)
    monkeypatch.setattr(simulation, "emit", lambda config: pytest.fail("emitted"))
    monkeypatch.setattr(simulation, "find_icarus", lambda: toolchain.Tool.check(
        "iverilog", "simulation", None, None, "11.0", "apt install iverilog"))
    with pytest.raises(toolchain.ToolError, match="^iverilog must be installed for simulation, "
                                                  "but was not found: apt install iverilog$"):
        simulation.simulate(PRESETS["tiny"], ["osu018"], tmp_path, trials=[], step=pytest.fail)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("differences", [(), ("cycles must be 50, not 51",)])
def test_a_difference_sets_the_exit_code(tmp_path, monkeypatch, differences):
    found = Comparison("ecp5", "three layers", 50, 6, 2, differences, 1.0)
    monkeypatch.setattr(simulation, "simulate", lambda *arguments, **options: [found])
    result = CliRunner().invoke(main, ["netlist-sim", "--preset", "tiny", "-o", str(tmp_path)])
    assert result.exit_code == len(differences)
    record = json.loads((tmp_path / "netlist-sim.json").read_text(encoding="utf-8"))
    assert record["comparisons"][0]["transfers"] == 6
    assert EIEConfig.from_mapping(record["config"]) == PRESETS["tiny"]
    assert record["tools"] == dict.fromkeys(["pyosys", "iverilog", "cocotb"], "1.2")
    assert "sources" in record and record["seed"] == 1
    assert result.stderr == "emitting the Verilog\n" + "".join(
        f"ecp5, three layers: {one}\n" for one in differences)
