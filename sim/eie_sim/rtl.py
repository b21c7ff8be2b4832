"""Inferences in the simulated Verilog, and the comparison of what comes out."""

import contextlib
import dataclasses
import functools
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_hdl.config import ACTS_PER_WORD, EIEConfig
from eie_hdl.emit import emit
from eie_hdl.format import COUNTERS, Layouts, unpack

from .simulators import SimulationError, build_model, run_bench
from .vectors import gather, input_packets, model_packets

__all__ = ["BUILD_ROOT", "Mismatch", "RtlResult", "compare", "run"]

#: Where models are kept from one run to the next.
BUILD_ROOT = Path("build/models")


@dataclasses.dataclass(frozen=True, eq=False)
class RtlResult:
    """What the hardware answered.

    Attributes
    ----------
    outputs : :class:`list` of int64 (batch, n_elements)
        Each output of the program, in logical order.
    counters : :class:`list` of :class:`dict`
        The counters at the end of each inference, by the names of
        :data:`eie_hdl.format.COUNTERS`.
    overflow : bool (batch,)
        Whether an accumulator has overflowed.
    overflow_tile : int64 (batch,)
        Number of the tile in which it did so first, counted from the start of the program; of no
        meaning where there was none.
    cycles : :class:`int`
        Clock cycles of all, loading included.
    seconds : :class:`float`
        Time that the simulation took, the making of the model aside.
    """

    outputs: list[NDArray[np.int64]]
    counters: list[dict[str, int]]
    overflow: NDArray[np.bool_]
    overflow_tile: NDArray[np.int64]
    cycles: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """One number that is not what it should be."""

    layer: str
    row: int
    image: int
    got: int
    expected: int

    def __str__(self) -> str:
        return (f"layer {self.layer}, row {self.row}, image {self.image}: got {self.got}, "
                f"expected {self.expected}")


def run(build: Build, inputs: NDArray[np.int64], *, simulator: str = "verilator",
        build_root: str | Path = BUILD_ROOT, folder: str | Path | None = None,
        waves: str | None = None, load: str = "images", pause: float = 0.0, seed: int = 1,
        timeout: float = 600) -> RtlResult:
    """Run inferences, one after the other, in a simulation of the Verilog.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Network to run, and the machine that runs it.
    inputs : int64 (batch, n_inputs)
        Fixed-point inputs, in logical order.
    simulator : :class:`str`
        ``verilator`` or ``icarus``.
    build_root : :class:`str` or :class:`~pathlib.Path`
        Where models are kept from one run to the next.
    folder : :class:`str` or :class:`~pathlib.Path`, optional
        Where the images, the log and the waveform go. Left out, it is a temporary one.
    waves : :class:`str`, optional
        Instance that is recorded with what is in it, such as ``pe_3``; everything if empty.
        Needs `folder`.
    load : :class:`str`
        ``images`` puts the network into the memories by ``$readmemh``, ``stream`` sends it through
        the load stream.
    pause : :class:`float`
        Probability, at each beat, of a cycle in which the host does not offer or does not take.
    seed : :class:`int`
        Of the pauses.
    timeout : :class:`float`, seconds
        Then the simulator is killed.

    Raises
    ------
    SimulationError
        If the machine hangs, sends something that is no result, or the simulation fails.
    ToolError
        If the simulator is missing.
    """
    if load not in ("images", "stream"):
        raise ValueError(f"load must be images or stream, not {load!r}")
    if not 0 <= pause < 1:
        raise ValueError(f"pause must be a probability below 1, not {pause}")
    if waves is not None and folder is None:
        raise ValueError("folder must be given where waves are wanted: it is where they go")
    _check_instance(build, waves)
    lengths = _output_lengths(build)
    nothing = np.zeros(0, np.uint64)
    job: dict[str, Any] = {
        "model": model_packets(build.config, build.images) if load == "stream" else nothing,
        "inputs": input_packets(build.config, build.input, inputs), "start": 0,
        "deadline": _deadline(build), "n_vectors": len(lengths),
        "counters": np.array(list(COUNTERS)), "pause": pause, "seed": seed}

    model = build_model(_verilog(build.config), top="eie", simulator=simulator,
                        build_root=build_root, waves=waves, repeated=["eie_pe"])
    with _job_folder(folder) as path:
        plusargs = []
        if load == "images":
            build.write_images(path / "images")
            plusargs = ["+eie_images=images"]
        np.savez(path / "job.npz", allow_pickle=False, **job)
        begin = time.perf_counter()
        run_bench(model, "bench_eie", path, plusargs=plusargs, timeout=timeout,
                  environment={"EIE_JOB": str(path)})
        seconds = time.perf_counter() - begin
        with np.load(path / "results.npz", allow_pickle=False) as arrays:
            payloads, unknown = arrays["payloads"], arrays["unknown"]
        answer = json.loads((path / "results.json").read_text())

    inferences = answer["inferences"]
    return RtlResult(
        outputs=_split(build, lengths, len(inputs), payloads, unknown),
        counters=[{name: inference[name] for name in COUNTERS} for inference in inferences],
        overflow=np.array([inference["overflow"] for inference in inferences], np.bool_),
        overflow_tile=np.array([inference["overflow_tile"] for inference in inferences], np.int64),
        cycles=answer["cycles"], seconds=seconds)


