"""Runs of layers on machines, in Verilog with every number compared or by the cycle model."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.cycles.model import Prediction, predict
from eie_sim.cycles.steps import build_steps, layer_steps
from eie_sim.inference import EndToEnd, infer, net_cycles
from eie_sim.rtl.cocotb_engine import Mismatch
from eie_sim.rtl.verilator_engine import make_library

from .bounds import Bounds, find_bounds
from .nine_layers import CLOCK_MHZ, Machine, PaperLayer, make_inputs, make_network

__all__ = ["Engine", "Measurement", "Stored", "count_products", "make_simulators", "measure",
           "measure_all"]

#: Engines that can measure a layer.
Engine = Literal["verilator", "cycle-model"]


class Stored(NamedTuple):
    """Storage of a layer in all PEs together.

    Attributes
    ----------
    entries, paddings : :class:`int`
        Entries, and how many of them are padding.
    entry_bits : :class:`int`
        Bits of an entry.
    pointers, pointer_bits : :class:`int`
        Pointers, and bits of a pointer.
    tiles, source_words, drained_words : :class:`int`
        Tiles, and the words of activations that a PE scans and writes in all tiles.
    """

    entries: int
    paddings: int
    entry_bits: int
    pointers: int
    pointer_bits: int
    tiles: int
    source_words: int
    drained_words: int


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """One layer on one machine.

    Attributes
    ----------
    layer : :class:`~.nine_layers.PaperLayer`
        The layer.
    machine, engine : :class:`str`
        Name of the machine; ``verilator`` or ``cycle-model``.
    config : :class:`~eie_hdl.config.EIEConfig`
        The machine.
    nonzeros, products : :class:`int`
        Nonzero weights, and those of them that are multiplied by a nonzero activation.
    counters : :class:`dict`
        Counters of the machine, or their prediction.
    entries : int64 (n_pe,)
        Entries that each PE walked.
    stored : :class:`Stored`
        Memory contents.
    bounds : :class:`~.bounds.Bounds`
        Lower bounds of the cycles.
    outputs : :class:`int`
        Number of results compared with the golden model; 0 for the cycle model.
    differences : :class:`list` of :class:`~eie_sim.rtl.cocotb_engine.Mismatch`
        Results of the machine that differ from the expected ones.
    end_to_end : :class:`~eie_sim.inference.EndToEnd`, optional
        Cycles of inferences back to back, transfers included; None for the cycle model.
    seconds, model_seconds : :class:`float`
        Time of the simulation including the loading of the memories, 0 by the cycle model; time
        of the cycle model from weights to prediction.
    """

    layer: PaperLayer
    machine: str
    engine: Engine
    config: EIEConfig
    nonzeros: int
    products: int
    counters: dict[str, int]
    entries: NDArray[np.int64]
    stored: Stored
    bounds: Bounds
    outputs: int
    differences: list[Mismatch]
    end_to_end: EndToEnd | None
    seconds: float
    model_seconds: float

    @property
    def ideal(self) -> float:
        """Cycles if every PE multiplied in every cycle: products / PEs."""
        return self.products / self.config.n_pe

    @property
    def cycles(self) -> int:
        """Net cycles: from the start of the program to the last result in memory."""
        return net_cycles(self.counters)

    @property
    def ratio(self) -> float:
        """Net cycles over ideal cycles."""
        return self.cycles / self.ideal

    @property
    def entry_balance(self) -> float:
        """Mean over greatest number of entries of a PE."""
        return float(self.entries.mean() / self.entries.max())

    @property
    def padding(self) -> float:
        """Share of the entries walked that are padding."""
        return self.counters["paddings"] / int(self.entries.sum())

    @property
    def microseconds(self) -> float:
        """Time in µs at the clock rate of the paper."""
        return self.cycles / CLOCK_MHZ

    def summary(self) -> dict[str, Any]:
        """Return all values as plain JSON."""
        return {
            "layer": self.layer.name, "machine": self.machine, "engine": self.engine,
            "nonzeros": self.nonzeros, "products": self.products, "ideal_cycles": self.ideal,
            "cycles": self.cycles, "ratio": self.ratio, "padding": self.padding,
            "entry_balance": self.entry_balance, "microseconds": self.microseconds,
            "end_to_end": self.end_to_end and self.end_to_end._asdict(),
            "counters": self.counters, "entries": self.entries.tolist(),
            "stored": self.stored._asdict(), "bounds": self.bounds._asdict(),
            "outputs_compared": self.outputs, "seconds": self.seconds,
            "model_seconds": self.model_seconds,
            "differences": [dataclasses.asdict(one) for one in self.differences]}


def make_simulators(machines: Mapping[str, Machine], cache: str | Path | None = None) -> None:
    """Build the simulators of all machines in parallel, except those in the cache.

    Raises
    ------
    SimulationError, ToolError
        If a simulator cannot be built, or Verilator is missing.
    """
    with ThreadPoolExecutor(len(machines)) as pool:
        list(pool.map(lambda machine: make_library(machine.config, cache),
                      machines.values()))


def measure_all(layers: Sequence[PaperLayer], machines: Mapping[str, Machine], *, seed: int,
                engine: Engine = "verilator", cache: str | Path | None = None, workers: int = 2
                ) -> Iterator[Measurement]:
    """Measure each layer on each machine, `workers` at a time, layers with most columns first.

    Yields
    ------
    Measurement
        In order of completion.
    """
    largest_first = sorted(layers, key=lambda layer: -layer.n_inputs)
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(measure, layer, name, machine, seed=seed, engine=engine,
                            cache=cache)
                for layer in largest_first for name, machine in machines.items()]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def measure(layer: PaperLayer, name: str, machine: Machine, *, seed: int,
            engine: Engine = "verilator", cache: str | Path | None = None) -> Measurement:
    """Measure one layer on one machine.

    In Verilator, every result and every counter that the golden model knows is compared with it,
    all counters with the cycle model, and the entries multiplied with the matrix itself.

    Raises
    ------
    CompileError
        If the machine cannot hold the layer.
    SimulationError, ToolError, DriverError, BusError
        If the hardware hangs, or the simulator is missing.
    """
    config = machine.config
    network = make_network(layer, seed, v_width=config.v_width)
    words = make_inputs(layer, seed, act_width=config.act_width)
    build = compile_network(network, config, mapping=machine.mapping)
    start = time.perf_counter()
    predict(config, layer_steps(config, network.layers[0], machine.mapping, words))
    model_seconds = time.perf_counter() - start
    # Predict from the memory images, which are what the machine is given.
    (steps,) = build_steps(build, words[np.newaxis])
    prediction = predict(config, steps)
    products = count_products(network, words)

    counters, differences, outputs, seconds = prediction.counters, [], 0, 0.0
    end_to_end = None
    if engine == "verilator":
        inference = infer(build, words[np.newaxis], words=True, engine="verilator", cache=cache,
                          end_to_end=True)
        counters = {counter: int(values[0]) for counter, values in inference.counters.items()}
        differences = [*inference.mismatches, *_compare(counters, prediction, products)]
        if inference.overflows:
            differences.append(Mismatch("overflow", 0, 0, 1, 0))
        outputs, seconds = sum(map(np.size, inference.outputs)), inference.seconds
        end_to_end = inference.end_to_end
    return Measurement(
        layer, name, engine, config, network.layers[0].n_nonzeros, products, counters,
        prediction.entries, _describe(build), find_bounds(config, steps), outputs, differences,
        end_to_end, seconds, model_seconds)


def count_products(network: CompressedNetwork, words: NDArray[np.int64]) -> int:
    """Count the nonzero weights of the first layer in columns with a nonzero activation."""
    return int(np.diff(network.layers[0].codes.indptr)[words != 0].sum())


def _compare(counters: Mapping[str, int], prediction: Prediction, products: int) -> list[Mismatch]:
    """Compare the counters with the prediction, and the products with those of the matrix."""
    expected = [*((name, f"counter {name}, predicted", number)
                  for name, number in prediction.counters.items()),
                ("macs", "counter macs, products of the matrix", products)]
    return [Mismatch(what, 0, 0, counters[name], number)
            for name, what, number in expected if counters[name] != number]


def _describe(build: Build) -> Stored:
    config, layer = build.config, build.report["layers"][0]
    layouts = Layouts.of(config)
    program = unpack(layouts.descriptor, build.images["ccu.program"])
    tiles = program["start"]["send"] == 0
    return Stored(
        entries=layer["entries"], paddings=layer["paddings"], entry_bits=config.entry_width,
        pointers=config.n_pe * (layer["tiles"] * layer["columns"] + 1),
        pointer_bits=Shape.cast(layouts.ptr).width, tiles=layer["tiles"],
        source_words=int((program["start"]["last_word"][tiles] + 1).sum()),
        drained_words=int((program["end"]["last_word"][tiles] + 1).sum()))
