"""Inferences by the golden model or by the hardware, with their counters."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build
from eie_compiler.vectors import VectorError, gather, quantise, scatter
from eie_hdl.format import COUNTERS

from .golden.model import GoldenModel, Statistics
from .rtl import cocotb_engine, verilator_engine

__all__ = ["Engine", "EngineError", "Inference", "infer", "prepare", "shape_output"]

#: Engines that run inferences.
Engine = Literal["golden", "cocotb", "verilator"]

#: Mismatches that the summary lists.
_MAX_LISTED = 100


class EngineError(ValueError):
    """An engine that does not exist; the message lists those that do."""


@dataclasses.dataclass(frozen=True, eq=False)
class Inference:
    """Results of a batch.

    Attributes
    ----------
    engine : :data:`Engine`
        The engine that ran it.
    simulator : :class:`str`, optional
        ``verilator`` or ``icarus``; None for the golden model.
    names : :class:`list` of :class:`str`
        Layers whose results came out.
    outputs : :class:`list` of int64 (batch, n_elements)
        Their results as fixed-point words, in logical order.
    counters : :class:`dict` of :class:`str` to int64 (batch,)
        Counters by name. The golden model knows only what does not depend on time.
    entries : int64 (batch, n_pe)
        Entries that each PE walked, after the golden model.
    mismatches : :class:`list` of :class:`~.rtl.cocotb_engine.Mismatch`
        Where hardware and golden model differ.
    overflows : :class:`int`
        Images for which the hardware reported an overflow.
    seconds : :class:`float`
        Time taken, the making of a simulator aside.
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

    @property
    def ok(self) -> bool:
        """Whether hardware and golden model agree, without an overflow."""
        return not self.mismatches and not self.overflows

    @property
    def entry_balance(self) -> float:
        """Mean over greatest number of entries that a PE walked; 1 if there are none."""
        busiest = self.entries.max(axis=1).sum()
        return float(self.entries.mean(axis=1).sum() / busiest) if busiest else 1.0

    @property
    def pe_utilisation(self) -> float | None:
        """Products over cycles times PEs; `None` for the golden model, which has no cycles."""
        if "cycles" not in self.counters:
            return None
        cycles = self.counters["cycles"].sum() * self.entries.shape[1]
        return float(self.counters["macs"].sum() / cycles) if cycles else 0.0

    def summary(self) -> dict[str, Any]:
        """All but the outputs, as plain JSON."""
        return {
            "engine": self.engine, "simulator": self.simulator,
            "inferences": len(self.entries), "seconds": self.seconds, "outputs": self.names,
            "counters": {name: {"mean": float(values.mean()), "values": values.tolist()}
                         for name, values in self.counters.items()},
            "pe_utilisation": self.pe_utilisation, "entry_balance": self.entry_balance,
            "overflows": self.overflows, "n_mismatches": len(self.mismatches),
            "mismatches": [dataclasses.asdict(one) for one in self.mismatches[:_MAX_LISTED]]}


def prepare(build: Build, inputs: ArrayLike) -> NDArray[np.int64]:
    """Fixed-point words of inputs.

    Parameters
    ----------
    inputs : (batch, n_inputs) or (n_inputs,); of a convolution (batch, channels, height, width)
        Floating-point numbers, which are rounded to the format of the network's input; or
        integers, which are such words already.

    Returns
    -------
    int64 (batch, n_inputs); of a convolution (batch · patches, n_inputs)

    Raises
    ------
    VectorError
        If there are none, or of another number than the network has, or they are not numbers.
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
    words = (quantise(array, build.input.frac, build.config.act_width)
             if array.dtype.kind == "f" else array.astype(np.int64))
    return words if build.patches is None else build.patches.cut(words)


def shape_output(build: Build, output: NDArray[np.int64]) -> NDArray[np.int64]:
    """Results (batch, n_elements) as they are; of a convolution (batch, n_elements, height, width).
    """
    return output if build.patches is None else build.patches.join(output)


def infer(build: Build, words: NDArray[np.int64], *, engine: Engine,
          simulator: str = "verilator", waves: str | None = None,
          folder: str | Path | None = None, build_root: str | Path | None = None,
          load: str = "stream") -> Inference:
    """Run a batch. What the hardware answers is compared with the golden model, bit by bit.

    Parameters
    ----------
    words : int64 (batch, n_inputs)
        Inputs as from :func:`prepare`.
    engine : ``"golden"``, ``"cocotb"`` or ``"verilator"``
        The golden model alone; the hardware as well, in cocotb; or in Verilator without cocotb,
        which is many times as fast.
    simulator, waves, folder, load
        As for :func:`.rtl.cocotb_engine.run`, with cocotb only.
    build_root
        As for :func:`.rtl.cocotb_engine.run`.

    Raises
    ------
    EngineError
        If there is no such engine.
    GoldenError, SimulationError, ToolError, DriverError, BusError
        If images are broken, the hardware hangs, or the simulator is missing.
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
        result = verilator_engine.run(build, words, build_root=build_root)
    else:
        result = cocotb_engine.run(build, words, simulator=simulator, waves=waves, folder=folder,
                                   build_root=build_root, load=load)
    counters = {name: np.array([one[name] for one in result.counters], np.int64)
                for name in COUNTERS}
    return Inference(
        engine, simulator, names, result.outputs, counters, statistics.entries,
        [*cocotb_engine.compare(build, result.outputs, expected),
         *_compare_counters(counters, statistics)],
        int(result.overflow.sum()), result.seconds)


def _compare_counters(counters: dict[str, NDArray[np.int64]], statistics: Statistics
                      ) -> list[cocotb_engine.Mismatch]:
    """Counters that both sides know."""
    return [cocotb_engine.Mismatch(f"counter {name}", 0, image, int(counters[name][image]),
                                   int(expected[image]))
                      for name in counters if name in Statistics._fields
                      for expected in [getattr(statistics, name)]
                      for image in np.flatnonzero(counters[name] != expected).tolist()]