def compare(build: Build, got: Sequence[NDArray[np.int64]],
            expected: Sequence[NDArray[np.int64]]) -> list[Mismatch]:
    """Every number that differs, in outputs in logical order.

    Raises
    ------
    ValueError
        If the shapes differ, so that numbers cannot be compared.
    """
    shapes = [array.shape for array in got], [array.shape for array in expected]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Outputs must have the shapes {shapes[1]}, not {shapes[0]}")
    return [Mismatch(vector.name, row, image, int(ours[image, row]), int(theirs[image, row]))
            for vector, ours, theirs in zip(build.outputs, got, expected, strict=True)
            for image, row in np.argwhere(ours != theirs).tolist()]


@functools.cache
def _verilog(config: EIEConfig) -> dict[str, str]:
    """Seconds of work, often for the same machine again."""
    return emit(config).files


def _check_instance(build: Build, waves: str | None) -> None:
    """Verilator says nothing of an instance that does not exist, and records nothing."""
    n_pe = build.config.n_pe
    if waves and waves not in {"ccu", *(f"pe_{pe}" for pe in range(n_pe))}:
        raise ValueError(f"waves must be ccu, or pe_0 to pe_{n_pe - 1}, or empty for everything, "
                         f"not {waves!r}")


def _program(build: Build) -> dict[str, Any]:
    """Fields of the descriptors, up to the first that is final."""
    shape = Layouts(build.config).descriptor
    words = build.images["ccu.program"]
    final = np.flatnonzero(unpack(shape, words)["final"])
    return unpack(shape, words[:final[0] + 1] if final.size else words)


def _output_lengths(build: Build) -> list[int]:
    """Elements of each vector that the program sends to the host."""
    start = _program(build)["start"]
    words = start["last_word"][start["dense"] == 1] + 1
    lengths: list[int] = (words * ACTS_PER_WORD * build.config.n_pe).tolist()
    return lengths


def _deadline(build: Build) -> int:
    """Cycles in which any program of this length moves something, with room to spare."""
    config, start = build.config, _program(build)["start"]
    scanned = int((start["last_word"] + 1).sum()) * ACTS_PER_WORD * config.n_pe
    entries = config.entries_per_word * max(
        len(image) for name, image in build.images.items() if name.endswith(".spmat"))
    return 4 * (scanned + entries + len(start["dense"]) * (8 * config.acc_depth + 500))


@contextlib.contextmanager
def _job_folder(folder: str | Path | None) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="eie-") as temporary:
            yield Path(temporary)
    else:
        path = Path(folder).resolve()
        path.mkdir(parents=True, exist_ok=True)
        yield path


def _split(build: Build, lengths: list[int], batch: int, payloads: NDArray[np.uint64],
           unknown: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Sort what came out into vectors, checked to be whole and in order."""
    fields = unpack(Layouts(build.config).result, payloads[:, np.newaxis])
    last = np.tile(np.concatenate([np.arange(length) == length - 1 for length in lengths]), batch)
    column = np.tile(np.concatenate([np.arange(length) for length in lengths]), batch)
    if len(payloads) != len(column):
        raise SimulationError(f"{len(payloads)} results came out, not {len(column)}")
    bad = (fields["column"] != column) | (fields["last"] != last)
    bad[unknown] = True
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        what = "has unknown bits" if first in unknown else \
            f"is column {fields['column'][first]} with last = {fields['last'][first]}"
        raise SimulationError(f"Result {first} {what}, not column {column[first]} with last = "
                              f"{int(last[first])}")
    values = fields["value"].reshape(batch, -1)
    ends = np.cumsum(lengths)
    return [gather(vector, values[:, end - length:end])
            for vector, length, end in zip(build.outputs, lengths, ends, strict=True)]
