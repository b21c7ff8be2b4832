"""Characterisation of all cells: ``python -m eie_flows.sky130.characterise``."""

import ast
import functools
import hashlib
import sys
from pathlib import Path

from eie_hdl.files import write_file
from eie_sim.rtl.cache import make_once
from eie_sim.rtl.toolchain import ToolError

from .cells import CELLS, FLIPFLOPS
from .flipflop import Constraints, measure_constraints, measure_flipflop
from .liberty import LIBERTY, describe_cell, describe_library
from .measure import measure_cell
from .package import package_version, read_area, read_subcircuit
from .spice import ngspice_version

__all__ = ["main"]

#: Files of this folder that decide what is measured, and how it is written.
_SOURCES = ("flipflop.py", "liberty.py", "measure.py", "parasitics.py", "spice.py")


def main(output: Path = LIBERTY, cache: Path | None = None) -> None:
    """Simulate all cells, which takes some minutes, and write the library.

    Each cell is kept in the cache when it is done, so that a run continues an interrupted one.
    """
    origin = f"ngspice {ngspice_version()}, Python package sky130 {package_version()}"
    names = (*FLIPFLOPS, *CELLS)
    cells = []
    for number, name in enumerate(names, 1):
        print(f"{number}/{len(names)}: {name}", file=sys.stderr, flush=True)
        made = make_once(cache, "liberty", [origin, _sources(), repr(CELLS.get(name)),
                                            read_subcircuit(name), read_area(name)],
                         functools.partial(_make, name))
        cells.append((made / "cell.lib").read_text(encoding="utf-8"))
    write_file(output, describe_library(cells, origin))


def _make(name: str, folder: Path) -> None:
    """Measure a cell."""
    measured = (measure_cell(CELLS[name]) if name in CELLS else
                measure_flipflop(name, _constraints()))
    write_file(folder / "cell.lib", describe_cell(name, read_area(name), measured))


@functools.cache
def _constraints() -> Constraints:
    """Setup and hold of all flip-flops, which differ in the transistors at the output alone."""
    return measure_constraints(FLIPFLOPS[0])


@functools.cache
def _sources() -> str:
    """Hash of the sources, without comments."""
    folder = Path(__file__).parent
    trees = [ast.dump(ast.parse((folder / name).read_bytes())) for name in _SOURCES]
    return hashlib.sha256("".join(trees).encode()).hexdigest()


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        sys.exit(f"eie_flows.sky130.characterise: {error}")
