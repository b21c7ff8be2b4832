"""Changes to a netlist of Yosys: what nextpnr wants otherwise, and what Yosys leaves undone."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eie_hdl.files import write_file

__all__ = ["Change", "absorb_registers", "change_netlist", "open_carry_inputs"]

#: A module in the JSON of Yosys.
_Module = Mapping[str, Any]

#: Function that changes a module in place.
Change = Callable[[_Module], None]


def change_netlist(file: Path, change: Change) -> None:
    """Change every module of a netlist in the JSON of Yosys."""
    design: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for module in design["modules"].values():
        if "cells" in module:
            change(module)
    write_file(file, json.dumps(design))


def open_carry_inputs(module: _Module) -> None:
    """Leave the carry input of the first cell of each chain of a Nexus open.

    The cell ignores it. abc9 of Yosys connects it to a constant (YosysHQ/yosys#5639), which nextpnr
    refuses.
    """
    cells = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "CCU2"]
    carries = {bit for ports in cells for bit in ports.get("COUT", ())}
    for ports in cells:
        if carries.isdisjoint(ports.get("CIN", ())):
            ports.pop("CIN", None)


def absorb_registers(module: _Module) -> None:
    """Move the register that follows a multiplier of an ECP5 into it.

    Yosys does so for Nexus, and Lattice's tools for this family. All outputs of the multiplier must
    go to flip-flops of one clock alone, which begin with 0 and have neither enable nor reset. The
    multiplier then has their name.
    """
    cells = module["cells"]
    users = _list_users(module)
    for name in [name for name, cell in cells.items() if cell["type"] == "MULT18X18D"]:
        cell  = cells[name]
        ports = cell["connections"]
        readers = {port: [user for user in users[bits[0]] if user != name]
                   for port, bits in ports.items() if re.fullmatch(r"P\d+", port)}
        if not all(len(found) <= 1 and all(_is_plain_register(cells.get(user)) for user in found)
                   for found in readers.values()):
            continue
        registers = {port: str(user) for port, found in readers.items() for user in found}
        clocks = {cells[register]["connections"]["CLK"][0] for register in registers.values()}
        if len(clocks) != 1:
            continue
        inputs = {"CLK0": [*clocks], "CE0": ["1"], "RST0": ["0"]}
        stem   = next(iter(registers.values())).partition("_TRELLIS_FF_")[0]
        suffix = re.sub(r"\W", "_", name)
        ports |= inputs | {port: cells.pop(register)["connections"]["Q"]
                           for port, register in registers.items()}
        cell["port_directions"] |= dict.fromkeys(inputs, "input")
        cell["parameters"] |= {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0",
                               "REG_OUTPUT_RST": "RST0", "GSR": "DISABLED"}
        cells[f"{stem}_MULT18X18D_{suffix}"] = cells.pop(name)


def _list_users(module: _Module) -> Mapping[int | str, list[str | None]]:
    """List the cells at each bit, the one that drives it too; None is a port of the module."""
    users: defaultdict[int | str, list[str | None]] = defaultdict(list)
    for port in module.get("ports", {}).values():
        for bit in port["bits"]:
            users[bit].append(None)
    for name, cell in module["cells"].items():
        for bits in cell["connections"].values():
            for bit in bits:
                users[bit].append(name)
    return users


def _is_plain_register(cell: Mapping[str, Any] | None) -> bool:
    """Return whether a cell is a flip-flop that begins with 0 and loads at every rising edge."""
    if cell is None or cell["type"] != "TRELLIS_FF":
        return False
    mode = {name: cell["parameters"].get(name, "").strip()
            for name in ("CEMUX", "CLKMUX", "REGSET")}
    return (mode == {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}
            and cell["connections"]["LSR"] == ["0"])
