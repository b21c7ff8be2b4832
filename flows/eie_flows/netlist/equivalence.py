"""Proof that the netlist of each module computes what its Verilog does."""

import dataclasses
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from eie_hdl.export.names import DEFAULT_NAME, MEMORY_MODULES, source_files
from eie_hdl.files import write_files

from ..images import remove_images
from ..tools import require_yosys, run_yosys, yosys_folder
from .cell_sets import CellSet

__all__ = ["Proof", "list_modules", "map_module", "prove", "prove_module"]

#: Multiplication that is cut out: a SAT solver does not prove one within a larger module.
_MULTIPLIER = """module eie_multiplier #(
    parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1
) (input [A_WIDTH-1:0] A, input [B_WIDTH-1:0] B, output [Y_WIDTH-1:0] Y);
endmodule
"""
_CUT = ("wreduce t:$mul", "rename -enumerate -pattern multiplier_% t:$mul",
        "chtype -set eie_multiplier t:$mul")

#: Files of a module: itself, what is cut out, the models of the cells, and the netlist.
_RTL, _CUT_OUT, _MODELS, _NETLIST = "rtl.v", "cut.v", "cells.v", "netlist.v"

_T = TypeVar("_T")

_MODULE = r"^module (\w+)[\s\S]*?^endmodule\n"
_STATUS = r"Of those cells (\d+) are proven and (\d+) are unproven"


@dataclasses.dataclass(frozen=True)
class Proof:
    """Result for one module.

    Attributes
    ----------
    module : :class:`str`
        Name; a multiplication that was cut out has a name of its widths.
    cells : :class:`int`
        Cells of the netlist, without those cut out.
    cut : :class:`int`
        Memories, modules and multiplications inside, which are cut out: their inputs are proven
        equal, and their outputs are taken to be.
    points : :class:`int`
        Bits that are compared: registers, outputs and inputs of what is cut out.
    method : :class:`str`
        ``registers`` if all are proven with each register of the same name as a cut, ``induction``
        over time, or ``sweeping`` of combinational logic by ABC.
    proven : :class:`bool`
        True if all points are equal.
    unproven : :class:`tuple` of :class:`str`
        Names of points that are not.
    seconds : :class:`float`
        Time of synthesis and proof.
    """

    module: str
    cells: int
    cut: int
    points: int
    method: str
    proven: bool
    unproven: tuple[str, ...]
    seconds: float


def prove(files: Mapping[str, str], library: CellSet, folder: Path, *,
          modules: Iterable[str] | None = None,
          advance: Callable[[str, int, int], None] = lambda module, done, total: None
          ) -> list[Proof]:
    """Synthesise each module of a machine on its own, and prove it; as many at once as cores.

    All modules together are the machine, so that their proofs prove a netlist that keeps them. Each
    multiplication that occurs is proven once, too.

    Parameters
    ----------
    files : mapping of file name to text
        Verilog of a machine named ``eie``.
    library : :class:`.cell_sets.CellSet`
        Cells to map to.
    folder : :class:`~pathlib.Path`
        Destination of the netlists and logs, in a folder for each module.
    modules : iterable of :class:`str`, optional
        Modules to prove. Default: all.
    advance : function of :class:`str`, :class:`int`, :class:`int`
        Called with each module that has been proven, and the numbers done and in total.

    Raises
    ------
    ToolError
        If Yosys or the library is missing, or Yosys fails.
    """
    require_yosys()
    found, proofs = list_modules(files), []
    chosen = [module for module in found if module not in MEMORY_MODULES] if modules is None \
        else list(modules)

    def work(module: str) -> Proof:
        map_module(found, module, library, folder / module)
        return prove_module(module, library, folder / module)

    def multiply(widths: tuple[int, ...]) -> Proof:
        return _prove_multiplier(widths, library, folder)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for proof in pool.map(_timed(work), chosen):
                proofs.append(proof)
                advance(proof.module, len(proofs), len(chosen))
            shapes = sorted({shape for module in chosen
                             for shape in _list_multipliers(folder / module / _NETLIST)})
            proofs += pool.map(_timed(multiply), shapes)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return proofs


def _timed(make: Callable[[_T], Proof]) -> Callable[[_T], Proof]:
    """Return a function that adds the time that it takes to its proof."""
    def run(what: _T) -> Proof:
        begin = time.monotonic()
        return dataclasses.replace(make(what), seconds=time.monotonic() - begin)

    return run


