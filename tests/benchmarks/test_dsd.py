"""Comparison of dense-sparse-dense training: rows, table and files."""

import json

import pytest

from eie_bench.dsd import SHARE, format_comparison, make_row, write_comparison

ROWS = [{"seed": 1, "dense": 0.02, "control": 0.016, "dsd": 0.015, "change": -0.001},
        {"seed": 2, "dense": 0.02, "control": 0.014, "dsd": 0.016, "change": 0.002}]


def test_a_row_compares_the_last_stages():
    control, dsd = ([{"test": 0.02}, {"test": 0.019}, {"test": error}] for error in (0.016, 0.015))
    row = make_row(1, control, dsd)
    assert row == {**ROWS[0], "change": pytest.approx(-0.001),
                   "stages": {"control": control, "dsd": dsd}}


def test_the_table_has_mean_and_spread():
    assert format_comparison(ROWS).splitlines()[2:] == [
        "| 1 | 2.00% | 1.60% | 1.50% | -0.10 |", "| 2 | 2.00% | 1.40% | 1.60% | +0.20 |",
        "| mean | 2.00% | 1.50% | 1.55% | +0.05 ± 0.21 |"]


def test_the_files_have_options_and_a_version(tmp_path):
    text = write_comparison(tmp_path, {"epochs": 3}, ROWS)
    assert (tmp_path / "dsd.md").read_text(encoding="utf-8") == text
    assert json.loads((tmp_path / "dsd.json").read_text(encoding="utf-8")) == {
        "schema_version": 1, "share": SHARE, "options": {"epochs": 3}, "rows": ROWS}
