"""Netlist of one module without its memories, as BLIF for placement, and as Verilog."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eie_hdl.export.names import MEMORY_MODULES, source_files
from eie_hdl.files import write_files

from ...images import remove_images
from ...libraries import Library
from ...tools import require_yosys, run_yosys
from ..synthesis import CONSTRAINTS, describe_surroundings, map_steps

__all__ = ["GROUND", "POWER", "Netlist", "Pin", "make_netlist", "read_blif", "to_verilog"]

#: Nets of the supply, which also are the constants: the library has no cell that ties a net.
POWER, GROUND = "vdd", "gnd"

#: Most flip-flops on one net of a clock, and those of a buffer where there are more. The router
#: takes 311, and gave up on the 1,369 of a PE.
_CLOCK_PINS, _BUFFERED = 400, 32

#: Instance and name of a pin; a port of the module has the instance "".
Pin = tuple[str, str]


@dataclass(frozen=True)
class Netlist:
    """Connections of a module.

    Attributes
    ----------
    kinds : :class:`dict` of :class:`str` to :class:`str`
        Type of each cell by its name in the layout.
    nets : :class:`dict` of :class:`str` to :class:`frozenset`
        Pins by net, those of the supply only where they serve as constants.
    """

    kinds: dict[str, str]
    nets: dict[str, frozenset[Pin]]


def make_netlist(files: Mapping[str, str], module: str, library: Library, folder: Path, *,
                 period: float) -> Netlist:
    """Synthesise one module flat to ``NAME.blif`` and ``NAME.v`` in `folder`.

    Memories are cut out: their pins become ports of the module. A clock of many flip-flops gets
    buffers.

    Parameters
    ----------
    files : mapping of :class:`str` to :class:`str`
        Verilog of a machine named ``eie``.
    module : :class:`str`
        Module of the machine.
    library : :class:`~eie_flows.libraries.Library`
        Standard cells.
    folder : :class:`~pathlib.Path`
        Destination.
    period : :class:`float`
        Clock period in ns at which gates are sized.

    Raises
    ------
    ToolError
        If Yosys or the library is missing, or Yosys fails.
    """
    require_yosys()
    liberty = library.find()
    sources = source_files(files)
    write_files(folder, {**{name: remove_images(text) for name, text in sources.items()},
                         CONSTRAINTS: describe_surroundings(library)})
    run_yosys([
        # -defer, as parameters have values only in an instance.
        f"read_verilog -defer {' '.join(sources)}", f"hierarchy -check -top {module}", "proc",
        *(f"blackbox *{name}*" for name in MEMORY_MODULES), "flatten",
        f"expose -evert -sep _ {' '.join(f't:*{name}*' for name in MEMORY_MODULES)}",
        *map_steps(module, liberty, period), "setundef -zero", "splitnets -ports -format _",
        "opt_clean -purge", "select -set ports x:*", "rename -hide w:* @ports %d",
        "rename -hide c:*", "rename -enumerate",
        # A port that has the net of another, or a constant, gets a buffer.
        f"write_blif -gates -true - {POWER} -false - {GROUND} -undef - {GROUND} -buf BUFX2 A Y "
        f"{module}.blif"], folder, "yosys.log")
    text = _buffer_clocks(_plain((folder / f"{module}.blif").read_text(encoding="utf-8")))
    write_files(folder, {f"{module}.blif": text, f"{module}.v": to_verilog(text)})
    return read_blif(text)


def _plain(text: str) -> str:
    """Replace the characters of names that placement does not take, keeping names different."""
    names: dict[str, str] = {}
    taken = set(re.findall(r"\w+", text))

    def plain(match: re.Match[str]) -> str:
        name = match[0]
        if name not in names:
            names[name] = re.sub(r"\W", "_", name)
            while names[name] in taken:
                names[name] += "_"
            taken.add(names[name])
        return names[name]

    # Names with another character than those of words; directives begin with a full stop.
    return "\n".join(line if line.startswith((".model", "#")) else
                     re.sub(r"(?<![\w.$])(?!\.)[\w.$]*[.$][\w.$]*", plain, line)
                     for line in text.split("\n"))


def _buffer_clocks(text: str) -> str:
    """Drive groups of flip-flops by buffers where a clock has more of them than a net can have."""
    clock = re.compile(r"(?<= CLK=)\w+")
    sizes = Counter(clock.findall(text))
    numbers: Counter[str] = Counter()

    def split(match: re.Match[str]) -> str:
        net = match[0]
        if sizes[net] <= _CLOCK_PINS:
            return net
        numbers[net] += 1
        return f"{net}_buffered_{(numbers[net] - 1) // _BUFFERED}"

    text = clock.sub(split, text)
    buffers = "".join(f".gate CLKBUF1 A={net} Y={net}_buffered_{number}\n"
                      for net, count in numbers.items()
                      for number in range(-(-count // _BUFFERED)))
    return text.replace(".gate", f"{buffers}.gate", 1)


def read_blif(text: str) -> Netlist:
    """Read a netlist; cells are named by type and number, as qflow names them."""
    nets: dict[str, set[Pin]] = {port: {("", port)} for ports in _read_ports(text).values()
                                 for port in ports}
    cells = _read_cells(text)
    for name, (_, connections) in cells.items():
        for pin, net in connections.items():
            nets.setdefault(net, set()).add((name, pin))
    return Netlist({name: kind for name, (kind, _) in cells.items()},
                   {net: frozenset(pins) for net, pins in nets.items()})


def to_verilog(text: str) -> str:
    """Write a netlist as Verilog, with the names that the layout has."""
    (module,) = re.findall(r"^\.model (\S+)", text, re.MULTILINE)
    ports = _read_ports(text)
    lines = [f"module {module} ({', '.join(port for each in ports.values() for port in each)});",
             *(f"  {direction} {port};" for direction, each in ports.items() for port in each),
             f"  supply1 {POWER};", f"  supply0 {GROUND};",
             *(f"  {kind} {name} ({', '.join(f'.{pin}({net})' for pin, net in pins.items())});"
               for name, (kind, pins) in _read_cells(text).items()), "endmodule", ""]
    return "\n".join(lines)


def _read_ports(text: str) -> dict[str, list[str]]:
    """Ports of a netlist by direction, as Verilog calls it."""
    return {direction: [port for ports in re.findall(rf"^\.{direction}s(.*)", text, re.MULTILINE)
                        for port in ports.split()] for direction in ("input", "output")}


def _read_cells(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Type of each cell, and its nets by pin."""
    numbers: Counter[str] = Counter()
    cells: dict[str, tuple[str, dict[str, str]]] = {}
    for kind, pins in re.findall(r"^\.gate (\S+)(.*)", text, re.MULTILINE):
        numbers[kind] += 1
        cells[f"{kind}_{numbers[kind]}"] = kind, dict(re.findall(r"(\w+)=(\w+)", pins))
    return cells
