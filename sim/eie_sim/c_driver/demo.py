"""The digits demo with the C driver: polling, with interrupts, and on a stalling bus."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from eie_compiler.files.json_file import write_json

from .program import compile_digits, run_program

__all__ = ["Run", "demo_in_c", "parse"]

#: Modes of the driver, and the arguments of the program that select them.
MODES: dict[str, tuple[str, ...]] = {
    "polling": (),
    "interrupts": ("--interrupts",),
    "interrupts, stalls": ("--interrupts", "--stall=0.3"),
}

_FIGURES = re.compile(
    r"accuracy (?P<accuracy>[\d.]+) %\n"
    r"  program cycles per image +(?P<cycles>[\d.]+) \((?P<least>\d+) to (?P<greatest>\d+)\)\n"
    r"  with the host, one by one +(?P<single>[\d.]+)\n"
    r"  with the host, in a batch +(?P<batch>[\d.]+)\n"
    r"  outputs +(?P<outputs>\d+), 0 not as expected\n")


class Run(NamedTuple):
    """Figures of one run of the program.

    Attributes
    ----------
    accuracy : :class:`float`
        Share of the images that are recognised.
    cycles, least, greatest : :class:`float`
        Program cycles per image: mean, least and greatest.
    single, batch : :class:`float`
        Cycles per image with the host, one by one and in a batch.
    outputs : :class:`int`
        Number of outputs compared with the golden model.
    """

    accuracy: float
    cycles: float
    least: int
    greatest: int
    single: float
    batch: float
    outputs: int


def parse(text: str) -> Run:
    """Read the figures that the program printed.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = _FIGURES.search(text)
    if found is None:
        raise ValueError(f"the program must print its figures, not {text!r}")
    figures: dict[str, Any] = found.groupdict()
    return Run(accuracy=float(figures["accuracy"]) / 100, cycles=float(figures["cycles"]),
               least=int(figures["least"]), greatest=int(figures["greatest"]),
               single=float(figures["single"]), batch=float(figures["batch"]),
               outputs=int(figures["outputs"]))


def demo_in_c(folder: str | Path, *, n_pe: int = 16, images: int | None = None,
              progress: Callable[[str], None] = lambda step: None) -> dict[str, Run]:
    """Recognise handwritten digits by the C driver on the Verilog, simulated by Verilator.

    Parameters
    ----------
    folder : :class:`str` or :class:`~pathlib.Path`
        Folder for C sources, the program and ``report.json``.
    n_pe, images, progress
        As for :func:`~..demo.demo.demo`.

    Raises
    ------
    ToolError
        If Verilator, a compiler or scikit-learn is missing.
    SimulationError
        If an output differs from the golden model; the message lists the outputs.
    """
    folder = Path(folder)
    progress("building a simulator and the program")
    program = compile_digits(folder, n_pe=n_pe, images=images)
    runs = {}
    for mode, arguments in MODES.items():
        progress(f"running the program, {mode}")
        runs[mode] = parse(run_program(program, *arguments))
    write_json(folder / "report.json", {mode: run._asdict() for mode, run in runs.items()})
    return runs
