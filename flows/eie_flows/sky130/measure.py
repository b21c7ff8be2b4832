"""Delays, energies and capacitances of combinational cells, from waveforms of ngspice."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .cells import Arc, Cell
from .spice import VDD, Run, Waves, ramp, simulate

__all__ = ["LOADS", "MIDDLE", "SLEWS", "Measured", "Table", "Timing", "edge_times", "energy_drawn",
           "input_capacitance", "loads_of", "measure_cell", "read_edge"]

#: Transition times of inputs, from 20 % to 80 %, in ns.
SLEWS = (0.01, 0.0531329, 0.122474, 0.282311, 0.650743)

#: Loads in pF for a drive strength of 1.
LOADS = (0.0005, 0.00346659, 0.00912787, 0.0240345, 0.0632852)

#: Row and column of an ordinary slew and load.
MIDDLE = (1, 2)

#: Times in ns of the input's rise and fall, and the end; slow outputs settle between them. The
#: windows begin before the slowest of these edges begins.
_RISE, _FALL, _END = 1.0, 5.5, 10.5
_WINDOWS = ((_RISE - 0.6, _FALL - 0.6), (_FALL - 0.6, _END))

Table = NDArray[np.float64]


@dataclass
class Timing:
    """Tables of an input or clock pin and sense: a row for each slew, a column for each load.

    Attributes
    ----------
    inverts : :class:`bool`
        True if a rise of the pin makes the output fall.
    delay, slew, energy : :class:`dict` of :class:`str` to array
        For ``rise`` and ``fall`` of the output, in ns, ns and pJ.
    """

    inverts: bool
    delay: dict[str, Table] = field(default_factory=dict)
    slew: dict[str, Table] = field(default_factory=dict)
    energy: dict[str, Table] = field(default_factory=dict)


@dataclass
class Measured:
    """All that is known of a cell.

    Attributes
    ----------
    capacitance : :class:`dict` of :class:`str` to :class:`float`
        Of each input, in pF.
    leakage : :class:`float`
        Mean of all states, in nW.
    timings : :class:`dict` of :class:`str` to :class:`list`
        By input pin.
    loads : :class:`tuple` of :class:`float`
        Columns of the tables, in pF.
    passive : :class:`dict`
        Energy of a rise and a fall of an input that leaves the output as it is, by pin, in pJ.
    constraints : :class:`dict`
        ``setup`` and ``hold`` in ns by edge of the data: a row for each slew of the data, a column
        for each of the clock.
    """

    capacitance: dict[str, float]
    leakage: float
    timings: dict[str, list[Timing]]
    loads: tuple[float, ...]
    passive: dict[str, tuple[float, float]] = field(default_factory=dict)
    constraints: dict[str, dict[str, Table]] = field(default_factory=dict)


def loads_of(name: str) -> tuple[float, ...]:
    """Return the loads in pF of a cell, by its name without prefix, which ends with its drive."""
    drive = int(name.rpartition("_")[2])
    return tuple(load * drive for load in LOADS)


def measure_cell(cell: Cell) -> Measured:
    """Measure a combinational cell: for each input and sense, the state with the slowest output."""
    loads = loads_of(cell.name)
    arcs = _slowest(cell, loads)
    runs = [_pulse(cell, arc, slew, load) for arc in arcs for slew in SLEWS for load in loads]
    states = [Run({pin: ramp([], bit) for pin, bit in state.items()}, loads[0])
              for state in cell.states()]
    waves = simulate(cell.name, cell.output, [*runs, *states], _END)
    leakage = np.mean([wave.value("i(vs)", 0) for wave in waves[len(runs):]])

    timings: dict[str, list[Timing]] = {pin: [] for pin in cell.inputs}
    charges: dict[str, list[float]] = defaultdict(list)
    per_arc = len(SLEWS) * len(loads)
    for number, arc in enumerate(arcs):
        found = waves[number * per_arc:(number + 1) * per_arc]
        timings[arc.pin].append(_tables(found, cell.output, loads, inverts=arc.inverts))
        charges[arc.pin].append(input_capacitance(found[MIDDLE[0] * len(loads) + MIDDLE[1]],
                                                  arc.pin))
    return Measured({pin: float(np.mean(charges[pin])) for pin in cell.inputs},
                    float(leakage) * VDD * 1e9, timings, loads)


def _pulse(cell: Cell, arc: Arc, slew: float, load: float) -> Run:
    """Describe a rise and a fall of one input with the others still."""
    return Run({pin: ramp([(_RISE, slew, 1), (_FALL, slew, 0)], 0) if pin == arc.pin
                else ramp([], arc.others[pin]) for pin in cell.inputs}, load)


def _slowest(cell: Cell, loads: Sequence[float]) -> list[Arc]:
    """Choose the state of the other inputs with the slowest output for each input and sense."""
    slew, load = SLEWS[MIDDLE[0]], loads[MIDDLE[1]]
    groups: dict[tuple[str, bool], list[Arc]] = defaultdict(list)
    for arc in cell.arcs:
        groups[arc.pin, arc.inverts].append(arc)
    tried = [arc for group in groups.values() if len(group) > 1 for arc in group]
    waves = simulate(cell.name, cell.output, [_pulse(cell, arc, slew, load) for arc in tried],
                     _END) if tried else []
    delay = {id(arc): sum(edge_times(wave, cell.output, start, window, rising=rising)[0]
                          for start, window, rising in zip((_RISE, _FALL), _WINDOWS,
                                                           (not arc.inverts, arc.inverts)))
             for arc, wave in zip(tried, waves)}
    return [max(group, key=lambda arc: delay.get(id(arc), 0.0)) for group in groups.values()]


def _tables(waves: Sequence[Waves], output: str, loads: Sequence[float], *, inverts: bool
            ) -> Timing:
    """Read the tables of one arc from the runs of all slews and loads."""
    timing = Timing(inverts)
    edges = ("fall", "rise") if inverts else ("rise", "fall")
    for edge, window, start in zip(edges, _WINDOWS, (_RISE, _FALL)):
        read_edge(timing, edge, waves, output, loads, start, window)
    return timing


def read_edge(timing: Timing, edge: str, waves: Sequence[Waves], output: str,
              loads: Sequence[float], start: float, window: tuple[float, float]) -> None:
    """Enter the tables of an edge of the output, from the runs of all slews and loads."""
    shape = (len(SLEWS), len(loads))
    delay, slew, energy = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for wave, (row, column) in zip(waves, np.ndindex(*shape)):
        delay[row, column], slew[row, column] = edge_times(wave, output, start, window,
                                                           rising=edge == "rise")
        energy[row, column] = energy_drawn(wave, window, loads[column] if edge == "rise" else 0)
    timing.delay[edge], timing.slew[edge], timing.energy[edge] = delay, slew, energy


def edge_times(waves: Waves, output: str, start: float, window: tuple[float, float], *,
               rising: bool) -> tuple[float, float]:
    """Return delay and transition time in ns of an output that changes.

    Raises
    ------
    ValueError
        If it does not change in the window.
    """
    first, half, last = (waves.cross(f"v({output.lower()})", level if rising else 1 - level,
                                     rising=rising, after=window[0], before=window[1])
                         for level in (0.2, 0.5, 0.8))
    if not np.isfinite(half + first + last):
        raise ValueError(f"{output} must {'rise' if rising else 'fall'} between {window[0]:g} and "
                         f"{window[1]:g} ns, but does not")
    return half - start, last - first


def energy_drawn(waves: Waves, window: tuple[float, float], load: float = 0) -> float:
    """Return the energy in pJ that is drawn from the supply, without that of a load in pF.

    Tools add the load's energy themselves, half of it for each edge.
    """
    return waves.charge("i(vs)", *window) * VDD * 1e-3 - load * VDD ** 2


def input_capacitance(waves: Waves, pin: str) -> float:
    """Return the mean charge in both edges of an input's pulse by the supply voltage, in pF."""
    return float(np.mean([abs(waves.charge(f"i(vi_{pin.lower()})", *window))
                          for window in _WINDOWS])) / VDD * 1e-3
