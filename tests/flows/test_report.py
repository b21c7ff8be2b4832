"""Requirements of a synthesis, and its table."""

import dataclasses

import pytest

from eie_flows.mapping import Counts
from eie_flows.place_and_route import Route
from eie_flows.provenance import Provenance
from eie_flows.report import Report
from eie_hdl.checkout import Checkout
from eie_hdl.config import PRESETS, EIEConfig

#: What a PE should be, for the tests of what is said if it is not.
GOOD = Report(
    provenance=Provenance(EIEConfig(), Checkout("a" * 40, "2026-01-02", ("M eie_hdl/core.py",)),
                          {"pyosys": "0.70"}),
    target="ecp5", module="eie_pe", n_pe=1, n_multipliers=1, counts=Counts(
        luts=800, carry=90, flipflops=1000, lut_ram=69, block_ram=10, multipliers=1,
        memories={"spmat": {"DP16KD": 5}, "ptr_even": {"DP16KD": 1}, "ptr_odd": {"DP16KD": 1},
                  "act": {"DP16KD": 2}, "acc": {"TRELLIS_DPR16X4": 40}}, cells={"LUT4": 800}),
    routes=(Route(1, 105.25, ("scan.mask.Q", "act.rows.0.0.ADB5"), 30.0),),
    seconds=9.5,
    min_mhz=105, max_luts=920)


def replace(counts=None, **changes):
    return dataclasses.replace(GOOD, counts=GOOD.counts._replace(**(counts or {})), **changes)


def route(seed, mhz):
    return Route(seed, mhz, ("a.Q", "b.D"), 1.0)


def test_a_good_pe_misses_nothing():
    assert GOOD.misses() == []
    assert "| Fmax | 105.2 MHz | ≥ 105 MHz |" in GOOD.markdown()
    assert "| – act | 2 DP16KD | DP16KD or PDPW16KD |" in GOOD.markdown()
    assert "| longest path to | `act.rows.0.0.ADB5` |" in GOOD.markdown()


@pytest.mark.parametrize(("report", "message"), [
    (replace(routes=(route(1, 104.94),)), "the clock rate must be at least 105 MHz, not 104.9"),
    (replace(routes=(route(1, 120), route(2, 101), route(3, 104))),
     "the clock rate must be at least 105 MHz, not 104.0"),
    (replace({"luts": 921}), "there must be at most 920 LUTs, not 921"),
    (replace({"multipliers": 0}), "there must be at least 1 MULT18X18D, not 0"),
    (replace({"multipliers": 3}, n_multipliers=4), "there must be at least 4 MULT18X18D, not 3"),
    (replace({"memories": {**GOOD.counts.memories, "acc": {"DP16KD": 1}}}),
     "acc must be in TRELLIS_DPR16X4, not 1 DP16KD"),
    (replace({"memories": {**GOOD.counts.memories, "ptr_odd": {}}}),
     "ptr_odd must be in DP16KD or PDPW16KD, not none"),
])
def test_requirements_that_a_pe_misses_are_listed(report, message):
    assert report.misses() == [message]


def test_the_rate_is_the_median_of_the_seeds_and_each_has_its_path():
    report = replace(routes=(route(1, 120), route(2, 101), route(3, 110)))
    assert (report.mhz, report.device) == (110, "LFE5U-85F, speed grade 6")
    assert ("| Fmax | 110.0 MHz, median of 120.0 (seed 1), 101.0 (seed 2), 110.0 (seed 3) | "
            "≥ 105 MHz |") in report.markdown()
    assert "| longest path from, seed 2 | `a.Q` |" in report.markdown()


def test_without_place_and_route_the_rate_is_said_to_be_unknown():
    report = replace(routes=(), min_mhz=None)
    assert (report.mhz, report.device, report.misses()) == (None, None, [])
    assert "| Fmax | not known: only synthesised |" in report.markdown()
    assert report.as_dict()["mhz"] is None


def test_a_family_whose_multiplier_yosys_does_not_know_needs_none():
    memories = {name: {"EFX_RAM_5K": 2} for name in GOOD.counts.memories}
    report = replace({"multipliers": 0, "memories": memories}, target="efinix", routes=())
    assert report.misses() == []
    assert "| multipliers | in LUTs: Yosys maps to none |" in report.markdown()


def test_the_json_has_the_machine_the_commit_and_every_requirement():
    written = replace({"luts": 921}, provenance=GOOD.provenance._replace(config=PRESETS["tiny"])
                      ).as_dict()
    assert EIEConfig.from_mapping(written["config"]) == PRESETS["tiny"]
    assert written["sources"] == {"commit": "a" * 40, "date": "2026-01-02",
                                  "changes": ("M eie_hdl/core.py",)}
    assert written["tools"] == {"pyosys": "0.70"}
    mhz, luts, *memories, multipliers = written["requirements"]
    assert mhz == {"name": "mhz", "relation": ">=", "limit": 105, "found": 105.25, "met": True}
    assert luts == {"name": "luts", "relation": "<=", "limit": 920, "found": 921, "met": False}
    assert memories[-1] == {"name": "acc", "relation": "in", "limit": ("TRELLIS_DPR16X4",),
                            "found": {"TRELLIS_DPR16X4": 40}, "met": True}
    assert {one["name"] for one in memories} == {"spmat", "ptr_even", "ptr_odd", "act", "acc"}
    assert multipliers == {"name": "multipliers", "relation": ">=", "limit": 1, "found": 1,
                           "met": True}
    assert written["misses"] == ["there must be at most 920 LUTs, not 921"]


def test_what_is_not_required_is_not_listed():
    report = replace({"multipliers": 0}, min_mhz=None, max_luts=None, n_multipliers=0)
    assert {one["name"] for one in report.as_dict()["requirements"]} == {
        "spmat", "ptr_even", "ptr_odd", "act", "acc"}
