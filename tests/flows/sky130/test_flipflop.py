"""Setup and hold of flip-flops."""

import numpy as np
import pytest

from eie_flows.sky130 import flipflop
from eie_flows.sky130.flipflop import measure_constraints

#: Times from which a fake flip-flop captures, and from which it does so at full speed.
CAPTURES = {"setup": 0.05, "hold": -0.1}
FULL = {"setup": 0.08, "hold": -0.06}


def captures(name, grid, times):
    kept = np.array([time >= CAPTURES[kind] for (kind, *_), time in zip(grid, times)])
    delays = np.array([0.3 if time >= FULL[kind] else 0.4
                       for (kind, *_), time in zip(grid, times)])
    return delays, kept


@pytest.mark.parametrize("kind", FULL)
def test_the_shortest_time_at_nearly_full_speed_is_found(kind, monkeypatch):
    monkeypatch.setattr(flipflop, "_captures", captures)
    found = measure_constraints("dfxtp_1")[kind]
    for edge in ("rise", "fall"):
        assert ((found[edge] >= FULL[kind]) & (found[edge] < FULL[kind] + 0.008)).all()


def test_a_time_outside_the_range_is_an_error(monkeypatch):
    monkeypatch.setitem(CAPTURES, "setup", -0.6)
    monkeypatch.setattr(flipflop, "_captures", captures)
    with pytest.raises(ValueError, match="^setup and hold of dfxtp_1 must be between -0.5 and 0.5 "
                                         "ns, but are not$"):
        measure_constraints("dfxtp_1")
