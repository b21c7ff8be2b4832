"""Changes to netlists. That a multiplier with its register computes the same is simulated in
`tests/flows/netlist/test_simulation.py`."""

import copy
import json

import pytest

from eie_flows.netlist_changes import absorb_registers, change_netlist, open_carry_inputs


def test_every_module_with_cells_is_changed(tmp_path):
    file = tmp_path / "flat.json"
    file.write_text(json.dumps({"modules": {
        "box": {}, "one": {"cells": {"x": {}}}, "two": {"cells": {}}}}), encoding="utf-8")
    change_netlist(file, lambda module: module.update(name=len(module["cells"])))
    assert json.loads(file.read_text(encoding="utf-8"))["modules"] == {
        "box": {}, "one": {"cells": {"x": {}}, "name": 1}, "two": {"cells": {}, "name": 0}}


def test_the_first_carry_input_of_a_chain_is_open():
    module = {"cells": {
        "low": {"type": "VLO", "connections": {"Z": [4]}},
        "first": {"type": "CCU2", "connections": {"A0": [4], "CIN": [4], "COUT": [5]}},
        "second": {"type": "CCU2", "connections": {"A0": [4], "CIN": [5], "COUT": [6]}},
        "other": {"type": "LUT4", "connections": {"CIN": [4], "Z": [7]}}}}
    open_carry_inputs(module)
    assert [name for name, cell in module["cells"].items() if "CIN" in cell["connections"]] == [
        "second", "other"]


def register(source, target):
    return {"type": "TRELLIS_FF", "connections": {
        "CLK": [2], "DI": [source], "LSR": ["0"], "Q": [target]},
        "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"}}


@pytest.fixture
def module():
    """A multiplier with two outputs in registers, and one that is not used."""
    return {
        "ports": {"clk": {"bits": [2]}, "q": {"bits": [20, 21]}},
        "cells": {
            "mac.$9_MULT18X18D_P1": {
                "type": "MULT18X18D", "parameters": {}, "port_directions": {"P0": "output"},
                "connections": {"A0": [3], "P0": [10], "P1": [11], "P2": [12], "SIGNEDA": ["1"]}},
            "mac.product_TRELLIS_FF_Q": register(10, 20),
            "mac.product_TRELLIS_FF_Q_1": register(11, 21)}}


def test_registers_are_moved_into_the_multiplier_and_give_it_their_name(module):
    absorb_registers(module)
    [(name, cell)] = module["cells"].items()
    assert name == "mac.product_MULT18X18D_mac__9_MULT18X18D_P1"
    assert cell["connections"] == {"A0": [3], "P0": [20], "P1": [21], "P2": [12], "SIGNEDA": ["1"],
                                   "CLK0": [2], "CE0": ["1"], "RST0": ["0"]}
    assert cell["port_directions"] == {"P0": "output", "CLK0": "input", "CE0": "input",
                                       "RST0": "input"}
    assert cell["parameters"]["REG_OUTPUT_CLK"] == "CLK0"


def _reset(module, cell):
    cell["connections"]["LSR"] = [5]


def _clock(module, cell):
    cell["connections"]["CLK"] = [6]


def _no_register(module, cell):
    cell["type"] = "LUT4"


def _second_reader(module, cell):
    module["cells"]["lut"] = {"type": "LUT4", "connections": {"A": [11], "Z": [30]}}


def _port(module, cell):
    module["ports"]["early"] = {"bits": [11]}


def _mode(**parameters):
    def change(module, cell):
        cell["parameters"] |= parameters

    return change


@pytest.mark.parametrize("change", [
    _reset, _clock, _no_register, _second_reader, _port, _mode(CEMUX="CE"), _mode(REGSET="SET"),
    _mode(CLKMUX="INV")])
def test_other_registers_stay_where_they_are(module, change):
    change(module, module["cells"]["mac.product_TRELLIS_FF_Q_1"])
    before = copy.deepcopy(module)
    absorb_registers(module)
    assert module == before


def test_a_multiplier_without_a_reader_stays_as_it_is(module):
    del module["cells"]["mac.product_TRELLIS_FF_Q"], module["cells"]["mac.product_TRELLIS_FF_Q_1"]
    before = copy.deepcopy(module)
    absorb_registers(module)
    assert module == before
