"""Synthesis of one module between chains of flip-flops, and the count of its cells."""

import json
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from eie_hdl.export.families import FAMILIES, Family
from eie_hdl.export.names import source_files
from eie_hdl.files import write_file, write_files

from .tools import FLATTEN, require_yosys, run_yosys

__all__ = ["CLOCK", "MEMORIES", "NETLIST", "Counts", "count", "map_cells",
           "matches"]

#: Netlist of the module and its chains, for place and route, and name of its clock.
NETLIST, CLOCK = "flat.json", "clk"

#: Memories of a PE and of the machine that are listed by name.
MEMORIES = ("spmat", "ptr_even", "ptr_odd", "act", "codebook", "acc", "program")

#: Names of the clock among the ports of modules.
_CLOCKS = ("clk", "aclk")


class Counts(NamedTuple):
    """Cells of a module.

    Attributes
    ----------
    luts, carry, flipflops : :class:`int`
        LUTs, those in LUT RAMs and carry cells aside; cells of carry chains; flip-flops.
    lut_ram, block_ram, multipliers : :class:`int`
        Memories in LUTs; block RAMs; multipliers.
    memories : :class:`dict`
        Cells of memories by kind, for each of :data:`MEMORIES` in the module.
    cells : :class:`dict`
        All cells by kind.
    """

    luts: int
    carry: int
    flipflops: int
    lut_ram: int
    block_ram: int
    multipliers: int
    memories: dict[str, dict[str, int]]
    cells: dict[str, int]


def map_cells(files: Mapping[str, str], folder: Path, *, top: str,
              family: Family = FAMILIES["ecp5"]) -> dict[str, str]:
    """Synthesise a module between chains of flip-flops at its ports, into a netlist in `folder`.

    The chains replace the neighbours: every path of the module has a register at each end, as in
    the machine, and few pins are needed.

    Returns
    -------
    :class:`dict`
        Types of the cells of the module alone, by name.

    Raises
    ------
    ToolError
        If Yosys is missing or fails.
    """
    require_yosys()
    sources = source_files(files)
    write_files(folder, sources)

    # -defer, as parameters have values only in an instance.
    read = f"read_verilog -defer {' '.join(sources)}"
    run_yosys([read, f"hierarchy -check -top {top}", "proc", "write_json ports.json"], folder,
              "ports.log")
    write_file(folder / "harness.v", _harness(top, _read(folder / "ports.json")[top]["ports"]))
    run_yosys([
        read, "read_verilog harness.v", "hierarchy -check -top harness", "proc",
        f"setattr -mod -set keep_hierarchy 1 {top}", *FLATTEN,
        f"{family.synth} -top harness", "write_json mapped.json",
        f"setattr -mod -unset keep_hierarchy {top}", "flatten", *family.pads,
        f"write_json {NETLIST}"],
        folder, "yosys.log")
    return {name: cell["type"]
            for name, cell in _read(folder / "mapped.json")[top]["cells"].items()}


def count(cells: Mapping[str, str], family: Family = FAMILIES["ecp5"]) -> Counts:
    """Count the cells of a module by what they are in a family."""
    kinds = Counter(cells.values())
    memories: dict[str, Counter[str]] = {}
    for path, kind in cells.items():
        name = next((part for part in path.split(".") if part in MEMORIES), None)
        if name and matches(kind, family.block_ram + family.lut_ram):
            memories.setdefault(name, Counter())[kind] += 1

    def total(patterns: tuple[str, ...]) -> int:
        return sum(number for kind, number in kinds.items() if matches(kind, patterns))

    return Counts(
        luts=sum(each * total((pattern,)) for pattern, each in family.luts.items()),
        carry=total(family.carry), flipflops=total(family.flipflops),
        lut_ram=total(family.lut_ram), block_ram=total(family.block_ram),
        multipliers=total(family.multipliers),
        memories={name: dict(memories[name]) for name in MEMORIES if name in memories},
        cells=dict(sorted(kinds.items())))


def matches(kind: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a type of cells is one of those that patterns describe."""
    return any(fnmatchcase(kind, pattern) for pattern in patterns)


def _read(path: Path) -> dict[str, Any]:
    modules: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["modules"]
    return modules


def _harness(top: str, ports: Mapping[str, Any]) -> str:
    """Generate Verilog of chains that drive the inputs and capture the outputs."""
    clock = next(name for name in _CLOCKS if name in ports)
    widths = {direction: {name: len(port["bits"]) for name, port in ports.items()
                          if port["direction"] == direction and name != clock}
              for direction in ("input", "output")}
    connections, totals = [f".{clock}({CLOCK})"], {}
    for direction, chain in (("input", "fed"), ("output", "seen")):
        low = 0
        for name, width in widths[direction].items():
            connections.append(f".{name}({chain}[{low + width - 1}:{low}])")
            low += width
        totals[direction] = low
    return f"""module harness(input wire {CLOCK}, input wire si, output wire so);
    reg [{totals['input'] - 1}:0] fed;
    wire [{totals['output'] - 1}:0] seen;
    reg [{totals['output'] - 1}:0] kept;
    always @(posedge {CLOCK}) fed <= {{fed, si}};
    always @(posedge {CLOCK}) kept <= {{kept, kept[{totals['output'] - 1}]}} ^ seen;
    assign so = kept[{totals['output'] - 1}];
    {top} dut({', '.join(connections)});
endmodule
"""
