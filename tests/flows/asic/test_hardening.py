"""Configurations for LibreLane and OpenROAD-flow-scripts: variables, files, and their contents."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from eie_cli.main import main
from eie_flows.asic import hardening
from eie_flows.asic.hardening import FLOWS, write_flow
from eie_hdl.config import PRESETS

#: Variables that LibreLane 3.0.17 has, and flow/scripts/variables.yaml of OpenROAD-flow-scripts.
KNOWN = {
    "librelane": {"CLOCK_PERIOD", "CLOCK_PORT", "DESIGN_NAME", "EXTRA_LEFS", "EXTRA_LIBS",
                  "FP_CORE_UTIL", "IO_DELAY_CONSTRAINT", "PDK", "PDN_MACRO_CONNECTIONS",
                  "STD_CELL_LIBRARY", "VERILOG_FILES"},
    "orfs": {"ADDITIONAL_LEFS", "ADDITIONAL_LIBS", "CORE_UTILIZATION", "DESIGN_NAME",
             "GDS_ALLOW_EMPTY", "MACRO_PLACE_HALO", "PLATFORM", "SDC_FILE", "VERILOG_FILES"},
}


@pytest.fixture(scope="module", autouse=True)
def machine():
    """Emit the machine once, which takes most of the time."""
    emitted = hardening.emit(PRESETS["tiny"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hardening, "emit", lambda config: emitted)
        yield


@pytest.fixture(scope="module", params=list(FLOWS))
def flow(request):
    return request.param


@pytest.fixture(scope="module")
def files(flow):
    return write_flow(flow, PRESETS["tiny"], period=8)


def variables(flow, files):
    """Read a configuration."""
    text = files[FLOWS[flow][0]]
    if flow == "librelane":
        return json.loads(text)
    lines = re.findall(r"^export (\w+) = (.+)$", text, re.MULTILINE)
    assert len(lines) == text.count("\n")
    return dict(lines)


def test_variables_are_those_that_the_flow_knows(flow, files):
    assert variables(flow, files).keys() == KNOWN[flow]


def test_every_file_that_is_named_is_written_and_the_other_way_round(flow, files):
    text = files[FLOWS[flow][0]]
    named = set(re.findall(r"(?:dir::|\$\(dir \$\(DESIGN_CONFIG\)\))([\w.]+)", text))
    assert named == files.keys() - {FLOWS[flow][0]}


def test_design_is_a_pe_with_views_of_its_memories(flow, files):
    assert variables(flow, files)["DESIGN_NAME"] == "eie_pe"
    assert re.search(r"^module eie_pe \(", files["machine.v"], re.MULTILINE)
    macros = set(re.findall(r"^MACRO (\w+)", files["macros.lef"], re.MULTILINE))
    assert macros == set(re.findall(r"^module (\w+)", files["macros_blackbox.v"], re.MULTILINE))
    assert macros == set(re.findall(r"^  cell \((\w+)\)", files["macros.lib"], re.MULTILINE))
    assert macros == set(re.findall(r"(\w+) ram \(", files["memories.v"]))
    assert macros
    if flow == "librelane":
        assert variables(flow, files)["CLOCK_PERIOD"] == 8
        assert variables(flow, files)["IO_DELAY_CONSTRAINT"] == 20
    else:
        assert "-period 8.000 [get_ports clk]" in files["eie_pe.sdc"]
        assert all(re.fullmatch(variables(flow, files)["GDS_ALLOW_EMPTY"], name)
                   for name in macros)


@pytest.mark.filterwarnings("ignore")    # of that package
def test_librelane_accepts_types_and_files_of_its_configuration(tmp_path):
    pytest.importorskip("librelane", reason="librelane is not installed")
    from librelane.config import Config, universal_flow_config_variables
    from librelane.flows import Flow

    files = write_flow("librelane", PRESETS["tiny"], period=8)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    classic = Flow.factory.get("Classic")
    known = {variable.name: variable for variable in (
        *universal_flow_config_variables, *classic.config_vars,
        *(each for step in classic.Steps for each in step.config_vars))}
    given = variables("librelane", files)
    assert given.keys() <= known.keys() | {"PDK"}
    read, _ = Config.load(str(tmp_path / "config.json"),
                          [known[name] for name in given if name in known],
                          pdk_root=str(tmp_path), _load_pdk_configs=False)
    assert read["VERILOG_FILES"][0] == str(tmp_path / "machine.v")
    assert float(read["CLOCK_PERIOD"]) == 8


@pytest.mark.skipif("FLOW_HOME" not in os.environ,
                    reason="FLOW_HOME must be the folder flow of OpenROAD-flow-scripts")
def test_openroad_flow_scripts_knows_every_variable_and_misses_none():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    known = yaml.safe_load((Path(os.environ["FLOW_HOME"]) / "scripts/variables.yaml").read_text(
        encoding="utf-8"))
    given = variables("orfs", write_flow("orfs", PRESETS["tiny"], period=8))
    assert given.keys() <= known.keys()
    assert not [name for name in given if known[name].get("deprecated")]
    assert {name for name, about in known.items() if about.get("required")} <= given.keys()


def test_the_command_writes_the_files(tmp_path):
    result = CliRunner().invoke(main, ["asic", "--preset", "tiny", "--emit", "orfs",
                                       "--period", "10", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} >= {"config.mk", "machine.v", "macros.lef"}


@pytest.mark.parametrize("option, message", [
    (["--json"], "--emit writes files alone: leave out --clock-gates, --power and --json"),
    (["--clock-gates"], "--emit writes files alone: leave out --clock-gates, --power and --json"),
    ([], "--emit needs --period NS: a PE of the default machine reaches 7 ns before its layout, "
         "and less after it"),
    (["--library", "osu018"], "--emit is for sky130_fd_sc_hd: leave out --library osu018"),
])
def test_options_of_the_synthesis_are_refused(option, message, tmp_path):
    result = CliRunner().invoke(main, ["asic", "--emit", "orfs", *option, "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert f"Error: {message}\n" in result.stderr
    assert not list(tmp_path.iterdir())
