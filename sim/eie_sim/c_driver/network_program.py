"""Networks of the C driver on simulated Verilog: compile, link and run."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.files.json_file import write_json
from eie_compiler.graph_build import GraphBuild, Inputs
from eie_driver.c_network import network_files

from ..graph_inference import infer_graph
from .demo import MODES
from .program import DRIVER, define_arrays, link_example, run_program

__all__ = ["NetworkFigures", "NetworkRun", "compile_network_program", "measure_network",
           "run_network_program"]

#: Program that runs a network.
INFERENCES = DRIVER / "example" / "inferences.c"

_FIGURES = re.compile(
    r"inferences, arena of (?P<arena_words>\d+) words, (?P<steps>\d+) steps\n"
    r"  cycles of the first, which loads (?P<first>\d+)\n"
    r"  cycles of another +(?P<cycles>[\d.]+)\n"
    r"  results of operations saturated +(?P<saturated>\d+)\n"
    r"  outputs +(?P<outputs>\d+), 0 not as expected\n")


class NetworkRun(NamedTuple):
    """Figures of a run of a network by the C driver.

    Attributes
    ----------
    arena_words, steps : :class:`int`
        Size of the arena, and number of steps in the table.
    first : :class:`int`
        Cycles of the first inference, with loading.
    cycles : :class:`float`
        Cycles of another inference, with all accesses of the host; 0 if there was one.
    saturated : :class:`int`
        Results of operations that were beyond their format.
    outputs : :class:`int`
        Number of outputs, which all are those of the golden model.
    """

    arena_words: int
    steps: int
    first: int
    cycles: float
    saturated: int
    outputs: int


class NetworkFigures(NamedTuple):
    """Figures of a network by the C driver.

    Attributes
    ----------
    runs : :class:`dict` of :class:`str` to :class:`NetworkRun`
        Runs that poll, take interrupts, and do so on a stalling bus.
    code_bytes, constant_bytes : :class:`int`
        Size of the driver, and of the network's constants, compiled for this computer.
    """

    runs: dict[str, NetworkRun]
    code_bytes: int
    constant_bytes: int


def measure_network(build: GraphBuild, inputs: Inputs, folder: str | Path, *, words: bool = False,
                    cache: str | Path | None = None,
                    progress: Callable[[str], None] = lambda step: None) -> NetworkFigures:
    """Run a network by the C driver, and compare every output with the golden model.

    Parameters, other than `progress`, and exceptions are those of :func:`compile_network_program`
    and :func:`run_network_program`. Writes ``report.json``, too.
    """
    progress("building a simulator and the program")
    program = compile_network_program(build, inputs, folder, words=words, cache=cache)
    runs = {}
    for mode, arguments in MODES.items():
        progress(f"running the program, {mode}")
        runs[mode] = run_network_program(program, *arguments)
    figures = NetworkFigures(runs, *(
        sum(_count_bytes(program.parent / name) for name in names)
        for names in (("eie.o", "eie_network.o"), ("net.o",))))
    write_json(Path(folder) / "report.json", {
        **figures._asdict(), "runs": {mode: run._asdict() for mode, run in runs.items()}})
    return figures


def _count_bytes(path: Path) -> int:
    """Count the bytes of an object file that are code or constants."""
    text = subprocess.run(["size", str(path)], capture_output=True, check=True,
                          encoding="utf-8").stdout
    return sum(map(int, text.splitlines()[1].split()[:2]))


def compile_network_program(build: GraphBuild, inputs: Inputs, folder: str | Path, *,
                            words: bool = False, cache: str | Path | None = None) -> Path:
    """Compile a network with the driver, and link both with the machine.

    Parameters
    ----------
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network, and its machine.
    inputs, words
        As for :meth:`~eie_compiler.graph_build.GraphBuild.to_words`.
    folder : :class:`str` or :class:`~pathlib.Path`
        Folder for exported sources, objects and the program.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache folder, as for :func:`..rtl.cache.make_once`.

    Returns
    -------
    :class:`~pathlib.Path`
        Path of the program.

    Raises
    ------
    GraphError
        If the driver cannot compute the network.
    ToolError
        If Verilator or a compiler is missing or too old.
    SimulationError
        If a source does not compile without warnings.
    """
    tensors = build.to_words(inputs, words=words)
    expected = infer_graph(build, tensors.words, words=True, engine="golden").outputs
    files = {**network_files(build, name="net"), **define_arrays(
        "net_data", {"NET_N_INFERENCES": tensors.batch},
        {"net_inputs": _join(tensors.words), "net_expected": _join(expected)})}
    return link_example(build.config, files, folder, cache=cache, sources=[
        DRIVER / "eie.c", DRIVER / "eie_network.c", INFERENCES])


def run_network_program(program: Path, *arguments: str, timeout: float = 600) -> NetworkRun:
    """Run a program from :func:`compile_network_program`.

    Raises
    ------
    SimulationError
        If it fails, in which case the message includes its output: the first outputs that differ
        from the golden model's, or the status of the driver; or if it exceeds `timeout` seconds.
    """
    text = run_program(program, *arguments, timeout=timeout)
    found = _FIGURES.search(text)
    assert found, text
    return NetworkRun(**{name: float(figure) if name == "cycles" else int(figure)
                         for name, figure in found.groupdict().items()})    # type: ignore[arg-type]


def _join(tensors: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Concatenate tensors (batch, ...) as (batch, n)."""
    return np.concatenate([words.reshape(len(words), -1) for words in tensors.values()], axis=1)
