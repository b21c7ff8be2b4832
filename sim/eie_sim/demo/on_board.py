"""Handwritten digits on a machine at a serial port, compared with the golden model."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from eie_compiler.files.network_file import read_network
from eie_compiler.lowering.compile import compile_network
from eie_compiler.vectors import dequantise
from eie_driver.accelerator import Accelerator
from eie_driver.serial_bus import SerialBus
from eie_hdl.config import EIEConfig

from ..inference import infer
from .digits import FOLDER, load_digits

__all__ = ["BoardRun", "run_digits"]


@dataclasses.dataclass(frozen=True)
class BoardRun:
    """Result of a run.

    Attributes
    ----------
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine, as it describes itself.
    images : :class:`int`
        Images.
    accuracy : :class:`float`
        Part of them that the machine recognises.
    mismatches : :class:`int`
        Outputs that differ from those of the golden model.
    cycles : :class:`float`
        Mean clock cycles of a program, by the counter of the machine.
    load_seconds, run_seconds : :class:`float`
        Time to load the network, and to run all images, with the transfers.
    repeats : :class:`int`
        Requests that were sent again.
    """

    config: EIEConfig
    images: int
    accuracy: float
    mismatches: int
    cycles: float
    load_seconds: float
    run_seconds: float
    repeats: int


def run_digits(bus: SerialBus, *, images: int | None = None,
               progress: Callable[[str], object] = lambda step: None) -> BoardRun:
    """Run held-out digits on the machine, whichever configuration it has.

    Parameters
    ----------
    bus : :class:`~eie_driver.serial_bus.SerialBus`
        Bus to the machine.
    images : :class:`int`, optional
        Number of images, 360 at most; all by default.
    progress : function of :class:`str`
        Called with the name of each step as it begins.

    Raises
    ------
    DriverError, BusError
        If the machine does not respond, or reports an error.
    CompileError
        If the network does not fit the machine.
    ToolError
        If scikit-learn, which has the images, is missing.
    """
    test, labels = load_digits().first(images)
    progress("looking for the machine")
    machine = Accelerator(bus)
    progress("clearing the machine")
    machine.reset()
    build = compile_network(read_network(FOLDER / "digits.npz"), machine.config)
    words = build.to_words(test, words=False).values

    progress("loading the network")
    start = time.perf_counter()
    machine.load(build)
    loaded = time.perf_counter()
    progress(f"running {len(test)} images")
    run = machine.run(words, words=True)
    end = time.perf_counter()

    expected = infer(build, words, words=True, engine="golden").outputs
    scores = dequantise(run.outputs[-1], build.outputs[-1].frac)
    return BoardRun(
        config=machine.config, images=len(test),
        accuracy=float((scores.argmax(axis=1) == labels).mean()),
        mismatches=sum(int((ours != theirs).sum())
                       for ours, theirs in zip(run.outputs, expected, strict=True)),
        cycles=float(np.mean([counters["cycles"] for counters in run.counters])),
        load_seconds=loaded - start, run_seconds=end - loaded, repeats=bus.link.repeats)
