"""Names of machines in Verilog, prefixes of modules, files and macros; and source files."""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Literal, get_args

from ..identifiers import VERILOG, find_fault

__all__ = ["BRIDGES", "DEFAULT_NAME", "MEMORY_MODULES", "Bridge", "VerilogNameError", "check_name",
           "name_top", "prefix_text", "read_source", "source_files"]

#: Serial lines that can take the place of a machine's buses.
Bridge = Literal["uart", "spi"]
BRIDGES: tuple[Bridge, ...] = get_args(Bridge)

#: Name of a machine, and prefix of its modules, files and macros, unless another is given.
DEFAULT_NAME = "eie"

#: Modules of the memories, which macros or the memories of an FPGA replace.
MEMORY_MODULES = (f"{DEFAULT_NAME}_sram", f"{DEFAULT_NAME}_regfile")


class VerilogNameError(ValueError):
    """Name that the modules and files of a machine cannot have."""


def check_name(name: str, *, parameter: str = "name") -> None:
    """Check a name; messages call it `parameter`.

    Raises
    ------
    VerilogNameError
        If it is not a lower-case identifier, is too long, or is a keyword.
    """
    if fault := find_fault(name, VERILOG):
        raise VerilogNameError(f"{parameter} {fault}")


def name_top(name: str, bridge: Bridge | None) -> str:
    """Name the top module of a machine called `name`, which may have a bridge."""
    return f"{name}_{bridge}" if bridge else name


def prefix_text(text: str, name: str) -> str:
    """Replace the default name by another one in names of modules, files, plusargs and macros."""
    text = re.sub(rf"(?<![A-Za-z0-9_]){DEFAULT_NAME}(?=[_.])", name, text)
    return re.sub(rf"(?<![A-Za-z0-9_]){DEFAULT_NAME.upper()}(?=_)", name.upper(), text)


def read_source(file: str) -> str:
    """Return the text of a hand-written file, with the files that it includes in their places."""
    text = (resources.files(__package__) / "rtl" / file).read_text(encoding="utf-8")
    return re.sub(r'^`include "(.*)"\n', lambda match: read_source(match[1]), text,
                  flags=re.MULTILINE)


def source_files(files: Mapping[str, str]) -> dict[str, str]:
    """Select the files that a tool must read: those of the list, or without one all of Verilog."""
    lists = [text.split() for name, text in files.items() if name.endswith(".f")]
    names = lists[0] if lists else sorted(name for name in files if name.endswith(".v"))
    return {name: files[name] for name in names}
