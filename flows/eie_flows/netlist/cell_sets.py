"""Cells that a netlist consists of: how Yosys maps to them, and models of what they do."""

import dataclasses
import re
from collections.abc import Callable
from importlib import resources

from ..libraries import LIBRARIES
from ..netlist_changes import Change, absorb_registers
from ..sky130.cells import CELLS, FLIPFLOPS
from ..sky130.package import read_models
from ..tools import require_yosys, yosys_folder

__all__ = ["CELL_SETS", "CellSet"]

#: Cells of an ECP5 that Yosys itself has models of; it maps to no others in a machine but those of
#: ``ecp5_blocks.v``.
_ECP5 = ("LUT2", "LUT4", "PFUMX", "L6MUX21", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4")


@dataclasses.dataclass(frozen=True)
class CellSet:
    """Cells, how to map to them, and what they do.

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
    change : function of a module, optional
        What is changed in the netlist before it is simulated, as before place and route.
    """

    title: str
    synthesis: tuple[str, ...]
    has_memories: bool
    functions: str
    models: Callable[[], str]
    change: Change | None = None


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
    models = LIBRARIES["osu018"].find().with_suffix(".v")
    return _drop_delays(re.sub(r"^`timescale.*\n", "", models.read_text(encoding="utf-8"),
                               flags=re.MULTILINE))


def _drop_delays(text: str) -> str:
    """Drop delays, which are not those of a layout; the simulation is of functions alone."""
    return re.sub(r"\bspecify\b[\s\S]*?\bendspecify\b", "", text)


def _standard_cells(name: str, models: Callable[[], str]) -> CellSet:
    """Describe standard cells, which have no memories."""
    liberty = LIBRARIES[name].file
    return CellSet(f"{name} standard cells", (
        "synth -top {top}",
        # Flip-flops of an ASIC have no state at power-up, but get theirs by the reset.
        "setattr -unset init w:*", f"dfflibmap -liberty {liberty}", f"abc -liberty {liberty}",
        "opt_clean", "setundef -zero"), False, f"read_liberty -ignore_miss_func {liberty}", models)


CELL_SETS = {
    "ecp5": CellSet("ECP5", ("synth_ecp5 -top {top}",), True, "read_verilog cells.v",
                    _ecp5_models, absorb_registers),
    "osu018": _standard_cells("osu018", _osu018_models),
    "sky130_fd_sc_hd": _standard_cells("sky130_fd_sc_hd",
                                       lambda: read_models([*FLIPFLOPS, *CELLS])),
}
