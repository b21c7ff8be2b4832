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
from eie_compiler.files.network_file import read_network
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_sim.demo.digits import FOLDER, load_digits
from eie_sim.inference import BACK_TO_BACK, EndToEnd, Inference, infer, net_cycles, prepare
from eie_sim.rtl.cocotb_engine import Mismatch

from .lenet import prepare_lenet
from .paper.measure import make_simulators
from .paper.nine_layers import LAYERS, MACHINES, QUICK, Machine, make_inputs, make_network
from .sharing import DataError

__all__ = ["PES", "Case", "Row", "headline", "make_case", "make_cases", "measure", "measure_all",
           "read_digits", "read_lenet", "summarise"]

#: Machine of the layers, of which only the number of PEs changes for the networks.
TUNED = MACHINES["tuned"]

#: Numbers of PEs of the networks in Verilog.
PES = (16, 64)

#: Number of PEs of the digits by the cycle model alone, as its simulator takes minutes to build.
MANY_PES = 256

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
    network : :class:`str`
        Network or layer.
    n_pe : :class:`int`
        Number of PEs.
    ideal, net : :class:`float`
        Means of products / PEs, and of net cycles.
    measured : :class:`~eie_sim.inference.EndToEnd`, optional
        End-to-end cycles in Verilog; None by the cycle model.
    predicted : :class:`~eie_sim.inference.EndToEnd`
        End-to-end cycles by the cycle model.
    compared : :class:`int`
        Number of results compared with the golden model.
    differences : :class:`list` of :class:`~eie_sim.rtl.cocotb_engine.Mismatch`
        Numbers of the machine that differ from the expected ones.
    """

    network: str
    n_pe: int
    ideal: float
    net: float
    measured: EndToEnd | None
    predicted: EndToEnd
    compared: int
    differences: list[Mismatch]

    @property
    def cycles(self) -> float:
        """End-to-end cycles, predicted if they were not measured."""
        return (self.measured or self.predicted).cycles

    @property
    def ratio(self) -> float:
        """End-to-end cycles over ideal cycles."""
        return self.cycles / self.ideal


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
    lenet = prepare_lenet(model, arrays, seed)
    return lenet.network, lenet.images[:BACK_TO_BACK]


def read_digits() -> Network:
    """Read the network of the demo and held-out digits.

    Raises
    ------
    ToolError
        If scikit-learn, which contains the digits, is not installed.
    """
    test, _ = load_digits().first(BACK_TO_BACK)
    return read_network(FOLDER / "digits.npz"), test


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
    networks = {"digits": read_digits(), **({"lenet": lenet} if lenet else {})}
    many = make_case("digits", networks["digits"], MANY_PES)
    return [*(make_case(name, network, n_pe) for name, network in networks.items() for n_pe in PES),
            many if all_verilog else many._replace(engine="cycle-model"),
            *(_generate(name, seed) for name in QUICK)]


def make_case(name: str, network: Network, n_pe: int) -> Case:
    """Compile a network for the machine of the layers with `n_pe` PEs, to run in Verilog."""
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
    predicted = infer(build, words, words=True, engine="cycle-model", end_to_end=True)
    measured, differences, n_runs = None, [], 0
    if case.engine == "verilator":
        measured = infer(build, words, words=True, engine="verilator", cache=cache,
                         end_to_end=True)
        differences = [*measured.mismatches, *_compare(measured, predicted)]
        n_runs = len(words) + BACK_TO_BACK + 1    # for the counters, back to back, and alone
    found, n_pe = measured or predicted, build.config.n_pe
    assert predicted.end_to_end is not None
    return Row(case.network, n_pe, float(found.counters["macs"].mean()) / n_pe,
               float(net_cycles(found.counters).mean()), measured.end_to_end if measured else None,
               predicted.end_to_end, n_runs * sum(output.shape[1] for output in found.outputs),
               differences)


def _compare(found: Inference, predicted: Inference) -> Iterator[Mismatch]:
    """Compare cycles and all counters of the machine with the prediction; check for overflows."""
    if found.overflows:
        yield Mismatch("overflow", 0, 0, found.overflows, 0)
    for name, values in _count(predicted).items():
        got = _count(found)[name]
        for image in np.flatnonzero(got != values).tolist():
            yield Mismatch(f"{name}, predicted", 0, image, int(got[image]), int(values[image]))


def _count(inference: Inference) -> dict[str, NDArray[np.int64]]:
    """Return the counters of each inference, the cycles of all back to back, and the latency."""
    assert inference.end_to_end is not None
    return {**{f"counter {name}": values for name, values in inference.counters.items()},
            "end-to-end cycles of all": np.array([inference.end_to_end.cycles * BACK_TO_BACK]),
            "latency": np.array([inference.end_to_end.latency])}


def _find_mean(rows: Sequence[Row]) -> float:
    """Return the geometric mean of end-to-end cycles over ideal cycles of the layers."""
    return geometric_mean(row.ratio for row in rows if row.network in QUICK)


def headline(rows: Sequence[Row]) -> str:
    """Format the figures that changes are judged by in one line; a row left out is ``-``."""
    found = {(row.network, row.n_pe): f"{row.cycles:.1f}" for row in rows}
    figures = ", ".join(f"{name}{n_pe} {found.get((name, n_pe), '-')}" for name, n_pe in [
        *(("digits", n_pe) for n_pe in (*PES, MANY_PES)), ("lenet", PES[0])])
    return f"end-to-end: nine-layer subset {_find_mean(rows):.3f}, {figures}"


def summarise(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Return the rows as plain JSON."""
    return {"seed": seed, "mean_ratio": _find_mean(rows), "rows": [
        {**row._asdict(), "ratio": row.ratio, "predicted": row.predicted._asdict(),
         "measured": row.measured and row.measured._asdict(),
         "differences": [dataclasses.asdict(one) for one in row.differences]} for row in rows]}
