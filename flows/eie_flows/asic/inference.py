"""Simulation of the netlist in Icarus: handwritten digits, compared with the golden model."""

import re
import subprocess
from pathlib import Path

from eie_compiler.build import Build
from eie_compiler.errors import CompileError
from eie_compiler.files.network_file import read_network
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_hdl.export.names import DEFAULT_NAME
from eie_hdl.files import write_file
from eie_sim.demo.digits import FOLDER, load_digits
from eie_sim.hex_export import export_hex
from eie_sim.rtl.toolchain import ToolError, find_icarus, require

from .macros import Macro, describe_models

__all__ = ["compile_digits", "simulate"]

_BENCH = "digits_bench"


def compile_digits(config: EIEConfig) -> Build:
    """Compile the network of the digits.

    Raises
    ------
    CompileError
        If the machine cannot hold it.
    """
    try:
        return compile_network(read_network(FOLDER / "digits.npz"), config)
    except CompileError as error:
        raise CompileError("for its power the machine must hold the network of the digits, but "
                           f"{str(error).partition(':')[0]}: choose another machine, or leave out "
                           "--power") from error


def simulate(build: Build, macros: list[Macro], folder: Path, *, images: int = 1) -> Path:
    """Run images through ``netlist.v`` in `folder`, and return the waveform of the inferences.

    The memories are filled before the first cycle. The waveform begins with the first input beat
    and ends with the last result beat.

    Raises
    ------
    ToolError
        If Icarus is missing, or the netlist computes anything else than the golden model.
    """
    require(find_icarus())
    inputs, _ = load_digits().first(images)
    export_hex(build, folder, inputs, name="digits")
    bench = (folder / f"{_BENCH}.v").read_text(encoding="utf-8")
    # The netlist has no parameters: its memories are filled by their paths.
    write_file(folder / f"{_BENCH}.v", re.sub(rf"\b{DEFAULT_NAME} #\(\.IMAGE_FOLDER\(.*?\)\) ",
                                              f"{DEFAULT_NAME} ", bench))
    write_file(folder / "probe.v", _probe(sorted(folder.glob("images/*.hex"))))
    write_file(folder / "macros_models.v", describe_models(macros))
    files = ["netlist.v", "cells.v", "macros_models.v", f"{_BENCH}.v", "probe.v"]
    for command in (["iverilog", "-g2005", "-s", _BENCH, "-s", "probe", "-o", "netlist.vvp",
                     *files],
                    ["vvp", "-n", "netlist.vvp"]):
        result = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8",
                                errors="replace", check=False, stdin=subprocess.DEVNULL)
        text = result.stdout + result.stderr
        if result.returncode:
            raise ToolError("\n".join([f"{command[0]} failed; the end of its output:",
                                       *text.splitlines()[-20:]]))
    if not re.search(r"^PASS: ", text, re.MULTILINE):
        raise ToolError("\n".join(["the netlist must compute the results of the golden model, but "
                                   "the bench says:", *text.splitlines()[-20:]]))
    return folder / "activity.vcd"


def _probe(images: list[Path]) -> str:
    """Write a module that fills the memories and records the waveform."""
    loads = "".join(
        f'        $readmemh("images/{image.name}", {_BENCH}.machine.core.{image.stem}.ram.rows'
        f");\n" for image in images)
    return f"""module probe;
    initial begin
{loads}        wait ({_BENCH}.s_tvalid === 1'b1);
        $dumpfile("activity.vcd");
        $dumpvars(0, {_BENCH}.machine);
        wait ({_BENCH}.n_received == {_BENCH}.N_RESULTS);
        $dumpoff;
    end
endmodule
"""
