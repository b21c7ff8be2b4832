"""End-to-end cycles of two small networks and of three layers of the paper.

Inferences run back to back in Verilog, then one alone. All results are compared with the golden
model, and all counters and cycles with the cycle model.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from statistics import geometric_mean
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.compression.compress import compress
from eie_compiler.files.network_file import read_network
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.frontends import read_model
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_sim.cycles.model import predict_back_to_back, predict_build
from eie_sim.demo.digits import FOLDER, load_digits
from eie_sim.inference import BACK_TO_BACK, find_bound, infer, net_cycles, prepare
from eie_sim.rtl.cocotb_engine import Mismatch

from .paper.measure import make_simulators
from .paper.nine_layers import LAYERS, MACHINES, QUICK, Machine, make_inputs, make_network
from .sharing import DataError

__all__ = ["Case", "Row", "headline", "make_cases", "measure", "measure_all", "read_lenet",
           "summarise"]

#: Machine of the layers, of which only the number of PEs changes for the networks.
TUNED = MACHINES["tuned"]

#: Numbers of PEs of the networks in Verilog.
PES = (16, 64)

#: Number of PEs of the digits by the cycle model alone, as its simulator takes minutes to build.
MANY_PES = 256

#: Every how many-th training image calibrates the formats of LeNet-300-100.
CALIBRATION = 20

#: Network and its inputs, which are numbers.
Network = tuple[CompressedNetwork, NDArray[np.float64]]


class Case(NamedTuple):
    """A build, its inputs as fixed-point words, and what runs it."""

    network: str
    build: Build
    words: NDArray[np.int64]
    engine: Literal["verilator", "cycle-model"]


class Row(NamedTuple):
    """Figures of a case, per inference.

    Attributes
    ----------
    network, n_pe, engine
        Network or layer, number of PEs, and ``verilator`` or ``cycle-model``.
    inferences : :class:`int`
        Inferences back to back.
    ideal : :class:`float`
        Mean of products / PEs.
    net : :class:`float`
        Mean of net cycles.
    bound : :class:`float`
        Lower bound of end-to-end cycles.
    cycles, latency : :class:`float` and :class:`int`, optional
        End-to-end cycles and the latency of the first inference alone, as measured in Verilog.
    predicted_cycles, predicted_latency : :class:`float` and :class:`int`
        The same by the cycle model.
    compared : :class:`int`
        Number of results compared with the golden model.
    differences : :class:`list` of :class:`~eie_sim.rtl.cocotb_engine.Mismatch`
        Numbers of the machine that differ from the expected ones.
    """

    network: str
    n_pe: int
    engine: Literal["verilator", "cycle-model"]
    inferences: int
    ideal: float
    net: float
    bound: float
    cycles: float | None
    latency: int | None
    predicted_cycles: float
    predicted_latency: int
    compared: int
    differences: list[Mismatch]

    @property
    def end_to_end(self) -> float:
        """End-to-end cycles, predicted if they were not measured."""
        return self.predicted_cycles if self.cycles is None else self.cycles

    @property
    def ratio(self) -> float:
        """End-to-end cycles over ideal cycles."""
        return self.end_to_end / self.ideal


def read_lenet(model: Path, mnist: Path, seed: int) -> Network:
    """Compress LeNet-300-100, pruned already, and draw test images.

    MNIST is grouped by class, so the images are drawn at random.

    Raises
    ------
    DataError
        If images are missing.
    ArchiveError, CompressError, ModelError
        If a file cannot be read.
    """
    arrays = read_arrays(mnist)
    names = "train_images", "test_images"
    if not set(names) <= arrays.keys():
        raise DataError(f"{mnist} must contain {' and '.join(names)}, not {', '.join(arrays)}")
    train, test = (arrays[name].reshape(len(arrays[name]), -1) / 256 for name in names)
    chosen = np.random.default_rng(seed).permutation(len(test))[:BACK_TO_BACK]
    return compress(read_model(model), calibration=train[::CALIBRATION]), test[chosen]


def make_cases(lenet: Network | None, *, seed: int, all_verilog: bool = False) -> list[Case]:
    """Compile the digits, LeNet-300-100 if given, and the three quick layers of the paper.

    Parameters
    ----------
    lenet
        As from :func:`read_lenet`.
    seed : :class:`int`
        Seed of the layers and their inputs.
    all_verilog : :class:`bool`
        True to run the machine of :data:`MANY_PES` in Verilog too.

    Raises
    ------
    ToolError
        If scikit-learn, which contains the digits, is not installed.
    """
    test, _ = load_digits().first(BACK_TO_BACK)
    digits = read_network(FOLDER / "digits.npz"), test
    many = _compile("digits", digits, MANY_PES)
    networks = {"digits": digits, **({"lenet": lenet} if lenet else {})}
    return [*(_compile(name, network, n_pe) for name, network in networks.items() for n_pe in PES),
            many if all_verilog else many._replace(engine="cycle-model"),
            *(_generate(name, seed) for name in QUICK)]


def _compile(name: str, network: Network, n_pe: int) -> Case:
    machine, (compressed, inputs) = TUNED, network
    config = dataclasses.replace(machine.config, n_pe=n_pe)
    build = compile_network(compressed, config, mapping=machine.mapping)
    return Case(name, build, prepare(build, inputs), "verilator")


def _generate(name: str, seed: int) -> Case:
    layer, config = LAYERS[name], TUNED.config
    build = compile_network(make_network(layer, seed, v_width=config.v_width), config,
                            mapping=TUNED.mapping)
    words = make_inputs(layer, seed, act_width=config.act_width)
    return Case(name, build, words[np.newaxis], "verilator")


def measure_all(cases: Sequence[Case], *, cache: str | Path | None = None, workers: int = 2,
                progress: Callable[[str], None] = lambda step: None) -> Iterator[Row]:
    """Build the simulators, and measure the cases, `workers` at a time, largest first.

    Yields
    ------
    Row
        In order of completion.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If a simulator cannot be built, or the hardware hangs.
    """
    machines = {str(case.build.config.n_pe): Machine(case.build.config, TUNED.mapping)
                for case in cases if case.engine == "verilator"}
    progress("building the simulators")
    if machines:
        make_simulators(machines, cache)
    progress("running")
    largest_first = sorted(cases, key=lambda case: -case.build.report["total"]["entries"])
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(measure, case, cache=cache) for case in largest_first]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def measure(case: Case, *, cache: str | Path | None = None) -> Row:
    """Run a case and compare every number.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If the hardware hangs, or the simulator is missing.
    """
    build, words = case.build, case.words
    predictions = [prediction.counters for prediction in predict_build(build, words)]
    interval, _ = predict_back_to_back(build, words[np.arange(BACK_TO_BACK) % len(words)])
    _, latency = predict_back_to_back(build, words[:1])
    found = infer(build, words, words=True, cache=cache, end_to_end=True,
                  engine="verilator" if case.engine == "verilator" else "golden")
    measured, differences = found.end_to_end, list(found.mismatches)
    if measured:
        differences += [
            *([Mismatch("overflow", 0, 0, found.overflows, 0)] if found.overflows else []),
            *_compare("end-to-end cycles of all", round(measured.cycles * BACK_TO_BACK), interval),
            *_compare("latency", measured.latency, latency),
            *(one for image, prediction in enumerate(predictions)
              for name, expected in prediction.items()
              for one in _compare(f"counter {name}", int(found.counters[name][image]), expected,
                                  image=image))]
    # Once to read the counters, then back to back and alone.
    n_runs = len(words) + BACK_TO_BACK + 1 if measured else 0
    macs, net = (float(np.mean([read(prediction) for prediction in predictions]))
                 for read in (lambda counters: counters["macs"], net_cycles))
    return Row(
        case.network, build.config.n_pe, case.engine, BACK_TO_BACK, macs / build.config.n_pe, net,
        find_bound(build, found.counters["broadcasts"], found.entries),
        measured and measured.cycles, measured and measured.latency, interval / BACK_TO_BACK,
        latency, n_runs * sum(output.shape[1] for output in found.outputs), differences)


def _compare(what: str, got: int, predicted: int, *, image: int = 0) -> list[Mismatch]:
    return [] if got == predicted else [Mismatch(f"{what}, predicted", 0, image, got, predicted)]


def _find_mean(rows: Sequence[Row]) -> float:
    """Return the geometric mean of end-to-end cycles over ideal cycles of the layers."""
    return geometric_mean(row.ratio for row in rows if row.network in QUICK)


def headline(rows: Sequence[Row]) -> str:
    """Format the figures that changes are judged by in one line; a row left out is ``-``."""
    found = {(row.network, row.n_pe): f"{row.end_to_end:.1f}" for row in rows}
    figures = ", ".join(f"{name}{n_pe} {found.get((name, n_pe), '-')}" for name, n_pe in [
        *(("digits", n_pe) for n_pe in (*PES, MANY_PES)), ("lenet", PES[0])])
    return f"end-to-end: nine-layer subset {_find_mean(rows):.3f}, {figures}"


def summarise(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Return the rows as plain JSON."""
    return {"seed": seed, "mean_ratio": _find_mean(rows), "rows": [
        {**row._asdict(), "ratio": row.ratio,
         "differences": [dataclasses.asdict(one) for one in row.differences]} for row in rows]}
