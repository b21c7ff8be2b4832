"""Static timing of the netlist by OpenSTA, with the emitted constraints."""

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from eie_hdl.export.constraints import describe_delays, read_ports
from eie_hdl.files import write_file
from eie_sim.rtl.toolchain import ToolError, find_opensta, require

from ..libraries import Library

__all__ = ["OUTSIDE", "LongPath", "Timing", "analyse", "describe_constraints", "read_paths",
           "require_opensta", "run_opensta"]

#: Share of the period that the surroundings take from a signal before an input, or after an output.
OUTSIDE = 0.2

#: Paths that are listed.
_PATHS = 5

#: Clock period in ns for paths to latches, which is too short for all of them. At a longer one,
#: slack says nothing of a path whose data come while the latch is open.
_SHORT = 0.1

#: Line between the paths to flip-flops and that to a latch.
_LATCHES = f"Paths to latches, at {_SHORT} ns:"


@dataclass(frozen=True)
class LongPath:
    """A path between two registers.

    Attributes
    ----------
    start, end : :class:`str`
        Names of the registers, by instances from the top module.
    slack : :class:`float`
        In ns.
    """

    start: str
    end: str
    slack: float


@dataclass(frozen=True)
class Timing:
    """Clock rate of a module.

    Attributes
    ----------
    mhz : :class:`float`
        Highest clock rate between registers, with ideal clock and without wires.
    paths : :class:`tuple` of :class:`LongPath`
        The longest paths, to different registers.
    gate : :class:`LongPath`, optional
        The longest path to a clock gate, if there is one.
    """

    mhz: float
    paths: tuple[LongPath, ...]
    gate: LongPath | None = None


def describe_constraints(library: Library, verilog: str, top: str, *, clock: str, period: float
                         ) -> str:
    """Write constraints of a module as SDC, for any tool.

    Parameters
    ----------
    library : :class:`~eie_flows.libraries.Library`
        Cells.
    verilog, top : :class:`str`
        Text that has the module, and its name.
    clock : :class:`str`
        Its clock.
    period : :class:`float`
        Clock period in ns.
    """
    ports = read_ports(verilog, top)
    inputs = " ".join(port.pattern for port in ports if port.is_input and port.name != clock)
    return "\n".join([
        "# Everything is on one clock, also the reset, which is synchronous: no path is",
        "# false, and none takes several cycles.",
        "# The neighbours, which are registered, take a fifth of the period on each side.",
        describe_delays(ports, clock=clock, period=period, outside=period * OUTSIDE),
        f"set_driving_cell -lib_cell {library.driver} [get_ports {{{inputs}}}]",
        f"set_load {library.load:g} [all_outputs]", ""])


def require_opensta() -> str:
    """Return the path of OpenSTA.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    return require(find_opensta()).path or ""


def analyse(folder: Path, library: Library, top: str, *, clock: str, period: float) -> Timing:
    """Find the longest paths between registers of a module in ``netlist.v`` in `folder`.

    Writes the constraints, ``TOP.sdc``, and the paths in full, ``TOP-timing.txt``.

    Raises
    ------
    ToolError
        If OpenSTA is missing or fails.
    """
    netlist = (folder / "netlist.v").read_text(encoding="utf-8")
    write_file(folder / f"{top}.sdc", describe_constraints(library, netlist, top, clock=clock,
                                                           period=period))
    text = run_opensta(folder, library, top, [
        _report("[all_registers -data_pins -edge_triggered]", _PATHS),
        "set latches [all_registers -data_pins -level_sensitive]",
        f'if {{[llength $latches]}} {{\nputs "{_LATCHES}"\n'
        f"create_clock -name {clock} -period {_SHORT} [get_ports {clock}]\n"
        f"{_report('$latches', 1)}\n}}"])
    write_file(folder / f"{top}-timing.txt", text)
    text, _, latches = text.partition(_LATCHES)
    paths = read_paths(text)
    if not paths:
        raise ToolError(f"{top} must have paths between registers, but has none: see "
                        f"{folder / f'{top}-timing.txt'}")
    gate = next((replace(path, slack=path.slack + period - _SHORT)
                 for path in read_paths(latches)), None)
    longest = min(path.slack for path in (paths[0], gate) if path)
    return Timing(1000 / (period - longest), tuple(paths), gate)


def _report(ends: str, count: int) -> str:
    """Write a command that reports the longest paths from registers."""
    return ("report_checks -path_delay max -format full -digits 4 -endpoint_count 1 "
            f"-group_count {count} -from [all_registers -clock_pins] -to {ends}")


def run_opensta(folder: Path, library: Library, top: str, commands: list[str]) -> str:
    """Load the netlist, libraries and constraints in `folder`, run commands, return the output.

    Raises
    ------
    ToolError
        If OpenSTA is missing, or reports an error. The message has the last lines.
    """
    program = require_opensta()
    script = "\n".join([
        f"read_liberty {{{library.find()}}}", "read_liberty macros.lib",
        "read_verilog netlist.v", f"link_design {top}", f"source {top}.sdc", *commands, ""])
    write_file(folder / f"{top}-sta.tcl", script)
    result = subprocess.run([program, "-exit", f"{top}-sta.tcl"], cwd=folder, check=False,
                            capture_output=True, encoding="utf-8", errors="replace",
                            stdin=subprocess.DEVNULL)
    text = result.stdout + result.stderr
    if result.returncode or re.search(r"^Error", text, re.MULTILINE):
        raise ToolError("\n".join(["OpenSTA failed; the end of its output:",
                                   *text.splitlines()[-20:]]))
    return text


def read_paths(text: str) -> list[LongPath]:
    """Read OpenSTA's full report of paths, the longest first."""
    paths = [LongPath(_clean(start), _clean(end), float(slack)) for start, end, slack in re.findall(
        r"^Startpoint: (\S+).*?^Endpoint: (\S+).*?^ *(-?[\d.]+) +slack", text,
        re.MULTILINE | re.DOTALL)]
    return sorted(paths, key=lambda path: path.slack)


def _clean(name: str) -> str:
    """Remove escapes, and the suffix of registers."""
    return name.replace("\\", "").removesuffix("_reg")
