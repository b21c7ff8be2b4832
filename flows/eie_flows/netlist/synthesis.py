"""Netlist of a whole machine as cells of a library, in one flat module."""

from collections.abc import Mapping
from pathlib import Path

from eie_hdl.export.names import DEFAULT_NAME, source_files
from eie_hdl.files import write_files

from ..netlist_changes import change_netlist
from ..tools import FLATTEN, require_yosys, run_yosys
from .cell_sets import CellSet

__all__ = ["make_netlist"]

#: The netlist in the JSON of Yosys.
_NETLIST = "netlist.json"


def make_netlist(files: Mapping[str, str], library: CellSet, folder: Path) -> dict[str, str]:
    """Synthesise a machine; return the Verilog of its netlist with the models of the cells.

    Parameters
    ----------
    files : mapping of file name to text
        Verilog of a machine named ``eie``.
    library : :class:`.cell_sets.CellSet`
        Cells to map to.
    folder : :class:`~pathlib.Path`
        Destination of the netlist, and of Yosys's log.

    Returns
    -------
    :class:`dict` of :class:`str` to :class:`str`
        Text by file name: the netlist ``eie.v``, the models ``cells.v``, and the memories if they
        are not cells.

    Raises
    ------
    ToolError
        If Yosys or the library is missing, or Yosys fails.
    """
    require_yosys()
    top, models = DEFAULT_NAME, library.models()
    sources = source_files(files)
    logic, memories = f"{top}.v", {name: text for name, text in sources.items()
                                   if name != f"{top}.v"}
    write_files(folder / "rtl", sources)
    run_yosys([
        # -defer, as parameters have values only in an instance.
        f"read_verilog -defer rtl/{logic}",
        *(f"read_verilog {'-defer' if library.has_memories else '-lib'} rtl/{name}"
          for name in memories),
        f"hierarchy -check -top {top}", "proc", *FLATTEN,
        *(command.format(top=top) for command in library.synthesis),
        f"write_json {_NETLIST}"], folder, "yosys.log")
    if library.change:
        change_netlist(folder / _NETLIST, library.change)
    run_yosys([f"read_json {_NETLIST}", f"write_verilog -noattr {logic}"], folder, "verilog.log")
    netlist = (folder / logic).read_text(encoding="utf-8")
    return {logic: netlist, "cells.v": models} | ({} if library.has_memories else memories)
