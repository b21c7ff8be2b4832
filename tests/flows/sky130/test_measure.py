"""Measurement of combinational cells."""

import re

import numpy as np
import pytest

from eie_flows.sky130 import measure
from eie_flows.sky130.cells import CELLS, FLIPFLOPS
from eie_flows.sky130.measure import (
    LOADS,
    MIDDLE,
    SLEWS,
    edge_times,
    energy_drawn,
    input_capacitance,
    loads_of,
    measure_cell,
)
from eie_flows.sky130.spice import VDD, Waves

TIME = np.linspace(0, 10.5, 2101)
EDGES = (1.0, 5.5)


def fake_simulate(slow=None):
    """Return a simulator of a cell whose output changes 0.1 ns after each input, or 0.2 ns.

    It changes later in states in which the input `slow` is 1.
    """
    def simulate(name, output, runs, until):
        cell, found = CELLS[name], []
        for run in runs:
            level = {}
            for pin, text in run.sources.items():
                times, volts = np.array([point.rstrip("n") for point in text.split()],
                                        float).reshape(-1, 2).T
                level[pin] = np.interp(TIME, times, volts)
            late = 0.2 if slow and level[slow][0] > 1 else 0.1
            table = np.array([cell.evaluate(state) for state in cell.states()], float)
            state = np.zeros(len(TIME), int)
            for pin in cell.inputs:
                state = 2 * state + (level[pin] > VDD / 2)
            values = table[state]
            signals = {f"v({output.lower()})": np.interp(TIME - late, TIME, values) * VDD,
                       "i(vs)": np.full(len(TIME), 1e-9),
                       **{f"i(vi_{pin.lower()})": np.full(len(TIME), 1e-6) for pin in level}}
            found.append(Waves(TIME, signals))
        return found
    return simulate


def test_the_tables_have_all_slews_and_loads(monkeypatch):
    monkeypatch.setattr(measure, "simulate", fake_simulate())
    found = measure_cell(CELLS["nand2_2"])
    timing, = found.timings["A"]
    assert found.loads == tuple(2 * load for load in LOADS)
    assert timing.inverts
    assert timing.delay["rise"].shape == (len(SLEWS), len(LOADS))
    assert timing.delay["fall"] == pytest.approx(0.1, abs=0.01)
    assert found.leakage == pytest.approx(VDD)    # 1 nA


def test_the_slowest_state_is_taken(monkeypatch):
    monkeypatch.setattr(measure, "simulate", fake_simulate(slow="B2"))
    timing, = measure_cell(CELLS["a22oi_1"]).timings["A1"]
    assert timing.delay["rise"] == pytest.approx(0.2, abs=0.01)


def test_both_senses_of_an_exclusive_or_are_measured(monkeypatch):
    monkeypatch.setattr(measure, "simulate", fake_simulate())
    assert [timing.inverts for timing in measure_cell(CELLS["xor2_1"]).timings["B"]] == [False,
                                                                                         True]


def test_delay_and_transition_are_those_of_the_edge():
    waves = Waves(np.array([0.0, 1.0, 2.0]), {"v(y)": np.array([VDD, VDD, 0.0])})
    assert edge_times(waves, "Y", 1.2, (0, 2), rising=False) == pytest.approx((0.3, 0.6))


def test_an_output_must_change():
    waves = Waves(np.array([0.0, 1.0, 2.0]), {"v(y)": np.full(3, VDD)})
    with pytest.raises(ValueError, match="^Y must fall between 0 and 2 ns, but does not$"):
        edge_times(waves, "Y", 1, (0, 2), rising=False)


def test_energy_is_without_that_of_the_load():
    waves = Waves(np.array([0.0, 1.0]), {"i(vs)": np.full(2, 10e-6)})    # 10 fC
    assert energy_drawn(waves, (0, 1)) == pytest.approx(10e-3 * VDD)
    assert energy_drawn(waves, (0, 1), 0.002) == pytest.approx(10e-3 * VDD - 0.002 * VDD ** 2)


def test_a_capacitance_is_charge_by_voltage():
    current = np.where(TIME < EDGES[0], 0, 1e-6)    # 1 fC a ns
    waves = Waves(TIME, {"i(vi_a)": current})
    assert input_capacitance(waves, "A") == pytest.approx((3.9 + 5.6) / 2 / VDD * 1e-3, rel=0.01)


def test_the_middle_is_inside_the_tables():
    assert 0 < MIDDLE[0] < len(SLEWS) and 0 < MIDDLE[1] < len(LOADS)


def test_loads_are_multiples_of_the_drive_strength_in_the_name():
    for name in (*CELLS, *FLIPFLOPS):
        drive = int(re.fullmatch(r"\w+_(\d+)", name)[1])
        assert loads_of(name) == tuple(load * drive for load in LOADS)
