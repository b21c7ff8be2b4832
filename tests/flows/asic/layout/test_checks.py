"""Checks of a layout: every damage of a small one is found."""

import pytest

from eie_flows.asic.layout.checks import (
    Violations,
    check_cells,
    check_connections,
    check_rules,
)
from eie_flows.asic.layout.geometry import read_geometry
from eie_flows.asic.layout.netlist import read_blif
from support.tiny_layout import DEF, LEF, NETLIST

pytest.importorskip("klayout")

CLEAN = {"metal1": Violations(0, 0, 0), "metal2": Violations(0, 0, 0)}


@pytest.fixture
def read(tmp_path):
    def geometry(old="", new=""):
        assert old in DEF
        (tmp_path / "cells.lef").write_text(LEF, encoding="utf-8")
        (tmp_path / "top.def").write_text(DEF.replace(old, new, 1), encoding="utf-8")
        return read_geometry(tmp_path / "top.def", tmp_path / "cells.lef")

    return geometry


def test_layout_that_is_right_passes(read):
    geometry = read()
    found = check_connections(geometry, NETLIST)
    assert (found.opened, found.shorted) == ((), ())
    # Pins of the supply are the metal that abuts.
    assert (found.nets, found.pins) == (5, 10)
    assert check_rules(geometry) == CLEAN
    assert check_cells(geometry, NETLIST, []) == []


@pytest.mark.parametrize("old, new, opened", [
    ("( * 650 ) M2_M1 ;\n- b", "( * 650 ) ;\n- b", ("a",)),
    ("( 460 * ) ( * 650 ) M2_M1", "( 460 * )", ("b",)),
    ("( 740 500 ) ( 1000 * )", "( 740 500 ) ( 900 * )", ("y",)),
    ("BUF + PLACED ( 400 0 )", "BUF + PLACED ( 420 0 )", ("gnd", "vdd"))],
    ids=["via", "wire", "pin", "rail"])
def test_what_is_not_connected_is_open(read, old, new, opened):
    found = check_connections(read(old, new), NETLIST)
    assert (found.opened, found.shorted) == (opened, ())


def test_nets_that_touch_are_shorted(read):
    found = check_connections(read("( 340 600 ) ( * 450 )", "( 340 600 ) ( * 750 ) ( 60 * ) "
                                   "( 340 * ) ( * 450 )"), NETLIST)
    assert (found.opened, found.shorted) == ((), (("a", "b"),))


def test_net_of_a_netlist_that_the_layout_does_not_have_is_open(read):
    other = read_blif(".inputs a\n.gate BUF A=a Y=b\n.gate BUF A=b Y=y\n.gate BUF A=y Y=z\n")
    assert "z" in check_connections(read(), other).opened
    assert check_cells(read(), other, []) == ["BUF_3"]


def test_fillers_are_not_missed_in_the_netlist(read):
    geometry = read("- BUF_2 BUF", "- FILL_1 BUF")
    assert check_cells(geometry, NETLIST, []) == ["BUF_2", "FILL_1"]
    assert check_cells(geometry, NETLIST, ["BUF"]) == ["BUF_1", "BUF_2"]


@pytest.mark.parametrize("layer, path, found", [
    ("metal2", "( 600 600 ) ( * 900 )\n  NEW metal2 ( 640 600 ) ( * 900 )", Violations(0, 1, 0)),
    ("metal2", "( 600 600 ) ( * 900 ) ( 640 * ) ( * 600 )", Violations(0, 1, 0)),
    ("metal1", "( 200 250 ) ( * 350 )", Violations(0, 0, 1))], ids=["close", "notch", "blocked"])
def test_wires_that_break_rules_are_counted(read, layer, path, found):
    geometry = read("( 740 500 ) ( 1000 * )", f"( 740 500 ) ( 1000 * )\n  NEW {layer} {path}")
    assert check_rules(geometry) == {**CLEAN, layer: found}


def test_metal_that_is_too_narrow_is_counted(read):
    geometry = read("( -15 -15 ) ( 15 15 )\n  + PLACED ( 1000", "( -10 -15 ) ( 10 -5 )\n  + PLACED "
                    "( 1050")
    assert check_rules(geometry)["metal1"].narrow > 0