def list_modules(files: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each module of a machine by name, memories included."""
    # Parameters of memory images, strings, are not written as they were read.
    text = remove_images("".join(source_files(files).values()))
    return {match[1]: match[0] for match in re.finditer(_MODULE, text, re.MULTILINE)}


def map_module(modules: Mapping[str, str], module: str, library: CellSet, folder: Path) -> None:
    """Synthesise one module, without those inside it, to ``netlist.v`` in `folder`."""
    others = "".join(text for name, text in modules.items() if name != module)
    write_files(folder, {_RTL: modules[module], _CUT_OUT: others + _MULTIPLIER,
                         _MODELS: library.models()})
    run_yosys([*_read(module), *(command.format(top=module) for command in library.synthesis),
               "tee -o cells.json stat -json", f"write_verilog -noattr {_NETLIST}"],
              folder, "synthesis.log")


def prove_module(module: str, library: CellSet, folder: Path) -> Proof:
    """Prove the netlist in `folder` that :func:`map_module` has written.

    An output that is a register too, but only in the netlist, would be compared with itself, and
    not be proven. Outputs are separate nets in a second attempt. They are not in the first one, as
    sums are hard to prove without taking outputs that are registers to be equal.
    """
    proof = _prove_module(module, library, folder, [], ["opt_clean"])
    return proof if proof.proven else _prove_module(
        module, library, folder, ["iopadmap -bits -outpad $_BUF_ A:Y"], [])


def _prove_module(module: str, library: CellSet, folder: Path, separate: Sequence[str],
                  clean: Sequence[str]) -> Proof:
    """Prove it with the given commands, after the netlist is read and after names are compared."""
    run_yosys([
        f"read_verilog {_NETLIST}", f"read_verilog -lib {_CUT_OUT}", library.functions,
        f"hierarchy -check -top {module}", "proc", "flatten",
        # Of two names of a net the one of the module must stay, not that inside a cell.
        "rename -hide w:*.*", "splitnets", "opt_clean", *separate, f"rename {module} gate",
        "design -stash gate",
        # Synthesis drops registers that nothing reads; only what is read is compared.
        # `proc` makes memories of tables, which cannot be compared.
        *_read(module), "memory_collect", "memory_map -rom-only", "simplemap t:$*dff*",
        # Bits are compared one by one, as synthesis makes registers narrower.
        # Other names need not be in the netlist.
        "splitnets", "rename -hide w:* i:* o:* t:$_*DFF* %co1:+[Q] w:* %i %u %u %d",
        "opt_clean -purge", f"rename {module} gold",
        "design -stash gold", f"read_verilog -lib {_CUT_OUT}", "design -copy-from gold gold",
        "design -copy-from gate gate", "equiv_make gold gate equal", "hierarchy -top equal",
        *clean, "equiv_simple -ignore-unknown-cells", "equiv_status",
        "equiv_induct -ignore-unknown-cells", "equiv_status"],
        folder, "proof.log")
    log = (folder / "proof.log").read_text(encoding="utf-8", errors="replace")
    simple, last = [(int(proven), int(unproven)) for proven, unproven in re.findall(_STATUS, log)]
    types = json.loads((folder / "cells.json").read_text(encoding="utf-8")
                       )["modules"][f"\\{module}"]["num_cells_by_type"]
    cut = sum(count for kind, count in types.items() if kind.startswith(f"{DEFAULT_NAME}_"))
    names = re.findall(r"Unproven \$equiv \S+: (\S+)", log.rpartition("EQUIV_STATUS")[2])
    return Proof(module, sum(types.values()) - cut, cut, sum(last),
                 "induction" if simple[1] else "registers", bool(last[0]) and not last[1],
                 tuple(names), 0.0)


def _read(module: str) -> list[str]:
    """Commands that read a module, with all that is to be cut out as a black box."""
    return [f"read_verilog -lib {_CUT_OUT}", f"read_verilog {_RTL}",
            f"hierarchy -check -top {module}", "proc",
            # Synthesis drops registers that are constant, of which a proof would have to know why,
            # and keeps any name of a register, such as that of a field, so that each must have one.
            "opt", "opt_clean -purge", *_CUT]


def _list_multipliers(netlist: Path) -> list[tuple[int, ...]]:
    """List the parameters of multiplications that are cut out, in the order of their names."""
    parameters = ("A_SIGNED", "A_WIDTH", "B_SIGNED", "B_WIDTH", "Y_WIDTH")
    return [tuple(int(re.search(rf"\.{name}\((?:32'd)?(\d+)\)", text)[1])    # type: ignore[index]
                  for name in parameters)
            for text in re.findall(r"eie_multiplier #\(([\s\S]*?)\n  \) ",
                                   netlist.read_text(encoding="utf-8"))]


def _prove_multiplier(widths: tuple[int, ...], library: CellSet, folder: Path) -> Proof:
    """Prove a multiplication against that of Yosys's own adders, which ABC finds equal.

    No solver multiplies words of 16 bits by its definition in reasonable time.
    """
    a_signed, a_width, b_signed, b_width, y_width = widths
    kinds = ["signed" if signed else "unsigned" for signed in (a_signed, b_signed)]
    name = f"{kinds[0]}_{a_width}_times_{kinds[1]}_{b_width}_to_{y_width}"
    folder = folder / name
    sign = ["$signed(A)" if a_signed else "A", "$signed(B)" if b_signed else "B"]
    write_files(folder, {_MODELS: library.models(), _RTL: (
        f"module product(input [{a_width - 1}:0] A, input [{b_width - 1}:0] B, "
        f"output [{y_width - 1}:0] Y);\n  assign Y = {sign[0]} * {sign[1]};\nendmodule\n")})
    as_graph = ("synth -noabc -top product", "aigmap")
    run_yosys([
        f"read_verilog {_RTL}", *(command.format(top="product") for command in library.synthesis),
        "tee -o cells.json stat -json", f"write_verilog -noattr {_NETLIST}", "design -reset",
        f"read_verilog {_NETLIST}", library.functions, "hierarchy -check -top product", "proc",
        "flatten", *as_graph, "write_aiger gate.aig", "design -reset",
        f"read_verilog {_RTL}", *as_graph, "write_aiger gold.aig"], folder, "synthesis.log")
    answer = subprocess.run(
        [yosys_folder() / "yosys-abc", "-c", "cec -n gold.aig gate.aig"], cwd=folder,
        capture_output=True, encoding="utf-8", errors="replace", check=False,
        stdin=subprocess.DEVNULL).stdout
    (folder / "proof.log").write_text(answer, encoding="utf-8")
    cells = json.loads((folder / "cells.json").read_text(encoding="utf-8")
                       )["modules"]["\\product"]["num_cells"]
    proven = "Networks are equivalent" in answer
    return Proof(name, cells, 0, y_width, "sweeping", proven, () if proven else ("Y",), 0.0)
