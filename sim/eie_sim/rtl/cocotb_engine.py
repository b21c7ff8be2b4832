"""Engine ``cocotb``: inferences in simulated Verilog, and comparison of outputs."""

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.build import Build
from eie_compiler.cycle_bound import bound_cycles

from .cocotb_bench import run_bench
from .simulators import compile_design
from .verilator_host import verilog

__all__ = ["Mismatch", "SimulationResult", "compare", "deadline", "job_folder", "run"]


@dataclasses.dataclass(frozen=True, eq=False)
class SimulationResult:
    """Outputs and counters of simulated hardware.

    Attributes
    ----------
    outputs : :class:`list` of int64 (batch, n_elements)
        Each output of the program, in logical order.
    counters : :class:`list` of :class:`dict`
        Counters at the end of each inference, by the names in
        :data:`eie_hdl.format.COUNTERS`.
    overflow : bool (batch,)
        True if an accumulator overflowed. Empty without counters.
    overflow_tile : int64 (batch,)
        First tile with an overflow, counted from the start of the program; undefined where
        `overflow` is false.
    cycles : :class:`int`
        Clock cycles of all inferences, loading included.
    interval : :class:`int`
        Clock cycles from the first beat of the first input to the last beat of the last result,
        both included; of all machines together.
    latency : :class:`int`, optional
        Clock cycles from the last input beat to the last result beat of an inference, or sequence,
        alone, if it was run.
    seconds : :class:`float`
        Time of the simulation, without compiling the simulator.
    traffic : :class:`dict` of :class:`str` to :class:`int`
        Bus traffic: ``reads`` and ``writes`` of registers, ``packets`` and ``beats`` to the
        machine, ``result_packets`` and ``result_beats`` from it.
    waveform : :class:`~pathlib.Path`, optional
        Waveform file, if one was recorded.
    """

    outputs: list[NDArray[np.int64]]
    counters: list[dict[str, int]]
    overflow: NDArray[np.bool_]
    overflow_tile: NDArray[np.int64]
    cycles: int
    interval: int
    latency: int | None
    seconds: float
    traffic: dict[str, int] = dataclasses.field(default_factory=dict)
    waveform: Path | None = None


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """One output or counter that differs from its reference."""

    layer: str
    row: int
    image: int
    got: int
    expected: int

    def __str__(self) -> str:
        return (f"layer {self.layer}, row {self.row}, image {self.image}: got {self.got}, "
                f"expected {self.expected}")


