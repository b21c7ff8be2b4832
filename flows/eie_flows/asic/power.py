"""Power of the netlist at the activity of an inference, by OpenSTA, and of the memories."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eie_hdl.export.memories import MemoryKind
from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.files import write_file
from eie_sim.rtl.toolchain import ToolError, find_opensta, require

from ..libraries import Library
from .activity import Activity, read_activity
from .clock_gates import is_gate
from .macros import Macro
from .timing import run_opensta

__all__ = ["Power", "macro_power", "measure", "read_power", "require_calibrated_opensta"]

#: Output pins of the cells of all libraries.
_OUTPUTS = ("Y", "X", "Q", "YC", "YS")

#: The version of OpenSTA, that of Debian, whose powers were compared with tables of a library.
_CALIBRATED = "2.0."

#: Port of the machine's clock, and pin of a flip-flop or latch.
_CLOCK, _CLOCK_PIN = "aclk", "CLK"


@dataclass(frozen=True)
class Power:
    """Power of an instance, with all that is inside it, in mW.

    Attributes
    ----------
    logic : :class:`float`
        Of the standard cells.
    macros : :class:`float`
        Estimate of the memories.
    """

    logic: float
    macros: float


def require_calibrated_opensta() -> None:
    """Check that the installed OpenSTA is one whose powers are known to be right.

    Raises
    ------
    ToolError
        If it is missing, or has another version.
    """
    version = require(find_opensta()).version or ""
    if not version.startswith(_CALIBRATED):
        raise ToolError(f"eie asic --power needs OpenSTA {_CALIBRATED}x, as of Debian, but found "
                        f"{version}: others may count internal power otherwise. Without --power "
                        "any version will do")


def measure(folder: Path, library: Library, macros: Sequence[Macro],
            memories: Sequence[MemoryKind], waveform: Path, *, period: float
            ) -> tuple[dict[str, Power], int]:
    """Compute the power of every instance by path, and count the cycles of the waveform.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder of the netlist and the constraints of the whole machine.
    library, macros, memories
        Cells, macros and where they are.
    waveform : :class:`~pathlib.Path`
        Waveform of :func:`.inference.simulate`.
    period : :class:`float`
        Clock period in ns.

    Raises
    ------
    ToolError
        If OpenSTA is missing or fails.
    """
    places = {instance.split(".", 1)[1].replace(".", "/"): macro for macro in macros
              for kind in memories if (kind.words, kind.bits) == (macro.words, macro.bits)
              and (kind.module == f"{macro.prefix}_sram") == macro.block
              for instance in kind.instances}
    enables = [f"{place}/ram/{port}" for place, macro in places.items()
               for port in (("r_en", "w_en") if macro.block else ("w_en",))]
    with waveform.open(encoding="utf-8") as lines:
        activity = read_activity(lines, _CLOCK, pins=(*_OUTPUTS, _CLOCK_PIN),
                                 enables=enables)
    write_file(folder / "activity.tcl", _describe(activity))
    text = run_opensta(folder, library, DEFAULT_NAME, ["set corner [sta::cmd_corner]",
                                                       "source activity.tcl"])
    found = read_power(text)
    for place, macro in places.items():
        found[f"{DEFAULT_NAME}.{place.replace('/', '.')}.ram"] = Power(
            0.0, macro_power(macro, activity, place, period))
    return _add_up(found), activity.cycles


def macro_power(macro: Macro, activity: Activity, place: str, period: float) -> float:
    """Estimate the power of a memory in mW by its reads and writes.

    A register file without read enable is read in every cycle.
    """
    ram = f"{place}/ram"
    reads = activity.enabled[f"{ram}/r_en"] if macro.block else activity.cycles
    accesses = reads + activity.enabled[f"{ram}/w_en"]
    return macro.energy * accesses / (activity.cycles * period)


def _describe(activity: Activity) -> str:
    """Write commands that print the power of each cell at the activity of its output.

    OpenSTA of 2019 propagates activities before it uses those that are given, and ends with a
    segmentation fault on these netlists. It does not with a global activity, which is set for each
    cell in turn. The clock keeps its own, also after a gate. The power that it causes in a cell is
    therefore printed a second time, with the share of the cycles in which the gate is closed, and
    is taken off. The tree of the clock is left out after a gate as before it: transitions are
    short, and the load of a gate takes no power.
    """
    ideal, lines, idle = [], [], ["sta::set_power_global_activity 0 0"]
    for path, count in activity.toggles.items():
        plain, _, pin = path.rpartition("/")
        if pin == _CLOCK_PIN:
            continue
        cell = plain.replace("[", "\\[").replace("]", "\\]")
        power = f"[sta::instance_power [sta::find_instance {{{cell}}}] $corner]"
        clock = activity.toggles.get(f"{plain}/{_CLOCK_PIN}", 2 * activity.cycles)
        if is_gate(plain):
            clock, count, power = count, 0, f"[lreplace {power} 1 1 0]"
            ideal.append(f"set_assigned_transition 0 [get_pins {{{cell}/{pin}}}]")
        lines += [f"sta::set_power_global_activity {count / activity.cycles:.6f} "
                  f"{activity.high[path]:.6f}", f"puts [concat {{POWER {cell} 1}} {power}]"]
        if (pulses := (clock + 1) // 2) < activity.cycles:
            idle.append(f"puts [concat {{POWER {cell} {pulses / activity.cycles - 1:.6f}}} "
                        f"{power}]")
    return "\n".join([*ideal, *lines, *idle, ""])


def read_power(text: str) -> dict[str, Power]:
    """Read the power of each cell by its path from the top module.

    Each line has a factor of its dynamic power: 1, or minus the share of the cycles without clock.

    OpenSTA of 2019 takes the energies of a rise and of a fall for every change of a pin. Half of
    its internal power is that of the library's tables.
    """
    found: defaultdict[str, float] = defaultdict(float)
    for path, factor, internal, switching, leakage in re.findall(
            r"^POWER (\S+) (\S+) (\S+) (\S+) (\S+) \S+$", text, re.MULTILINE):
        dynamic = float(factor) * (float(internal) / 2 + float(switching))
        found[f"{DEFAULT_NAME}.{path.replace('/', '.')}"] += 1000 * (
            dynamic + (float(leakage) if float(factor) > 0 else 0.0))
    return {path: Power(power, 0.0) for path, power in found.items()}


def _add_up(found: Mapping[str, Power]) -> dict[str, Power]:
    """Add the power of cells to all instances that contain them."""
    logic: defaultdict[str, float] = defaultdict(float)
    memory: defaultdict[str, float] = defaultdict(float)
    for path, power in found.items():
        parts = path.split(".")
        for depth in range(1, len(parts)):
            inside = ".".join(parts[:depth])
            logic[inside] += power.logic
            memory[inside] += power.macros
    return {path: Power(logic[path], memory[path]) for path in logic}
