"""Inferences on the golden model or on simulated hardware, with their counters."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import VectorError, gather, scatter
from eie_hdl.format import COUNTERS

from .golden.model import GoldenModel, Statistics
from .rtl import cocotb_engine, verilator_engine

__all__ = ["Engine", "EngineError", "Inference", "infer", "prepare", "shape_output"]

#: Engines that run inferences.
Engine = Literal["golden", "cocotb", "verilator"]

#: Maximum number of mismatches in a summary.
_MAX_LISTED = 100


class EngineError(ValueError):
    """Unknown engine; the message lists the valid ones."""


@dataclasses.dataclass(frozen=True, eq=False)
class Inference:
    """Results of a batch.

    Attributes
    ----------
    engine : :data:`Engine`
        Engine that ran the batch.
    simulator : :class:`str`, optional
        ``verilator`` or ``icarus``; None for the golden model.
    names : :class:`list` of :class:`str`
        Layers whose results are sent to the host.
    outputs : :class:`list` of int64 (batch, n_elements)
        Results of these layers as fixed-point words, in logical order.
    counters : :class:`dict` of :class:`str` to int64 (batch,)
        Counters by name. The golden model has only those that do not depend on timing.
    entries : int64 (batch, n_pe)
        Entries processed by each PE, according to the golden model.
    mismatches : :class:`list` of :class:`~.rtl.cocotb_engine.Mismatch`
        Differences between hardware and golden model.
    overflows : :class:`int`
        Number of inferences for which the hardware reported an overflow.
    seconds : :class:`float`
        Wall-clock time, without compiling the simulator.
    waveform : :class:`~pathlib.Path`, optional
        Waveform file, if one was recorded.
    """

    engine: Engine
    simulator: str | None
    names: list[str]
    outputs: list[NDArray[np.int64]]
    counters: dict[str, NDArray[np.int64]]
    entries: NDArray[np.int64]
    mismatches: list[cocotb_engine.Mismatch]
    overflows: int
    seconds: float
    waveform: Path | None = None

    @property
    def ok(self) -> bool:
        """True if hardware and golden model agree and no accumulator overflowed."""
        return not self.mismatches and not self.overflows

    @property
    def entry_balance(self) -> float:
        """Mean over greatest number of entries of a PE; 1 if there are none."""
        busiest = self.entries.max(axis=1).sum()
        return float(self.entries.mean(axis=1).sum() / busiest) if busiest else 1.0

    @property
    def pe_utilisation(self) -> float | None:
        """Products / (cycles · PEs); None for the golden model, which has no cycles."""
        if "cycles" not in self.counters:
            return None
        cycles = self.counters["cycles"].sum() * self.entries.shape[1]
        return float(self.counters["macs"].sum() / cycles) if cycles else 0.0

    def summary(self) -> dict[str, Any]:
        """Return everything except the outputs and the waveform, as plain JSON."""
        return {
            "engine": self.engine, "simulator": self.simulator,
            "inferences": len(self.entries), "seconds": self.seconds, "outputs": self.names,
            "counters": {name: {"mean": float(values.mean()), "values": values.tolist()}
                         for name, values in self.counters.items()},
            "pe_utilisation": self.pe_utilisation, "entry_balance": self.entry_balance,
            "overflows": self.overflows, "n_mismatches": len(self.mismatches),
            "mismatches": [dataclasses.asdict(one) for one in self.mismatches[:_MAX_LISTED]]}


def prepare(build: Build, inputs: ArrayLike) -> NDArray[np.int64]:
    """Convert inputs to fixed-point words.

    Parameters
    ----------
    inputs : (batch, n_inputs) or (n_inputs,); of a convolution (batch, channels, height, width)
        Floating-point numbers, which are rounded to the format of the network's input; or
        integers, which are taken as words.

    Returns
    -------
    int64 (batch, n_inputs); for a convolution (batch · patches, n_inputs)

    Raises
    ------
    VectorError
        If the batch is empty, the shape does not match the network, or the type is not numeric.
    """
    array = np.asarray(inputs)
    what = "row"
    shape: tuple[int, ...] = (len(build.input.columns),)
    if build.patches is not None:
        what, shape = "image", build.patches.shape
    if array.ndim == len(shape):
        array = array[np.newaxis]
    if array.shape[1:] != shape or not len(array) or array.dtype.kind not in "iuf":
        raise VectorError(f"Inputs must be numbers, one {what} or more of "
                          f"{' × '.join(map(str, shape))}, not {array.dtype} of shape "
                          f"{np.shape(inputs)}")
    vectors = array if build.patches is None else build.patches.cut(array)
    return build.quantise(vectors) if array.dtype.kind == "f" \
        else build.require_words(vectors.astype(np.int64))


def shape_output(build: Build, output: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return results unchanged; those of a convolution as (batch, n_elements, height, width)."""
    return output if build.patches is None else build.patches.join(output)


def infer(build: Build, words: NDArray[np.int64], *, engine: Engine,
          simulator: str = "verilator", waves: str | None = None,
          folder: str | Path | None = None, cache: str | Path | None = None,
          load: str = "stream") -> Inference:
    """Run a batch, and compare results of the hardware with the golden model, bit by bit.

    Parameters
    ----------
    words : int64 (batch, n_inputs)
        Inputs from :func:`prepare`.
    engine : ``"golden"``, ``"cocotb"`` or ``"verilator"``
        The golden model alone; or also the hardware, in cocotb, or in Verilator without cocotb,
        which is many times faster.
    simulator, waves, folder, load
        As for :func:`.rtl.cocotb_engine.run`; for cocotb only.
    cache
        As for :func:`.rtl.cocotb_engine.run`.

    Raises
    ------
    EngineError
        If the engine is unknown.
    GoldenError, SimulationError, ToolError, DriverError, BusError
        If images are invalid, the hardware hangs, or the simulator is missing.
    """
    if engine not in get_args(Engine):
        raise EngineError(f"engine must be golden, cocotb or verilator, not {engine!r}")
    start = time.perf_counter()
    model = GoldenModel(build.config, build.images)
    placed, statistics = model.run_counted(scatter(build.input, words, build.config.n_pe),
                                           build.input.base_word)
    expected = [gather(vector, output) for vector, output in zip(build.outputs, placed)]
    names = [vector.name for vector in build.outputs]
    if engine == "golden":
        counters = {name: getattr(statistics, name) for name in COUNTERS
                    if name in Statistics._fields}
        return Inference("golden", None, names, expected, counters, statistics.entries, [], 0,
                         time.perf_counter() - start)
    if engine == "verilator":
        simulator = "verilator"
        result = verilator_engine.run(build, words, cache=cache)
    else:
        result = cocotb_engine.run(build, words, simulator=simulator, waves=waves, folder=folder,
                                   cache=cache, load=load)
    counters = {name: np.array([one[name] for one in result.counters], np.int64)
                for name in COUNTERS}
    return Inference(
        engine, simulator, names, result.outputs, counters, statistics.entries,
        [*cocotb_engine.compare(build, result.outputs, expected),
         *_compare_counters(counters, statistics)],
        int(result.overflow.sum()), result.seconds, result.waveform)


def _compare_counters(counters: dict[str, NDArray[np.int64]], statistics: Statistics
                      ) -> list[cocotb_engine.Mismatch]:
    """Compare the counters that hardware and golden model have in common."""
    return [cocotb_engine.Mismatch(f"counter {name}", 0, image, int(counters[name][image]),
                                   int(expected[image]))
            for name in counters if name in Statistics._fields
            for expected in [getattr(statistics, name)]
            for image in np.flatnonzero(counters[name] != expected).tolist()]