def run(build: Build, inputs: NDArray[np.int64], *, simulator: str = "verilator",
        cache: str | Path | None = None, folder: str | Path | None = None,
        waves: str | None = None, load: str = "stream", read_counters: bool = True,
        alone: bool = False, pause: float = 0.0, seed: int = 1, timeout: float = 600,
        bench: str = "bench_eie", files: Mapping[str, str] | None = None) -> SimulationResult:
    """Run inferences on the machine in cocotb, through its AXI buses and driver.

    Parameters
    ----------
    build : :class:`~eie_compiler.build.Build`
        Network to run, and the machine that runs it.
    inputs : int64 (batch, n_inputs)
        Fixed-point inputs, in logical order.
    simulator : :class:`str`
        ``verilator`` or ``icarus``.
    cache : :class:`str` or :class:`~pathlib.Path`, optional
        Cache of compiled simulators, as for :func:`.cache.make_once`.
    folder : :class:`str` or :class:`~pathlib.Path`, optional
        Folder for the build, log and waveform. Default: a temporary one.
    waves : :class:`str`, optional
        Instance to record with all below it, such as ``pe_3``; everything if empty. Needs `folder`.
    load : :class:`str`
        ``stream`` loads the network through the bus as a host does, ``images`` into the memories
        with ``$readmemh``.
    read_counters : :class:`bool`
        Read the counters, as for :meth:`eie_driver.accelerator.Accelerator.run`.
    alone : :class:`bool`
        After the others, run the first input, or sequence, again, alone, and measure its latency.
        Its results are the last.
    pause : :class:`float`
        Probability per cycle and bus channel that the host keeps VALID or READY low.
    seed : :class:`int`
        Seed of the pauses.
    timeout : :class:`float`, seconds
        Time limit of the simulator, which is then killed.
    bench : :class:`str`
        Module of the cocotb bench, as for :func:`.cocotb_bench.run_bench`.
    files : mapping of file name to text, optional
        Verilog to simulate in place of the generator's, such as a netlist of it: a module ``eie``
        of the same ports. Its memories can be loaded only through the bus.

    Raises
    ------
    SimulationError
        If the machine hangs, reports an error or sends invalid results, or the simulation fails.
    ToolError
        If the simulator is missing.
    """
    if load not in ("images", "stream"):
        raise ValueError(f"load must be images or stream, not {load!r}")
    if not 0 <= pause < 1:
        raise ValueError(f"pause must be a probability below 1, not {pause}")
    if waves is not None and folder is None:
        raise ValueError("folder must be given with waves, to hold the waveform")
    _check_instance(build, waves)
    job = {"deadline": deadline(build) / (1 - pause), "bus": {"pause": pause, "seed": seed},
           "driver": {"send": load == "stream", "read_counters": read_counters,
                      "alone": alone},
           # Folders of builds have no states.
           "states": {"steps": build.steps, "reset": build.reset}}

    design = compile_design(files or verilog(build.config, cache), top="eie",
                            simulator=simulator, cache=cache, waves=waves and f"core.{waves}",
                            repeated=["eie_pe"])
    with job_folder(folder) as path:
        dataclasses.replace(build, steps=0, reset=0).save(path / "build")
        np.save(path / "inputs.npy", inputs, allow_pickle=False)
        (path / "job.json").write_text(json.dumps(job), encoding="utf-8")
        begin = time.perf_counter()
        run_bench(design, bench, path, timeout=timeout, environment={"EIE_JOB": str(path)},
                  plusargs=["+eie_images=build"] if load == "images" else [])
        seconds = time.perf_counter() - begin
        with np.load(path / "results.npz", allow_pickle=False) as arrays:
            outputs = [arrays[f"output{number}"] for number in range(len(build.outputs))]
        answer = json.loads((path / "results.json").read_text(encoding="utf-8"))

    tiles = answer["overflow_tiles"]
    return SimulationResult(
        outputs=outputs, counters=answer["counters"],
        overflow=np.array([tile is not None for tile in tiles], np.bool_),
        overflow_tile=np.array([tile or 0 for tile in tiles], np.int64),
        cycles=answer["cycles"], interval=answer["interval"],
        latency=answer["latency"] if alone else None, seconds=seconds, traffic=answer["traffic"],
        waveform=Path(folder) / design.waves if folder and design.waves else None)


def compare(build: Build, got: Sequence[NDArray[np.int64]],
            expected: Sequence[NDArray[np.int64]]) -> list[Mismatch]:
    """List all numbers that differ between outputs in logical order.

    Raises
    ------
    ValueError
        If their shapes differ.
    """
    shapes = [array.shape for array in got], [array.shape for array in expected]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Outputs must have the shapes {shapes[1]}, not {shapes[0]}")
    return [Mismatch(vector.name, row, image, int(one[image, row]), int(other[image, row]))
            for vector, one, other in zip(build.outputs, got, expected, strict=True)
            for image, row in np.argwhere(one != other).tolist()]


def _check_instance(build: Build, waves: str | None) -> None:
    """Check the name of the instance to record: Verilator silently ignores an unknown one."""
    n_pe = build.config.n_pe
    if waves and waves not in {"ccu", *(f"pe_{pe}" for pe in range(n_pe))}:
        raise ValueError(f"waves must be ccu, or pe_0 to pe_{n_pe - 1}, or empty for everything, "
                         f"not {waves!r}")


def deadline(build: Build) -> int:
    """Upper bound in cycles of loading a build or running one inference, with ample margin."""
    loaded = max(image.size for image in build.images.values())
    return 4 * loaded + bound_cycles(build.config, build.images)


@contextlib.contextmanager
def job_folder(folder: str | Path | None) -> Iterator[Path]:
    """Make the folder of a simulation; without one, a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="eie-") as temporary:
            yield Path(temporary)
    else:
        path = Path(folder).resolve()
        path.mkdir(parents=True, exist_ok=True)
        yield path
