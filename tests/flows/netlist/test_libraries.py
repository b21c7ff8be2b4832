"""Models of the cells of each library."""

import re

import pytest

from eie_flows.netlist import libraries
from eie_sim.rtl.toolchain import ToolError


def test_models_have_functions_only(library):
    text = library.models()
    assert re.search(r"^module \w+", text, re.MULTILINE)
    assert "specify" not in text and "`include" not in text


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "_OSU018", tmp_path)
    with pytest.raises(ToolError, match=f"^the cells osu018 must be installed in {tmp_path}, but "
                                        "were not found: apt install qflow-tech-osu018$"):
        libraries.LIBRARIES["osu018"].models()
