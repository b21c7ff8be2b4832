"""Designs of NNgen, whose Verilog runs in Verilator."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.extras import missing
from eie_sim.rtl import toolchain
from eie_sim.rtl.cache import make_once
from eie_sim.rtl.simulators import SimulationError, run_step
from eie_sim.rtl.toolchain import ToolError

from .nngen_design import BENCH, DESIGN, TOP, Setting, evaluate, generate
from .row import Row
from .tasks import Task, write_onnx

__all__ = ["N_IMAGES", "SETTINGS", "CountCells", "Simulated", "measure_nngen", "parse",
           "require_nngen"]

#: Settings that are measured: as many multipliers as the machine has PEs, and 256. The bus is the
#: widest of common FPGAs with a processor; with NNgen's default of 32 bits it is the bottleneck.
SETTINGS = (Setting(4, 128), Setting(8, 128), Setting(16, 128))

#: Greatest number of multipliers that is synthesised; more take very long.
_MOST_SYNTHESISED = 64

#: Pattern of the names of memories in a design.
_MEMORIES = "ram_*"

#: Images that run in Verilog. The cycles do not depend on them.
N_IMAGES = 8

#: Seconds after which a simulation is given up.
_TIMEOUT = 3600

#: Counts the cells of a design: its files, its top module, and patterns of its memories' names.
CountCells = Callable[[Mapping[str, str], str, str], dict[str, int]]


class Simulated(NamedTuple):
    """Output of the test bench: cycles (n,) and results (n, n_outputs) of its images."""

    cycles: NDArray[np.int64]
    scores: NDArray[np.int64]


def require_nngen() -> None:
    """Check that NNgen is installed.

    Raises
    ------
    ToolError
        If not. The message has the remedy.
    """
    if not find_spec("nngen"):
        raise ToolError(missing("NNgen", "to generate its designs", "peers"))


def measure_nngen(task: Task, folder: Path, *, count_cells: CountCells | None,
                  cache: str | Path | None = None,
                  progress: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """Generate each design, run images in its Verilog, and all test images in NNgen's model.

    Parameters
    ----------
    folder : :class:`~pathlib.Path`
        Folder for the network in ONNX, and for the Verilog of each setting.
    count_cells : function, optional
        Counts the cells of a design; None leaves them out.
    progress : function of :class:`str`
        Called with the name of each step as it begins: accuracy, then each of :data:`SETTINGS`.

    Raises
    ------
    SimulationError, ToolError
        If the Verilog does not compile or run, or a tool is missing.
    """
    require_nngen()
    progress(f"{task.name}: NNgen's software model")
    pruned, dense = folder / "pruned.onnx", folder / "dense.onnx"
    write_onnx(task.model, pruned)

    def score(onnx: Path) -> float:
        return task.accuracy(evaluate(onnx, task.calibration, task.images, folder))

    accuracy, dense_accuracy = score(pruned), None
    if task.dense:
        write_onnx(task.dense, dense)
        dense_accuracy = score(dense)
    for setting in SETTINGS:
        progress(f"{task.name}: {setting.name}")
        inner = folder / f"{setting.par}-{setting.bus}"
        made = generate(pruned, setting, task.calibration, task.images[:N_IMAGES], inner)
        found = _simulate(inner, cache)
        cycles, multipliers = float(found.cycles.mean()), setting.par ** 2
        files = {DESIGN: (inner / DESIGN).read_text(encoding="utf-8")}
        yield Row(
            task.name, setting.name, accuracy, dense_accuracy, task.n_weights, cycles=cycles,
            latency=cycles, multipliers=multipliers, external_bits=8 * made.parameters,
            compared=made.scores.size, differences=int((found.scores != made.scores).sum()),
            cells=count_cells(files, TOP, _MEMORIES)
            if count_cells and multipliers <= _MOST_SYNTHESISED else None)


def _simulate(folder: Path, cache: str | Path | None) -> Simulated:
    """Compile the test bench, or reuse it, and run it."""
    tool = toolchain.require_verilator()
    assert tool.path is not None
    text = (folder / BENCH).read_text(encoding="utf-8")
    command = [tool.path, "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style",
               "--top-module", "bench", "-CFLAGS", "-O0", "-j", "2", "-o", "../bench", BENCH]

    def make(entry: Path) -> None:
        (entry / BENCH).write_text(text, encoding="utf-8")
        run_step(command, entry)

    program = make_once(cache, "peer-verilator", [text, command], make) / "bench"
    run = subprocess.run([program], cwd=folder, capture_output=True, encoding="utf-8",
                         timeout=_TIMEOUT, stdin=subprocess.DEVNULL, check=False)
    return parse(run.stdout)


def parse(text: str) -> Simulated:
    """Read the output of a test bench.

    Raises
    ------
    SimulationError
        If it ended before all images had been run.
    """
    cycles = [int(number) for number in re.findall(r"^cycles +(\d+)$", text, re.M)]
    words = [int(number) for number in re.findall(r"^word +(-?\d+)$", text, re.M)]
    if len(cycles) != N_IMAGES or len(words) % N_IMAGES:
        raise SimulationError(f"the test bench of NNgen must print the cycles of {N_IMAGES} "
                              f"images, not {len(cycles)}: its output ends\n{text[-1000:]}")
    # Simulators differ in the sign of a word.
    scores = np.array(words).astype(np.int8)
    return Simulated(np.array(cycles), scores.reshape(N_IMAGES, -1).astype(np.int64))
