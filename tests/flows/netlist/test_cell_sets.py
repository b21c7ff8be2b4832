"""Models of the cells of each library."""

import dataclasses
import re

import pytest

from eie_flows.netlist.cell_sets import CELL_SETS, LIBRARIES
from eie_sim.rtl.toolchain import ToolError


def test_models_have_functions_only(library):
    text = library.models()
    assert re.search(r"^module \w+", text, re.MULTILINE)
    assert "specify" not in text and "`include" not in text


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    missing = dataclasses.replace(LIBRARIES["osu018"], file=tmp_path / "osu018.lib")
    monkeypatch.setitem(LIBRARIES, "osu018", missing)
    with pytest.raises(ToolError, match=f"^the library osu018 must be installed for synthesis, but "
                                        f"was not found in {missing.file}: apt install "
                                        "qflow-tech-osu018$"):
        CELL_SETS["osu018"].models()
