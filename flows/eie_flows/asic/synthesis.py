"""Synthesis of the whole machine to standard cells, module by module."""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.export.verilog import Emitted
from eie_hdl.files import write_file, write_files
from eie_sim.rtl.toolchain import ToolError

from ..images import remove_images
from ..libraries import Library
from ..tools import require_yosys, run_yosys
from .clock_gates import DESCRIPTION, describe_gate, gate_steps, unfold_steps
from .macros import Macro, describe_blackboxes, describe_wrappers

__all__ = ["CONSTRAINTS", "Area", "cell_areas", "describe_surroundings", "list_instances",
           "map_steps", "summarise", "synthesise"]

#: File with what surrounds a module.
CONSTRAINTS = "abc.constr"


@dataclass(frozen=True)
class Area:
    """Size of one module, with all that is inside it.

    Attributes
    ----------
    cells, flipflops : :class:`int`
        Standard cells, and those of them that are flip-flops.
    logic : :class:`float`
        Area of the standard cells in µm².
    macros : :class:`float`
        Estimated area of the memories in µm².
    gated : :class:`int`
        Flip-flops whose clock has a gate.
    """

    cells: int
    flipflops: int
    logic: float
    macros: float
    gated: int = 0


def synthesise(emitted: Emitted, library: Library, macros: list[Macro], folder: Path, *,
               period: float, clock_gates: bool = False) -> dict[str, Area]:
    """Synthesise a machine into ``netlist.v`` in `folder`; return the areas by path of instances.

    Modules stay as they are: each is mapped once, and no logic moves between them.

    Parameters
    ----------
    emitted : :class:`~eie_hdl.export.verilog.Emitted`
        Machine.
    library, macros
        Cells and memories.
    folder : :class:`~pathlib.Path`
        Destination of netlist and logs.
    period : :class:`float`
        Clock period in ns at which gates are sized.
    clock_gates : :class:`bool`
        Give words of registers with a common enable a gate of their clock.

    Raises
    ------
    ToolError
        If Yosys or the library is missing, or Yosys fails.
    """
    require_yosys()
    liberty = library.find()
    cells = cell_areas(liberty.read_text(encoding="utf-8"), library.areas)
    flipflops = " ".join(f"t:{name}" for name, (_, is_flipflop) in cells.items() if is_flipflop)
    write_files(folder, {
        "machine.v": remove_images(emitted.files[f"{DEFAULT_NAME}.v"]),
        "memories.v": describe_wrappers(macros), "macros_blackbox.v": describe_blackboxes(macros),
        CONSTRAINTS: describe_surroundings(library),
        **({DESCRIPTION: describe_gate(library)} if clock_gates else {})})
    run_yosys([
        "read_verilog -defer machine.v memories.v macros_blackbox.v",
        f"hierarchy -check -top {DEFAULT_NAME}",
        *map_steps(DEFAULT_NAME, liberty, period, gate_steps() if clock_gates else ()),
        *(unfold_steps() if clock_gates else ()),
        # OpenSTA reads neither concatenations on the left of an assignment nor undefined bits.
        "setundef -zero", "splitnets -format _", "opt_clean -purge",
        # Registers get the names of their signals; which pins are outputs, the library says.
        f"read_liberty -lib {liberty}", f"rename -wire -suffix _reg {flipflops}",
        "tee -o cells.json stat -json", "write_verilog -noattr -noexpr -simple-lhs netlist.v",
        "design -reset", f"read_liberty {liberty}", "write_verilog -noattr cells.v"],
        folder, "yosys.log")
    # Simulators do not find instances that have dots in their names.
    netlist = re.sub(r"\\[\w.]+\.ram ", "ram ",
                     (folder / "netlist.v").read_text(encoding="utf-8"))
    write_file(folder / "netlist.v", netlist)
    modules = _read_cells(folder / "cells.json")
    gated = _read_cells(folder / "gated.json") if clock_gates else {}
    return summarise(modules, cells, {macro.name: macro.area for macro in macros},
                     list_instances(netlist, modules),
                     {name: flipflops.total() for name, flipflops in gated.items()})


