"""`eie doctor` (`eie_cli.doctor`): what is missing, and how to install it."""

import json

import pytest
from rich.console import Console

from eie_sim.rtl.toolchain import Tool

COMMAND = "pip install -e '/a/folder/whose/name/exceeds/the/width/of/the/terminal/eie-hdl[sim]'"


def check(version, *, required=False):
    return Tool.check("verilator", "speed", version, version and "/usr/bin/verilator", "5.036",
                      COMMAND, required=required)


@pytest.mark.parametrize(("tool", "code", "ok"), [
    (check("5.048"), 0, "yes"),
    (check("4.2"), 1, "no"),
    (check(None), 0, "optional"),
    (check(None, required=True), 1, "no"),
], ids=["good", "too old", "optional", "required"])
def test_doctor_gives_the_remedy(monkeypatch, eie, tool, code, ok):
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [tool])
    result, text = eie("doctor")
    assert result == code
    assert text.splitlines()[1].split()[-1] == ok
    assert (COMMAND in text) == (not tool.ok)
    result, text = eie("doctor", "--json")
    assert result == code
    assert json.loads(text)["tools"][0]["ok"] is tool.ok
    assert json.loads(text)["tools"][0]["required"] is tool.required
    assert json.loads(text)["schema_version"] == 1


@pytest.mark.parametrize("path, row", [
    (None, ["–", "any", "optional"]), ("/cells.lib", ["unknown", "any", "yes"])])
def test_any_version_of_a_tool_will_do_if_it_has_none(monkeypatch, eie, path, row):
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [
        Tool("cells", "layouts", None, path, "0", path is not None, "" if path else "get them")])
    assert eie("doctor")[1].splitlines()[1].split()[2:] == row


def test_standard_cells_are_checked(monkeypatch, eie):
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [])
    code, text = eie("doctor", "--json")
    assert code == 0 and [tool["name"] for tool in json.loads(text)["tools"]] == ["osu018"]


def test_commands_are_not_broken_on_a_narrow_terminal(monkeypatch, eie):
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [check("4.2")])
    monkeypatch.setattr("eie_cli.console.make_console", lambda: Console(width=40, markup=False))
    assert f": {COMMAND}\n" in eie("doctor")[1]
