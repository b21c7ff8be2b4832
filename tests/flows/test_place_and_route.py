"""Arguments of nextpnr for each family, and what is read from its reports."""

import json

import pytest

from eie_flows import place_and_route as module
from eie_flows.mapping import NETLIST
from eie_flows.place_and_route import ROUTERS, place_and_route
from eie_hdl.export.families import FAMILIES
from support.multiplier_cells import MULTIPLIER_CELLS

CLOCK = "posedge $glbnet$clk$TRELLIS_IO_IN"

TIMING = {
    "fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 123.5, "constraint": 100}},
    "critical_paths": [
        {"from": "<async>", "to": CLOCK, "path": []},
        {"from": CLOCK, "to": CLOCK, "path": [
            {"from": {"cell": "dut.x_TRELLIS_FF_Q_1", "port": "Q"},
             "to": {"cell": "dut.n_LUT4_Z_PFUMX_ALUT", "port": "A"}},
            {"from": {"cell": "dut.n_LUT4_Z", "port": "F"},
             "to": {"cell": "dut.act.rows.0.0", "port": "ADB5"}}]}]}

#: Netlist of a multiplier with a register, and of a carry chain.
CELLS = {
    "low": {"type": "VLO", "connections": {"Z": [4]}},
    "first": {"type": "CCU2", "connections": {"CIN": [4], "COUT": [5]}},
    **MULTIPLIER_CELLS}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Runs of nextpnr by package, which only write reports; and a netlist for them."""
    asked = {}

    def run(package, runs, folder, done):
        asked[package] = runs
        for seconds, (log, arguments) in reversed([*zip((2.04, 3.0), runs.items())]):
            name = arguments[arguments.index("--report") + 1]
            (folder / name).write_text(json.dumps(TIMING), encoding="utf-8")
            done(log, seconds)

    monkeypatch.setattr(module, "run_nextpnr", run)
    (tmp_path / NETLIST).write_text(json.dumps({"modules": {"harness": {"cells": CELLS}}}),
                                    encoding="utf-8")
    return asked


@pytest.mark.parametrize("target", ROUTERS)
def test_each_seed_is_a_run_with_a_report_of_its_own(target, tmp_path, asked):
    router = ROUTERS[target]
    steps = []
    routes = place_and_route(tmp_path, router, [7, 2], ["LUT4", "TRELLIS_FF"], steps.append)
    assert steps == ["placed and routed 1 of 2 seeds: 123.5 MHz with seed 2, in 3 s",
                     "placed and routed 2 of 2 seeds: 123.5 MHz with seed 7, in 2 s"]
    assert [(route.seed, route.mhz, route.seconds) for route in routes] == [
        (7, 123.5, 2.0), (2, 123.5, 3.0)]
    assert routes[0].critical == ("x.Q", "act.rows.0.0.ADB5")
    runs = asked[router.package]
    assert [arguments[arguments.index("--seed") + 1] for arguments in runs.values()] == ["7", "2"]
    assert len({*runs}) == 2


@pytest.mark.parametrize("target", ROUTERS)
def test_constraints_of_pins_are_written_if_nextpnr_is_given_them(target, tmp_path, asked):
    router = ROUTERS[target]
    place_and_route(tmp_path, router, [1], ["LUT4"])
    is_given = any(argument.endswith("pins.txt") for argument in router.arguments)
    assert (tmp_path / "pins.txt").exists() == is_given == (target in ("gowin", "nexus"))


@pytest.mark.parametrize("target", ROUTERS)
def test_the_netlist_is_changed_for_an_ecp5_and_for_nexus(target, tmp_path, asked):
    place_and_route(tmp_path, ROUTERS[target], [1], ["LUT4"])
    cells = json.loads((tmp_path / NETLIST).read_text(encoding="utf-8"))["modules"]["harness"][
        "cells"]
    assert ("register" not in cells) == (target == "ecp5")
    assert ("CIN" not in cells["first"]["connections"]) == (target == "nexus")


def test_every_router_is_for_a_family():
    assert ROUTERS.keys() <= FAMILIES.keys()