def _read_cells(path: Path) -> dict[str, Counter[str]]:
    """Read the cells by type in each module, as Yosys counted them."""
    found = json.loads(path.read_text(encoding="utf-8"))["modules"]
    return {name.removeprefix("\\"): Counter(module["num_cells_by_type"])
            for name, module in found.items()}


def describe_surroundings(library: Library) -> str:
    """Write what surrounds a module, for abc."""
    return f"set_driving_cell {library.driver}\nset_load {library.load}\n"


def map_steps(top: str, liberty: Path, period: float, enables: Sequence[str] = ()) -> list[str]:
    """Commands of Yosys that map a design to the cells of a library.

    They read :data:`CONSTRAINTS`, as :func:`describe_surroundings` writes it. Those in `enables`
    may change flip-flops while these have enables.
    """
    return [f"synth -top {top} -run begin:fine", "opt -full", "memory_map", "opt -full", "techmap",
            "opt -fast", *enables, f"dfflibmap -liberty {liberty}",
            f"abc -liberty {liberty} -constr {CONSTRAINTS} -D {period * 1000:.0f}"]


def cell_areas(liberty: str, others: Mapping[str, float] = MappingProxyType({})
               ) -> dict[str, tuple[float, bool]]:
    """Read the area in µm² of each cell, and whether it is a flip-flop.

    Areas of cells in `others` are those there.
    """
    cells = re.split(r"^\s*cell\s*\(\s*\"?(\w+)\"?\s*\)", liberty, flags=re.MULTILINE)
    return {name: (others.get(name, float(found[1])),
                   bool(re.search(r"^\s*ff\s*\(", body, re.MULTILINE)))
            for name, body in zip(cells[1::2], cells[2::2])
            if (found := re.search(r"area\s*:\s*([\d.]+)", body))}


def list_instances(netlist: str, modules: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """List type and name of the instances of other modules in each module of a netlist."""
    parts = re.split(r"^module (\\\S+|\w+)", netlist, flags=re.MULTILINE)
    return {name.removeprefix("\\"): [
        (kind, instance) for kind, instance in
        re.findall(r"^  \\?(\S+) +\\?(\S+) +\($", body, re.MULTILINE) if kind in modules]
        for name, body in zip(parts[1::2], parts[2::2])}


def summarise(modules: Mapping[str, Counter[str]], areas: Mapping[str, tuple[float, bool]],
              macros: Mapping[str, float], instances: Mapping[str, list[tuple[str, str]]],
              gated: Mapping[str, int] = MappingProxyType({})) -> dict[str, Area]:
    """Add up cells and areas of every instance, by its path from the top module.

    Parameters
    ----------
    modules : mapping of :class:`str` to :class:`~collections.Counter`
        Cells by type in each module.
    areas : mapping of :class:`str` to :class:`tuple`
        Area of each cell, and whether it is a flip-flop.
    macros : mapping of :class:`str` to :class:`float`
        Area of each macro.
    instances : mapping of :class:`str` to :class:`list`
        Type and name of the instances in each module.
    gated : mapping of :class:`str` to :class:`int`
        Flip-flops of each module whose clock has a gate.
    """
    found: dict[str, Area] = {}

    def add(module: str, path: str) -> Area:
        cells = flipflops = 0
        at_gates = gated.get(module, 0)
        logic = memory = 0.0
        for kind, count in modules[module].items():
            if kind in macros:
                memory += count * macros[kind]
            elif kind in areas:
                area, is_flipflop = areas[kind]
                cells += count
                flipflops += count * is_flipflop
                logic += count * area
            elif kind not in modules:
                raise ToolError(f"the netlist must have cells of the library alone, not {kind}")
        found[path] = Area(0, 0, 0.0, 0.0)    # before those inside it
        for kind, name in instances[module]:
            if kind not in macros:
                inner = add(kind, f"{path}.{name}")
                cells, flipflops = cells + inner.cells, flipflops + inner.flipflops
                logic, memory = logic + inner.logic, memory + inner.macros
                at_gates += inner.gated
        found[path] = Area(cells, flipflops, logic, memory, at_gates)
        return found[path]

    add(DEFAULT_NAME, DEFAULT_NAME)
    return found
