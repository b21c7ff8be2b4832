"""Inferences on the golden model or on simulated hardware, with their counters."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eie_compiler.build import Build, Words
from eie_compiler.preprocessing import make_batch
from eie_compiler.vectors import output_columns
from eie_hdl.format import COUNTERS, n_result_beats

from .cycles.model import predict_back_to_back, predict_build
from .golden.build_model import BuildModel
from .golden.model import Statistics
from .rtl import cocotb_engine, verilator_engine

__all__ = ["BACK_TO_BACK", "EndToEnd", "Engine", "EngineError", "Inference", "Saturation",
           "infer", "net_cycles", "prepare", "shape_output"]

#: Counter of one inference, or of each of a batch.
Count = TypeVar("Count", int, NDArray[np.int64])

#: Engines that run inferences.
Engine = Literal["golden", "cycle-model", "cocotb", "verilator"]

#: Maximum number of mismatches in a summary.
_MAX_LISTED = 100

#: Inferences back to back of which end-to-end cycles are the mean.
BACK_TO_BACK = 32


class EngineError(ValueError):
    """Unknown engine; the message lists the valid ones."""


class Saturation(NamedTuple):
    """Saturated elements of a vector over a batch.

    Attributes
    ----------
    saturated, elements : :class:`int`
        Elements that were beyond the format, and all elements.
    least, greatest : :class:`float`
        Range of the format; that of the input is the range after preprocessing.
    """

    saturated: int
    elements: int
    least: float
    greatest: float


class EndToEnd(NamedTuple):
    """Cycles of an inference, of many back to back: what the host waits for.

    The driver loads and starts each inference as soon as an input buffer is free, and takes its
    results. Its register accesses between two inferences are included where they delay one, and so
    are cycles in which a result waits for the driver to expect it.

    Attributes
    ----------
    inferences : :class:`int`
        Number of inferences.
    cycles : :class:`float`
        Cycles from the first beat of the first input to the last beat of the last result, both
        included, divided by `inferences`.
    bound : :class:`float`
        Lower bound: the greatest of broadcasts, entries of the busiest PE, input beats and result
        beats.
    latency : :class:`int`
        Cycles of the first inference, or sequence, alone, from its last input beat to its last
        result beat. The driver starts the program between them.
    """

    inferences: int
    cycles: float
    bound: float
    latency: int


@dataclasses.dataclass(frozen=True, eq=False)
class Inference:
    """Results of a batch.

    Attributes
    ----------
    engine : :data:`Engine`
        Engine that ran the batch.
    simulator : :class:`str`, optional
        ``verilator`` or ``icarus``; None for the golden model and the cycle model.
    names : :class:`list` of :class:`str`
        Layers whose results are sent to the host.
    outputs : :class:`list` of int64 (batch, n_elements)
        Results of these layers as fixed-point words, in logical order.
    counters : :class:`dict` of :class:`str` to int64 (batch,)
        Counters by name. The golden model has only those that do not depend on timing; the cycle
        model predicts all.
    entries : int64 (batch, n_pe)
        Entries processed by each PE, according to the golden model.
    mismatches : :class:`list` of :class:`~.rtl.cocotb_engine.Mismatch`
        Differences between hardware and golden model.
    overflows : :class:`int`
        Number of inferences for which the hardware reported an overflow.
    saturation : :class:`dict` of :class:`str` to :class:`Saturation`
        Saturated elements of the input, then of the results of each layer, by name: elements beyond
        the format, which became its least or greatest number. Counted when the input is converted,
        and by the golden model; equal results of the hardware saturated equally.
    seconds : :class:`float`
        Wall-clock time, without compiling the simulator, and without `end_to_end`.
    waveform : :class:`~pathlib.Path`, optional
        Waveform file, if one was recorded.
    end_to_end : :class:`EndToEnd`, optional
        Cycles of inferences back to back, if measured or predicted.
    """

    engine: Engine
    simulator: str | None
    names: list[str]
    outputs: list[NDArray[np.int64]]
    counters: dict[str, NDArray[np.int64]]
    entries: NDArray[np.int64]
    mismatches: list[cocotb_engine.Mismatch]
    overflows: int
    saturation: dict[str, Saturation]
    seconds: float
    waveform: Path | None = None
    end_to_end: EndToEnd | None = None

    @property
    def ok(self) -> bool:
        """True if hardware and golden model agree and no accumulator overflowed."""
        return not self.mismatches and not self.overflows

    @property
    def predicted(self) -> bool:
        """True if the cycle model predicted `counters` and `end_to_end`, without any Verilog."""
        return self.engine == "cycle-model"

    @property
    def all_equal(self) -> bool:
        """True if several inferences all give the same results of the last layer."""
        last = self.outputs[-1]
        return len(last) > 1 and bool((last == last[0]).all())

    @property
    def entry_balance(self) -> float:
        """Mean over greatest number of entries of a PE; 1 if there are none."""
        busiest = self.entries.max(axis=1).sum()
        return float(self.entries.mean(axis=1).sum() / busiest) if busiest else 1.0

    @property
    def pe_utilisation(self) -> float | None:
        """Products / (program cycles · PEs); None for the golden model, which has no cycles."""
        if "cycles" not in self.counters:
            return None
        cycles = self.counters["cycles"].sum() * self.entries.shape[1]
        return float(self.counters["macs"].sum() / cycles) if cycles else 0.0

    def summary(self) -> dict[str, Any]:
        """Return everything except the outputs and the waveform, as plain JSON."""
        return {
            "engine": self.engine, "simulator": self.simulator, "predicted": self.predicted,
            "inferences": len(self.entries), "seconds": self.seconds, "outputs": self.names,
            "counters": {name: {"mean": float(values.mean()), "values": values.tolist()}
                         for name, values in self.counters.items()},
            "end_to_end": self.end_to_end and self.end_to_end._asdict(),
            "pe_utilisation": self.pe_utilisation, "entry_balance": self.entry_balance,
            "overflows": self.overflows,
            "saturation": self.describe_saturation(), "all_equal": self.all_equal,
            "n_mismatches": len(self.mismatches),
            "mismatches": [dataclasses.asdict(one) for one in self.mismatches[:_MAX_LISTED]]}

    def describe_saturation(self) -> dict[str, dict[str, Any]]:
        """Return the saturation as plain JSON."""
        return {name: one._asdict() for name, one in self.saturation.items()}


def net_cycles(counters: Mapping[str, Count]) -> Count:
    """Cycles from the start of the program to the last result in memory.

    These are the program's cycles without those in which it waits for earlier results to be sent.
    """
    return counters["cycles"] - counters["phase_output"]


def prepare(build: Build, inputs: ArrayLike, *, words: bool = False) -> NDArray[np.int64]:
    """Convert inputs to fixed-point words.

    Parameters
    ----------
    inputs : (batch, n_inputs) or (n_inputs,); of a convolution (batch, channels, height, width)
        Numbers, whether integers or floating-point, which are rounded to the format of the
        network's input.
    words : :class:`bool`
        True if `inputs` are fixed-point words already, of images or of the rows returned by
        :func:`prepare`.

    Returns
    -------
    int64 (batch, n_inputs); for a convolution (batch · patches, n_inputs)

    Raises
    ------
    VectorError
        If the batch is empty or not whole sequences, the shape does not match the network, the type
        is not numeric, or a word is not of the machine's width.
    """
    return _prepare(build, inputs, words=words).values


def _prepare(build: Build, inputs: ArrayLike, *, words: bool) -> Words:
    shape: tuple[int, ...] = (len(build.input.columns),)
    patches = build.patches
    if words and np.ndim(inputs) <= len(shape) + 1:    # patches that are cut already
        patches = None
    what, shape = ("rows", shape) if patches is None else ("images", patches.shape)
    array = make_batch(inputs, shape, what, words=words)
    return build.to_words(array if patches is None else patches.cut(array), words=words)


def shape_output(build: Build, output: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return results unchanged; those of a convolution as (batch, n_elements, height, width)."""
    return output if build.patches is None else build.patches.join(output)


