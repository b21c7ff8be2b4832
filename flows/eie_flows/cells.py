"""Logic of any Verilog on an ECP5, its memories left out, without place and route."""

import importlib.metadata
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eie_hdl.export.names import source_files
from eie_hdl.files import write_files
from eie_sim.rtl.cache import make_once

from .tools import require_yosys, run_yosys

__all__ = ["Cells", "count_cells", "summarise"]


class Cells(NamedTuple):
    """Size of a design.

    Attributes
    ----------
    lut4, carry, flipflops : :class:`int`
        LUT4 cells; carry cells, each of which occupies two more; flip-flops.
    dsp : :class:`int`
        Multipliers of 18 × 18.
    memory_bits : :class:`int`
        Bits of all memories in the Verilog.
    """

    lut4: int
    carry: int
    flipflops: int
    dsp: int
    memory_bits: int


def count_cells(files: Mapping[str, str], *, top: str, memories: str,
                cache: str | Path | None = None) -> Cells:
    """Synthesise a design by ``synth_ecp5``, or reuse the cached result.

    Each module is synthesised once, and its cells are counted for all instances: logic is not
    optimised across modules. Memories are left out, as Yosys builds some kinds of them from
    flip-flops although a block RAM would do.

    Parameters
    ----------
    files : mapping of file name to text
        Verilog of the design.
    top : :class:`str`
        Name of the top module.
    memories : :class:`str`
        Patterns of the names of modules that are memories, separated by spaces.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`eie_sim.rtl.cache.make_once`.

    Raises
    ------
    ToolError
        If Yosys is missing or fails. The message ends with the end of its log.
    """
    require_yosys()
    sources = source_files(files)
    commands = [f"read_verilog -defer {' '.join(sources)}", f"hierarchy -check -top {top}", "proc",
                "tee -o memories.json stat -json", f"blackbox {memories}", "opt_clean -purge",
                f"synth_ecp5 -noflatten -top {top}", "tee -o cells.json stat -json"]

    def make(folder: Path) -> None:
        write_files(folder, sources)
        run_yosys(commands, folder, "yosys.log")

    folder = make_once(cache, "cells", [dict(sources), commands,
                                        importlib.metadata.version("pyosys")], make)
    return summarise(*(_read_modules(folder / name) for name in ("memories.json", "cells.json")),
                     top=top)


def summarise(memories: Mapping[str, Any], cells: Mapping[str, Any], *, top: str) -> Cells:
    """Add up Yosys's statistics of all modules, by name, before and after mapping."""
    kinds = _count(cells, top)
    instances = _count(memories, top) + Counter({top: 1})
    bits = sum(instances[name] * module["num_memory_bits"] for name, module in memories.items())
    return Cells(kinds["LUT4"], kinds["CCU2C"], kinds["TRELLIS_FF"], kinds["MULT18X18D"], bits)


def _count(modules: Mapping[str, Any], top: str) -> Counter[str]:
    """Count the cells inside a module by type, other modules included."""
    total: Counter[str] = Counter()
    for kind, number in modules[top]["num_cells_by_type"].items():
        total[kind] += number
        if kind in modules:
            for inner, count in _count(modules, kind).items():
                total[inner] += number * count
    return total


def _read_modules(path: Path) -> dict[str, Any]:
    """Read statistics by module; of its name and the types of cells, only the former begins with a
    backslash.
    """
    modules = json.loads(path.read_text(encoding="utf-8"))["modules"]
    return {name.removeprefix("\\"): module for name, module in modules.items()}
