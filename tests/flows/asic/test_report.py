"""Tables of a machine in standard cells, and the command `eie_cli.asic` that prints them."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_flows.asic import report
from eie_flows.asic.macros import Macro
from eie_flows.asic.report import Report, run
from eie_flows.asic.synthesis import Area
from eie_flows.asic.timing import LongPath, Timing
from eie_flows.libraries import LIBRARIES
from eie_flows.provenance import Provenance
from eie_hdl.config import PRESETS, EIEConfig
from eie_sim.rtl.toolchain import ToolError

LIBRARY = LIBRARIES["osu018"]
TIMING = Timing(152.6, (LongPath("mac/a", "mac/b[0]", -1.553),))
GIVEN = Report(
    LIBRARY, Provenance(PRESETS["tiny"], None, {"sta": "2.0.17"}), 5.0,
    {"eie": Area(1000, 100, 4e4, 9e5), "eie.bank": Area(10, 2, 300.0, 0.0),
     "eie.core": Area(900, 90, 3.9e4, 9e5), "eie.core.ccu": Area(50, 5, 2000.0, 0.0),
     "eie.core.pe_0": Area(400, 40, 1.8e4, 4e5), "eie.core.pe_0.mac": Area(90, 9, 4321.5, 0.0),
     "eie.core.pe_0.mac.inner": Area(1, 1, 1.0, 0.0),
     "eie.core.pe_1": Area(400, 40, 1.8e4, 4e5)},
    TIMING, TIMING, (Macro(64, 16, True, 2, LIBRARY.process),))


def test_tables_have_the_parts_of_one_pe_and_of_the_machine():
    rows = GIVEN.area_rows()
    assert [row[0] for row in rows] == [
        "– mac", "one PE", "bank", "core.ccu", f"the machine, {PRESETS['tiny'].n_pe} PEs"]
    assert rows[0] == ["– mac", "90", "9", "4,322", "–"]
    assert rows[1] == ["one PE", "400", "40", "18,000", "400,000"]
    assert "| one PE | 153 MHz | `mac/a` | `mac/b[0]` |" in GIVEN.markdown()
    assert GIVEN.macro_rows()[0][:4] == ["`eie_ram_64x16`", "64", "16", "2"]


def test_flipflops_with_gated_clocks_and_the_paths_to_the_gates_are_in_the_tables():
    timing = Timing(100.0, TIMING.paths, LongPath("scan/a", "scan/clock_gate_1_latch", -5.0))
    gated = dataclasses.replace(GIVEN, tile=timing, areas={
        path: dataclasses.replace(area, gated=area.flipflops // 2)
        for path, area in GIVEN.areas.items()})
    assert gated.area_rows()[0] == ["– mac", "90", "9, 4 gated", "4,322", "–"]
    assert gated.timing_rows()[:2] == [
        ["one PE", "153 MHz", "`mac/a`", "`mac/b[0]`"],
        ["– to clock gates", "100 MHz", "`scan/a`", "`scan/clock_gate_1_latch`"]]


def test_a_library_without_gates_is_refused_before_anything_is_written(tmp_path):
    library = LIBRARIES["sky130_fd_sc_hd"]
    with pytest.raises(ToolError, match="^clock gates need a library with a latch, but "
                                        "sky130_fd_sc_hd, as characterised here, has none: choose "
                                        "osu018, or leave out --clock-gates$"):
        run(PRESETS["tiny"], library, tmp_path / "asic", period=5, clock_gates=True)
    assert not (tmp_path / "asic").exists()


@pytest.mark.parametrize("options, expected", [([], False), (["--clock-gates"], True)])
def test_the_command_asks_for_gates(tmp_path, monkeypatch, options, expected):
    given = {}
    monkeypatch.setattr(report, "run",
                        lambda config, library, folder, **others: given.update(others) or GIVEN)
    result = CliRunner().invoke(main, ["asic", "-o", str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert given["clock_gates"] is expected


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_tables_or_json(tmp_path, monkeypatch, as_json):
    monkeypatch.setattr(report, "run", lambda config, library, folder, **others: GIVEN)
    result = CliRunner().invoke(main, ["asic", "-o", str(tmp_path), *(["--json"] * as_json)])
    assert result.exit_code == 0, result.output
    if as_json:
        found = json.loads(result.stdout)
        assert EIEConfig.from_mapping(found["config"]) == PRESETS["tiny"]
        assert (found["sources"], found["tools"]) == (None, {"sta": "2.0.17"})
        assert found["tile"]["mhz"] == 152.6
        assert found["macros"][0]["area_estimate"] == GIVEN.macros[0].area
    else:
        assert "4,322" in result.stdout and "153 MHz" in result.stdout


@pytest.mark.parametrize("missing", ["pyosys", "sta", "a calibrated sta", "iverilog"])
def test_nothing_is_written_without_the_tools(missing, tools, tmp_path, monkeypatch):
    def require():
        if missing == "a calibrated sta":
            raise ToolError("a calibrated sta must be installed")

    monkeypatch.setattr(report, "require_calibrated_opensta", require)
    tools[:] = [tool if tool.name != missing else dataclasses.replace(tool, path=None)
                for tool in tools]
    monkeypatch.setattr(type(LIBRARY), "find", lambda self: self.file)
    with pytest.raises(ToolError, match=f"^{missing} must be installed"):
        run(PRESETS["tiny"], LIBRARY, tmp_path / "asic", period=5, with_power=True)
    assert not (tmp_path / "asic").exists()


def test_the_report_names_its_library_and_conditions():
    assert GIVEN.markdown().splitlines()[0] == (
        f"{LIBRARY.origin}. Gates are sized for 5 ns. Before layout: without wires, with an ideal "
        "clock.")
