"""Delays, energies, setup and hold of flip-flops, from waveforms of ngspice."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .measure import (
    LOADS,
    MIDDLE,
    SLEWS,
    Measured,
    Table,
    Timing,
    energy_drawn,
    input_capacitance,
    loads_of,
    read_edge,
)
from .spice import VDD, Run, ramp, simulate

__all__ = ["CONSTRAINT_SLEWS", "Constraints", "measure_constraints", "measure_flipflop"]

#: Transition times of data and clock for setup and hold, in ns.
CONSTRAINT_SLEWS = (0.0531329, 0.282311)

#: Range in ns of the times between data and clock that are tried, how often it is halved, and by
#: how much the delay may grow.
_RANGE = (-0.5, 0.5)
_HALVINGS = 7
_DEGRADED = 1.1

#: Period in ns; rising edges of the clock, which capture 0, 1, 1 and 0.
_PERIOD = 6.0
_EDGES = tuple(1.5 + _PERIOD * number for number in range(4))

_BOTH = ("rise", "fall")

Constraints = dict[str, dict[str, Table]]


def measure_flipflop(name: str, constraints: Constraints) -> Measured:
    """Measure a flip-flop with the pins CLK, D and Q, but for its setup and hold."""
    loads = loads_of(name)
    timing, clock, leakage = _clock_to_output(name, loads)
    data, capacitance = _passive(name)
    return Measured(capacitance, leakage, {"CLK": [timing]}, loads, {"CLK": clock, "D": data},
                    constraints)


def _clock(slew: float, edges: Sequence[float] = _EDGES) -> str:
    return ramp([change for edge in edges
                 for change in ((edge, slew, 1), (edge + _PERIOD / 2, slew, 0))], 0)


def _after(edge: float) -> tuple[float, float]:
    """Return the half period about the changes that an edge of the clock causes."""
    return edge - 0.6, edge + _PERIOD / 2 - 0.6


def _clock_to_output(name: str, loads: Sequence[float]
                     ) -> tuple[Timing, tuple[float, float], float]:
    """Measure captures of 1 and of 0; a second capture of 1 is the energy of the clock alone."""
    data = ramp([(_EDGES[0] + _PERIOD * 0.7, 0.05, 1), (_EDGES[2] + _PERIOD * 0.7, 0.05, 0)], 0)
    waves = simulate(name, "Q", [Run({"CLK": _clock(slew), "D": data}, load)
                                 for slew in SLEWS for load in loads], _EDGES[3] + _PERIOD / 2)
    timing = Timing(False)
    alone  = np.reshape([energy_drawn(wave, _after(_EDGES[2])) for wave in waves],
                        (len(SLEWS), len(loads)))
    for edge, at in zip(_BOTH, (_EDGES[1], _EDGES[3])):
        read_edge(timing, edge, waves, "Q", loads, at, _after(at))
        timing.energy[edge] -= alone
    usual = waves[MIDDLE[0] * len(loads) + MIDDLE[1]]
    clock = (energy_drawn(usual, _after(_EDGES[2])),
             energy_drawn(usual, _after(_EDGES[1] + _PERIOD / 2)))
    return timing, clock, waves[0].value("i(vs)", 0) * VDD * 1e9


def _passive(name: str) -> tuple[tuple[float, float], dict[str, float]]:
    """Measure energies of D with the clock low, and the capacitance of both inputs."""
    rise, fall = 1.5, 5.5
    pulse = ramp([(rise, SLEWS[MIDDLE[0]], 1), (fall, SLEWS[MIDDLE[0]], 0)], 0)
    still = ramp([], 0)
    data, clock = simulate(name, "Q", [Run({"CLK": still, "D": pulse}, LOADS[0]),
                                       Run({"CLK": pulse, "D": still}, LOADS[0])], 9.5)
    energies = energy_drawn(data, (rise - 1, rise + 2)), energy_drawn(data, (fall - 1, fall + 2))
    return energies, {pin: input_capacitance(wave, pin)
                      for wave, pin in ((data, "D"), (clock, "CLK"))}


def measure_constraints(name: str) -> Constraints:
    """Find the shortest setup and hold with which the output is captured at nearly full speed.

    Data changes to a new value before the edge for setup, and from it after the edge for hold. The
    output must get the value in at most 1.1 of the undisturbed delay, and keep it. Each halving of
    the range is one call of ngspice for all slews and edges.
    """
    shape = (len(CONSTRAINT_SLEWS),) * 2
    grid = [(kind, new, row, column) for kind in ("setup", "hold") for new in (0, 1)
            for row, column in np.ndindex(*shape)]
    bad, good = np.full(len(grid), _RANGE[0]), np.full(len(grid), _RANGE[1])
    full, kept = _captures(name, grid, good)
    _, early = _captures(name, grid, bad)
    if not kept.all() or early.any():
        raise ValueError(f"setup and hold of {name} must be between {_RANGE[0]} and {_RANGE[1]} "
                         f"ns, but are not")
    for _ in range(_HALVINGS):
        middle = (bad + good) / 2
        delays, kept = _captures(name, grid, middle)
        passes = kept & (delays <= full * _DEGRADED)
        bad, good = np.where(passes, bad, middle), np.where(passes, middle, good)
    found: Constraints = {
        kind: {edge: np.zeros(shape) for edge in _BOTH} for kind in ("setup", "hold")}
    for (kind, new, row, column), time in zip(grid, good):
        # The constraint of a hold is that of the change that ends it.
        rises = bool(new) == (kind == "setup")
        found[kind]["rise" if rises else "fall"][row, column] = time
    return found


def _captures(name: str, grid: Sequence[tuple[str, int, int, int]], times: NDArray[np.float64]
              ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the delays of Q in ns, and whether it has the new value in the end."""
    edge = _EDGES[1]
    runs = []
    for (kind, new, row, column), time in zip(grid, times):
        slew = CONSTRAINT_SLEWS[row]
        changes = ([(edge - time, slew, new)] if kind == "setup" else
                   [(edge - _PERIOD * 0.4, slew, new), (edge + time, slew, 1 - new)])
        runs.append(Run({"CLK": _clock(CONSTRAINT_SLEWS[column], _EDGES[:2]),
                         "D": ramp(changes, 1 - new)}, LOADS[1]))
    waves = simulate(name, "Q", runs, edge + _PERIOD / 2 - 0.6)
    values = np.array([bool(new) for _, new, _, _ in grid])
    delays = np.array([wave.cross("v(q)", 0.5, rising=value, after=edge - 0.5)
                       for wave, value in zip(waves, values.tolist())]) - edge
    last = np.array([wave.signals["v(q)"][-1] > VDD / 2 for wave in waves])
    return delays, last == values
