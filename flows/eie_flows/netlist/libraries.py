"""Cells that a netlist consists of: how Yosys maps to them, and models of what they do."""

import dataclasses
import re
from collections.abc import Callable
from importlib import resources

from eie_sim.rtl.toolchain import ToolError

from ..osu018 import FOLDER as _OSU018, INSTALL, LIBERTY as _LIBERTY
from ..tools import require_yosys, yosys_folder

__all__ = ["LIBRARIES", "Library"]

#: Cells of an ECP5 that Yosys itself has models of; it maps to no others in a machine but those of
#: ``ecp5_blocks.v``.
_ECP5 = ("LUT2", "LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4")


@dataclasses.dataclass(frozen=True)
class Library:
    """A library of cells.

    Attributes
    ----------
    title : :class:`str`
        Name for people.
    synthesis : :class:`tuple` of :class:`str`
        Commands of Yosys that map the flat module ``{top}``.
    has_memories : :class:`bool`
        True if memories are cells, too. Otherwise they stay the instances that they are.
    functions : :class:`str`
        Command of Yosys that reads what the cells compute, for a proof.
    models : function that returns :class:`str`
        Verilog of the cells, for simulation. Raises ToolError if the library is not installed.
    """

    title: str
    synthesis: tuple[str, ...]
    has_memories: bool
    functions: str
    models: Callable[[], str]


def _ecp5_models() -> str:
    """Take Yosys's models, and this project's of block RAM and multiplier."""
    require_yosys()
    folder = yosys_folder() / "share" / "ecp5"
    text = "".join((folder / name).read_text(encoding="utf-8")
                   for name in ("common_sim.vh", "ccu2c_sim.vh"))
    modules = dict(re.findall(r"^(?=module (\w+) ?\()([\s\S]*?^endmodule\n)", text, re.MULTILINE))
    blocks = resources.files(__package__) / "models" / "ecp5_blocks.v"
    return "\n".join([*(_drop_delays(modules[name]) for name in _ECP5),
                      blocks.read_text(encoding="utf-8")])


def _osu018_models() -> str:
    try:
        text = (_OSU018 / "osu018_stdcells.v").read_text(encoding="utf-8")
    except OSError:
        raise ToolError(f"the cells osu018 must be installed in {_OSU018}, but were not found: "
                        f"{INSTALL}") from None
    return _drop_delays(re.sub(r"^`timescale.*\n", "", text, flags=re.MULTILINE))


def _drop_delays(text: str) -> str:
    """Drop delays, which are not those of a layout; the simulation is of functions alone."""
    return re.sub(r"\bspecify\b[\s\S]*?\bendspecify\b", "", text)


LIBRARIES = {
    "ecp5": Library("ECP5", ("synth_ecp5 -top {top}",), True, "read_verilog cells.v",
                    _ecp5_models),
    "osu018": Library("osu018 standard cells", (
        "synth -top {top}",
        # Flip-flops of an ASIC have no state at power-up, but get theirs by the reset.
        "setattr -unset init w:*", f"dfflibmap -liberty {_LIBERTY}", f"abc -liberty {_LIBERTY}",
        "opt_clean", "setundef -zero"), False, f"read_liberty -ignore_miss_func {_LIBERTY}",
        _osu018_models),
}
