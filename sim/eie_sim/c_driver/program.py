"""The C driver on simulated Verilog: compile, link and run it, for instance on the digits."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.files.network_file import read_network
from eie_compiler.lowering.compile import compile_network
from eie_driver.c_export import export_files
from eie_driver.c_sources import find_c_driver
from eie_driver.c_text import array
from eie_hdl.config import EIEConfig
from eie_hdl.files import write_file

from ..demo.digits import FOLDER, load_digits
from ..inference import infer, prepare
from ..rtl.simulators import SimulationError, run_step
from ..rtl.verilator_host import make_host

__all__ = ["C_FLAGS", "DIGITS", "DRIVER", "FAULTS", "compile_digits", "compile_example",
           "define_arrays", "link_example", "make_machine", "run_program"]

#: Folder of the C driver.
DRIVER = find_c_driver()

#: Compiler flags of all C sources.
C_FLAGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2",
           "-I", str(DRIVER), "-I", str(DRIVER / "example"))

#: Programs that recognise digits, and that provoke faults.
DIGITS = DRIVER / "example" / "digits.c"
FAULTS = DRIVER / "sim" / "faults.c"

_BRIDGE = DRIVER / "sim" / "bridge.cpp"


def make_machine(config: EIEConfig, *, cache: str | Path | None = None) -> Path:
    """Build, or take from the cache, the object file of a machine with the driver's port.

    Raises
    ------
    ToolError
        If Verilator or a compiler is missing or too old.
    SimulationError
        If the machine does not compile.
    """
    return make_host(config, _BRIDGE, "-r -nostdlib", headers=sorted(DRIVER.rglob("*.h")),
                     cache=cache)


def compile_example(build: Build, words: NDArray[np.int64], labels: NDArray[np.int64],
                    folder: str | Path, *, example: Path = DIGITS,
                    cache: str | Path | None = None) -> Path:
    """Compile an example with the driver and link both with the machine.

    Its network is called ``network``; ``digits_data.h`` has its inputs and the outputs expected
    according to the golden model.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Compiled network, and its machine.
    words : int64 (batch, n_inputs)
        Inputs as fixed-point words.
    labels : int64 (batch,)
        Index of the output that should be the greatest.
    folder : :class:`str` or :class:`~pathlib.Path`
        Folder for exported sources, objects and the program.
    example : :class:`~pathlib.Path`
        Source file of the example.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`..rtl.cache.make_once`.

    Returns
    -------
    :class:`~pathlib.Path`
        Path of the program.

    Raises
    ------
    ToolError
        If Verilator or a compiler is missing or too old.
    SimulationError
        If a source does not compile without warnings.
    """
    expected = np.concatenate(infer(build, words, words=True, engine="golden").outputs, axis=1)
    files = {**export_files(build, name="network"), **define_arrays(
        "digits_data", {"DIGITS_N_IMAGES": len(words)},
        {"digits_images": words, "digits_labels": labels, "digits_expected": expected})}
    return link_example(build.config, files, folder, [DRIVER / "eie.c", example], cache=cache)


def link_example(config: EIEConfig, files: Mapping[str, str], folder: str | Path,
                 sources: Sequence[Path], *, cache: str | Path | None = None) -> Path:
    """Write files, compile those of C and further sources, and link all with the machine.

    Returns and raises as :func:`compile_example`.
    """
    machine = make_machine(config, cache=cache)
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_file(folder / name, text)
    objects = []
    for source in (*sources, *(folder / name for name in files if name.endswith(".c"))):
        objects.append(f"{source.stem}.o")
        run_step(["gcc", *C_FLAGS, "-I", ".", "-c", str(source), "-o", objects[-1]], folder)
    run_step(["g++", "-o", "program", *objects, str(machine), "-pthread"], folder)
    return folder / "program"


def define_arrays(name: str, sizes: Mapping[str, int], arrays: Mapping[str, NDArray[np.int64]]
                  ) -> dict[str, str]:
    """Format a header and a source file of constants: sizes, and arrays of words."""
    kind = "const int32_t"
    constants = "".join(f"enum {{ {size} = {value} }};\n" for size, value in sizes.items())
    declarations = "".join(f"extern {kind} {array_name}[];\n" for array_name in arrays)
    return {
        f"{name}.h": f"#include <stdint.h>\n\n{constants}{declarations}",
        f"{name}.c": f'#include "{name}.h"\n\n' + "\n".join(
            array(kind, array_name, map(str, values.ravel().tolist()))
            for array_name, values in arrays.items())}


def compile_digits(folder: str | Path, *, example: Path = DIGITS, n_pe: int = 16,
                   outputs: Literal["last", "all"] = "last", images: int | None = None,
                   cache: str | Path | None = None) -> Path:
    """Compile an example with the digits network and the first `images` held-out images.

    Parameters and exceptions are those of :func:`compile_example`; `outputs` is that of
    :func:`~eie_compiler.lowering.compile.compile_network`.
    """
    build = compile_network(read_network(FOLDER / "digits.npz"), EIEConfig(n_pe=n_pe),
                            outputs=outputs)
    test, labels = load_digits().first(images)
    return compile_example(build, prepare(build, test), labels, folder, example=example,
                           cache=cache)


def run_program(program: Path, *arguments: str, timeout: float = 600) -> str:
    """Run a program in its folder and return its output.

    Raises
    ------
    SimulationError
        If it fails, in which case the message includes its output, or exceeds `timeout` seconds.
    """
    try:
        process = subprocess.run([str(program), *arguments], cwd=program.parent, encoding="utf-8",
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                                 stdin=subprocess.DEVNULL, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SimulationError(f"{program} did not end within {timeout:g} s") from None
    if process.returncode:
        raise SimulationError(f"{program} failed ({process.returncode})\n{process.stdout}")
    return process.stdout
