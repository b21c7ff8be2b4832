"""Figures of a design, `eie_bench.peers.row`."""

import pytest


@pytest.mark.parametrize("fields, work", [
    ({}, 200.5 * 16), ({"multipliers": None}, None), ({"cycles": None}, None)])
def test_work_is_cycles_times_multipliers_where_both_are_known(row, fields, work):
    made = row(**fields)
    assert made.work == work
    assert made.summary()["cycles_times_multipliers"] == work
    assert made.summary()["cells"]["lut4"] == 4321