def infer(build: Build, inputs: ArrayLike, *, engine: Engine, words: bool = False,
          simulator: str = "verilator", waves: str | None = None,
          folder: str | Path | None = None, cache: str | Path | None = None,
          load: str = "stream", end_to_end: bool = False) -> Inference:
    """Run a batch, and compare results of the hardware with the golden model, bit by bit.

    Parameters
    ----------
    inputs, words
        As for :func:`prepare`.
    engine : ``"golden"``, ``"cycle-model"``, ``"cocotb"`` or ``"verilator"``
        The golden model alone; with predicted counters; or also the hardware, in cocotb, or in
        Verilator without cocotb, which is many times faster.
    simulator, waves, folder, load
        As for :func:`.rtl.cocotb_engine.run`; for cocotb only.
    cache
        As for :func:`.rtl.cocotb_engine.run`.
    end_to_end : :class:`bool`
        Also measure cycles of inferences back to back, in a second run of 32 inferences, or as
        many as whole sequences have, on one machine: of the first inputs, or of all of them again
        and again; then of the first input, or sequence, alone. Their results are compared, too. The
        cycle model predicts the same. Ignored by the golden model, which has no cycles.

    Raises
    ------
    EngineError
        If the engine is unknown.
    VectorError
        As for :func:`prepare`.
    GoldenError, CycleModelError, SimulationError, ToolError, DriverError, BusError
        If images are invalid, the hardware hangs, or Numba or the simulator is missing.
    """
    if engine not in get_args(Engine):
        former = {"rtl": "cocotb", "fast": "verilator"}.get(engine)
        raise EngineError(f"engine must be golden, cycle-model, cocotb or verilator, not {engine!r}"
                          + (f", which is now {former!r}" if former else ""))
    prepared, saturated = _prepare(build, inputs, words=words)
    start = time.perf_counter()
    expected, statistics = BuildModel(build).run(prepared)
    names = [vector.name for vector in build.outputs]
    saturation = _saturation(build, saturated, statistics)
    if engine == "golden":
        counters = {name: getattr(statistics, name) for name in COUNTERS
                    if name in Statistics._fields}
        return Inference("golden", None, names, expected, counters, statistics.entries, [], 0,
                         saturation, time.perf_counter() - start)
    if engine == "cycle-model":
        counters = _stack([one.counters for one in predict_build(build, prepared)])
        predicted = _predict_end_to_end(build, prepared, statistics) if end_to_end else None
        return Inference(engine, None, names, expected, counters, statistics.entries, [], 0,
                         saturation, time.perf_counter() - start, end_to_end=predicted)
    if engine == "verilator":
        simulator = "verilator"
        result = verilator_engine.run(build, prepared, cache=cache)
    else:
        result = cocotb_engine.run(build, prepared, simulator=simulator, waves=waves,
                                   folder=folder, cache=cache, load=load)
    measured, mismatches = None, cocotb_engine.compare(build, result.outputs, expected)
    if end_to_end:
        chosen = _choose_back_to_back(build, len(prepared))
        again = (verilator_engine.run(build, prepared[chosen], cache=cache, read_counters=False,
                                      alone=True, machines=1) if engine == "verilator" else
                 cocotb_engine.run(build, prepared[chosen], simulator=simulator, cache=cache,
                                   load=load, read_counters=False, alone=True))
        assert again.latency is not None
        measured = EndToEnd(len(chosen), again.interval / len(chosen),
                            _find_bound(build, statistics.broadcasts[chosen],
                                       statistics.entries[chosen]), again.latency)
        chosen = np.append(chosen, chosen[:build.sequence_length])
        mismatches += [
            dataclasses.replace(one, image=int(chosen[one.image])) for one in
            cocotb_engine.compare(build, again.outputs, [output[chosen] for output in expected])]
    counters = _stack(result.counters)
    return Inference(
        engine, simulator, names, result.outputs, counters, statistics.entries,
        [*mismatches, *_compare_counters(counters, statistics)],
        int(result.overflow.sum()), saturation, result.seconds, result.waveform, measured)


