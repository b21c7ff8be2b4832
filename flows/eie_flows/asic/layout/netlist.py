"""Netlist of one module without its memories, as BLIF for placement, and as Verilog."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eie_hdl.export.names import DEFAULT_NAME, source_files
from eie_hdl.files import write_file, write_files

from ...images import remove_images
from ...libraries import Library
from ...tools import require_yosys, run_yosys
from ..synthesis import CONSTRAINTS, describe_surroundings, map_steps

__all__ = ["GROUND", "POWER", "Netlist", "Pin", "make_netlist", "read_blif"]

#: Nets of the supply, which also are the constants: the library has no cell that ties a net.
POWER, GROUND = "vdd", "gnd"

#: Modules that are cut out.
_MEMORIES = (f"{DEFAULT_NAME}_sram", f"{DEFAULT_NAME}_regfile")

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

    Memories are cut out: their pins become ports of the module.

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
        *(f"blackbox *{name}*" for name in _MEMORIES), "flatten",
        f"expose -evert -sep _ {' '.join(f't:*{name}*' for name in _MEMORIES)}",
        *map_steps(module, liberty, period), "setundef -zero", "splitnets -ports -format _",
        "opt_clean -purge", "select -set ports x:*", "rename -hide w:* @ports %d",
        "rename -hide c:*", "rename -enumerate", f"write_verilog -noattr -noexpr {module}.v",
        # A port that has the net of another, or a constant, gets a buffer.
        f"write_blif -gates -true - {POWER} -false - {GROUND} -undef - {GROUND} -buf BUFX2 A Y "
        f"{module}.blif"], folder, "yosys.log")
    text = _plain((folder / f"{module}.blif").read_text(encoding="utf-8"))
    write_file(folder / f"{module}.blif", text)
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


def read_blif(text: str) -> Netlist:
    """Read a netlist; cells are named by type and number, as qflow names them."""
    numbers: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    nets: dict[str, set[Pin]] = {}
    for words in map(str.split, text.splitlines()):
        if words and words[0] in (".inputs", ".outputs"):
            for port in words[1:]:
                nets.setdefault(port, set()).add(("", port))
        elif words and words[0] == ".gate":
            numbers[words[1]] += 1
            name = f"{words[1]}_{numbers[words[1]]}"
            kinds[name] = words[1]
            for connection in words[2:]:
                pin, net = connection.split("=")
                nets.setdefault(net, set()).add((name, pin))
    return Netlist(kinds, {net: frozenset(pins) for net, pins in nets.items()})
