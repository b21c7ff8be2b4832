"""Arithmetic of the report, and its form."""

import json

import pytest

from eie_bench.paper.ablation import Step
from eie_bench.paper.nine_layers import LAYERS, Machine
from eie_bench.paper.report import Report
from eie_sim.rtl.cocotb_engine import Mismatch


def cell(table, row, column):
    return table.rows[row][list(table.columns).index(column)]


def test_figures_of_a_measurement_follow_from_its_counters(measurement):
    one = measurement()
    assert one.ideal == 250
    assert one.cycles == 310    # without the 40 in which results are sent
    assert one.ratio == pytest.approx(1.24)
    assert one.entry_balance == pytest.approx(275 / 300)
    assert one.padding == pytest.approx(100 / 1100)
    assert one.microseconds == pytest.approx(310 / 800)


def test_the_published_machine_is_compared_with_what_is_expected(report):
    table = report.tables()["isca2016"]
    assert [cell(table, row, "ratio") for row in range(3)] == ["1.240", "1.600", "1.409"]
    assert cell(table, 0, "difference") == "-0.8%"
    assert cell(table, 1, "difference") == "+0.0%"
    assert table.rows[2][0] == "geometric mean"
    assert [cell(table, 0, stall) for stall in ("full", "scan", "barrier")] == ["7", "8", "9"]


def test_a_difference_of_more_than_four_percent_is_marked(measurement, small):
    ratios = {cycles: cell(Report([measurement(cycles=cycles)], [
        Step("as published", Machine(measurement().config, "interleaved"), 9, {"small": 1.0})],
        1).tables()["isca2016"], 0, "difference") for cycles in (299, 301, 324, 326)}
    assert ratios == {299: "-4.3% **!**", 301: "-3.7%", 324: "+3.7%", 326: "+4.3% **!**"}


def test_the_tuned_machine_is_judged_by_its_targets(report):
    table = report.tables()["tuned"]
    assert [cell(table, row, "met") for row in range(3)] == ["yes", "**no**", ""]
    assert cell(table, 2, "ratio") == "1.265"


@pytest.mark.parametrize("cycles, met", [(265, "yes"), (266, "**no**")])
def test_the_mean_is_judged_if_all_layers_are_there(measurement, cycles, met):
    measured = [measurement("tuned", cycles=cycles, layer=layer) for layer in LAYERS.values()]
    steps = [Step("as published", Machine(measurement().config, "interleaved"), 9,
                  dict.fromkeys(LAYERS, 1.0))]
    table = Report(measured, steps, 1).tables()["tuned"]
    assert (cell(table, 9, "at most"), cell(table, 9, "met")) == ("1.06", met)


def test_times_are_side_by_side(report):
    table = report.tables()["time"]
    assert cell(table, 0, "actual / theoretical") == "1.50"
    assert cell(table, 0, "isca2016") == "0.4" and cell(table, 0, "actual / isca2016") == "7.74"


def test_bits_are_counted_for_each_nonzero(report):
    table = report.tables()["memory"]
    assert cell(table, 0, "isca2016, entries") == "5.50"    # 2200 · 5 / 2000
    assert cell(table, 0, "isca2016, pointers") == "1.80"    # 400 · 9 / 2000
    assert cell(table, 0, "isca2016, both") == "7.30"


def test_each_idea_has_its_mean(report):
    table = report.tables()["steps"]
    assert table.rows == [["as published", "2.000", "8.000", "4.000"],
                          ["+ better", "1.000", "4.000", "2.000"]]


def test_everything_is_json(report):
    summary = json.loads(json.dumps(report.summary()))
    assert summary["mean_ratio"]["isca2016"] == pytest.approx((1.24 * 1.6) ** 0.5)
    assert [one["layer"] for one in summary["measured"]] == ["small", "other"] * 2
    assert summary["steps"][1]["mean_ratio"] == pytest.approx(2)
    assert summary["paper"]["small"]["actual_us"] == 3.0


def test_differences_are_listed_one_by_one(measurement):
    wrong = Mismatch("counter cycles, predicted", 0, 0, 1351, 1350)
    table = Report([measurement(), measurement("tuned", differences=[wrong])], [], 1).differences
    assert table.rows == [["small", "tuned", "counter cycles, predicted", "0", "1,351", "1,350"]]


def test_every_row_of_every_table_is_complete(report):
    for table in report.tables().values():
        assert table.rows and {len(row) for row in table.rows} == {len(table.columns)}