def _stack(counters: Sequence[Mapping[str, int]]) -> dict[str, NDArray[np.int64]]:
    """Join the counters of each inference."""
    return {name: np.array([one[name] for one in counters], np.int64) for name in COUNTERS}


def _predict_end_to_end(build: Build, words: NDArray[np.int64], statistics: Statistics) -> EndToEnd:
    chosen = _choose_back_to_back(build, len(words))
    interval = predict_back_to_back(build, words[chosen]).interval
    return EndToEnd(len(chosen), interval / len(chosen),
                    _find_bound(build, statistics.broadcasts[chosen], statistics.entries[chosen]),
                    predict_back_to_back(build, words[:build.sequence_length]).latency)


def _choose_back_to_back(build: Build, n_vectors: int) -> NDArray[np.int64]:
    """Choose the inputs that are run back to back: whole sequences."""
    length = build.sequence_length
    return np.arange(-(-BACK_TO_BACK // length) * length) % n_vectors


def _find_bound(build: Build, broadcasts: NDArray[np.int64], entries: NDArray[np.int64]) -> float:
    """Lower bound of the mean cycles of inferences back to back."""
    config = build.config
    sent = sum(n_result_beats(config, n)
               for n in output_columns(config, build.program))
    received = build.input_packets(np.zeros((1, len(build.input.columns)), np.int64)).size
    return float(max(broadcasts.mean(), entries.mean(axis=0).max(), received, sent))


def _saturation(build: Build, of_inputs: NDArray[np.int64], statistics: Statistics
                ) -> dict[str, Saturation]:
    """Saturation of the input and of each layer; of a step of a recurrence, of the input alone."""
    if build.steps:    # its tiles are no layers
        return {build.input.name: Saturation(
            int(of_inputs.sum()), of_inputs.size * len(build.input.columns),
            *build.range_of(build.input))}
    counts = [of_inputs, *statistics.saturated.T]
    return {vector.name: Saturation(int(count.sum()), count.size * len(vector.columns),
                                    *build.range_of(vector))
            for vector, count in zip((build.input, *build.layers), counts, strict=True)}


def _compare_counters(counters: dict[str, NDArray[np.int64]], statistics: Statistics
                      ) -> list[cocotb_engine.Mismatch]:
    """Compare the counters that hardware and golden model have in common."""
    return [cocotb_engine.Mismatch(f"counter {name}", 0, image, int(counters[name][image]),
                                   int(expected[image]))
            for name in counters if name in Statistics._fields
            for expected in [getattr(statistics, name)]
            for image in np.flatnonzero(counters[name] != expected).tolist()]
