"""Figures of a layout, and the command `eie_cli.layout` that prints them."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_flows import osu018
from eie_flows.asic.layout import report
from eie_flows.asic.layout.checks import Connections, Violations
from eie_flows.asic.layout.report import Layout, lay_out
from eie_flows.libraries import LIBRARIES
from eie_flows.provenance import Provenance
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.export import verilog
from eie_sim.rtl.toolchain import ToolError

GIVEN = Layout(Provenance(PRESETS["tiny"], None, {"qflow": "1.3"}), "osu018", "eie_pe_mac", 5.5, 1,
               1234, 56, 4321.0, 144.0, 96.0, 0.5, {"metal1": 1000.5}, 77, 0, (),
               Connections(10, 20, (), ()), {"metal1": Violations(0, 0, 0)}, 1.0)


def test_table_has_the_figures_and_what_was_not_checked():
    rows = dict(reversed(GIVEN.rows()))
    assert rows["cells, of which flip-flops"] == "1,234, 56"
    assert rows["block"] == "144.0 × 96.0 µm"
    assert rows["utilisation of the rows"] == "50%"
    assert rows["not checked"] == report.NOT_CHECKED[0]
    assert GIVEN.misses() == []


@pytest.mark.parametrize("change, miss", [
    ({"failed_routes": 2}, "2 routes failed"),
    ({"wrong_cells": ("A_1",)}, "cells unlike the netlist: A_1"),
    ({"connections": Connections(1, 2, ("n", "m"), ())}, "open nets: n, m"),
    ({"connections": Connections(1, 2, (), (("n", "m"),))},
     "nets connected to one another: n and m"),
    ({"rules": {"metal2": Violations(0, 3, 1)}},
     "metal2: 0 places too narrow, 3 too close, 1 wires on metal of cells")])
def test_each_fault_is_a_miss(change, miss):
    assert dataclasses.replace(GIVEN, **change).misses() == [miss]


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(verilog, "emit", lambda config: SimpleNamespace(
        files={"eie.v": "module eie_pe_drain(a);\nendmodule\n"}))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("failed", [0, 1])
def test_the_command_prints_json_and_fails_with_the_checks(tmp_path, monkeypatch, failed):
    monkeypatch.setattr(report, "lay_out", lambda config, files, module, *args, **others:
                        dataclasses.replace(GIVEN, module=module, failed_routes=failed))
    result = CliRunner().invoke(main, ["layout", "--preset", "tiny", "--module", "eie_pe_drain",
                                       "--json", "-o", str(tmp_path)])
    assert result.exit_code == failed, result.output
    found = json.loads(result.stdout)
    assert found["module"] == "eie_pe_drain"
    assert EIEConfig.from_mapping(found["config"]) == PRESETS["tiny"]
    assert (found["sources"], found["tools"], found["period"]) == (None, {"qflow": "1.3"}, 5.5)
    assert "provenance" not in found
    assert found["not_checked"] == list(report.NOT_CHECKED)
    assert ("missed: 1 routes failed" in result.stderr) == bool(failed)


@pytest.mark.parametrize("module", ["eie_none", "eie_identity"])
def test_the_command_refuses_a_module_that_is_not_there(tmp_path, request, monkeypatch, module):
    """At once, but one of constants alone, which the Verilog lacks."""
    if module == "eie_identity":
        request.getfixturevalue("machine")
    else:
        monkeypatch.setattr(verilog, "emit", lambda config: pytest.fail("emitted"))
    result = CliRunner().invoke(main, ["layout", "--preset", "tiny", "--module", module, "-o",
                                       str(tmp_path / "layout")])
    assert result.exit_code == 2
    assert f"--module must be a module of the machine, not {module}: " in result.stderr
    assert not (tmp_path / "layout").exists()


@pytest.mark.usefixtures("tools")
def test_nothing_is_written_without_the_tools(tmp_path, monkeypatch):
    def missing():
        raise ToolError("no qflow")

    monkeypatch.setattr(report, "require_qflow", missing)
    with pytest.raises(ToolError, match="^no qflow$"):
        lay_out(PRESETS["tiny"], {}, "eie", LIBRARIES["osu018"], tmp_path / "layout", period=5,
                seed=1)
    assert not (tmp_path / "layout").exists()


@pytest.mark.skipif(not shutil.which("qflow") or not osu018.LEF.exists(),
                    reason="qflow and qflow-tech-osu018 are not installed")
@pytest.mark.full
def test_throttle_of_the_ccu_is_laid_out_without_faults(tmp_path):
    pytest.importorskip("klayout")
    result = CliRunner().invoke(main, ["layout", "--preset", "tiny", "--module",
                                       "eie_core_ccu_throttle", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {"eie_core_ccu_throttle.gds", "eie_core_ccu_throttle.png", "layout.json"} <= {
        path.name for path in tmp_path.iterdir()}
