"""Figures of a sweep."""

import pytest

from eie_bench.explore.figures import PLOTS, draw, series
from eie_bench.explore.measure import Measurement
from eie_bench.explore.parallel import run
from eie_bench.explore.sweep import GIVEN, SWEEPS, Sweep, plan
from eie_bench.explore.tables import make_table
from eie_hdl.extras import install_command

BY_NAME = {plot.name: plot for plot in PLOTS}


def test_every_sweep_is_drawn_and_every_quantity_measured():
    assert {plot.sweep for plot in PLOTS} == {*SWEEPS, GIVEN}
    assert {plot.quantity for plot in PLOTS} <= set(Measurement._fields)


def test_lines_run_along_the_first_axis_and_other_axes_are_panels(table):
    lines = series(BY_NAME[GIVEN], table)
    assert [(line.panel, line.layer) for line in lines] == [
        ("tiny, drop_empty_columns = true", "fc1"), ("tiny, drop_empty_columns = false", "fc1")]
    ratios = [row.measurement and row.measurement.ratio for row in table.rows]
    assert [list(line.points.items()) for line in lines] == [
        [("2", ratios[0]), ("1", None), ("8", ratios[4])],
        [("2", ratios[1]), ("1", None), ("8", ratios[5])]]


def test_speed_up_is_relative_to_the_first_machine(machine, given, inline):
    sweep = Sweep("pes", {"n_pe": (1, 3, 4)})
    points = plan(sweep, {"tiny": machine}, [given.name])
    table = make_table(sweep, points, run(points, [given], inline))
    line, = series(BY_NAME["speedup"], table)
    one, _, four = (row.measurement for row in table.rows)
    assert line.points == {"1": 1, "3": None, "4": one.cycles / four.cycles}
    assert line.points["4"] > 1.5


def test_figures_say_what_they_show(tmp_path, table):
    pytest.importorskip("matplotlib", reason=install_command("bench"))
    png, svg = draw(BY_NAME[GIVEN], table, tmp_path)
    assert png.exists()
    text = svg.read_text(encoding="utf-8")
    for label in ("fc1", "queue depth", "cycles / ideal", "tiny, drop_empty_columns = false"):
        assert f">{label}</text>" in text


def test_sweep_without_any_possible_point_is_not_drawn(tmp_path, machine, given):
    pytest.importorskip("matplotlib", reason=install_command("bench"))
    sweep = Sweep(GIVEN, {"n_pe": (3, 5)})
    table = make_table(sweep, plan(sweep, {"tiny": machine}, [given.name]), {})
    assert draw(BY_NAME[GIVEN], table, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
