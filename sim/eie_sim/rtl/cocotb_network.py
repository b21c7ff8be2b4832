"""Graphs on the machine in cocotb: all programs and steps of the host in one simulation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eie_compiler.graph_build import GraphBuild
from eie_compiler.graph_folder import write_graph_build

from .cocotb_bench import run_bench
from .cocotb_engine import deadline, job_folder
from .measured_driver import Measured
from .simulators import compile_design
from .verilator_host import verilog

__all__ = ["run"]


def run(build: GraphBuild, inputs: Mapping[str, NDArray[np.int64]],
        samples: Sequence[NDArray[np.int64]], *, simulator: str = "verilator",
        cache: str | Path | None = None, folder: str | Path | None = None, timeout: float = 600
        ) -> list[Measured]:
    """Run a batch; return what each call of a program measured, in their order.

    Parameters
    ----------
    build : :class:`~eie_compiler.graph_build.GraphBuild`
        Network to run, and the machine that runs it.
    inputs : mapping of :class:`str` to int64 (batch, ...)
        Words of each input.
    samples : sequence of int64 (samples,)
        Numbers of the vectors of each call whose counters are read.
    simulator, cache, folder, timeout
        As for :func:`.cocotb_engine.run`.

    Raises
    ------
    SimulationError
        If the machine hangs, reports an error or sends invalid results, or the simulation fails.
    ToolError
        If the simulator is missing.
    """
    design = compile_design(verilog(build.config, cache), top="eie", simulator=simulator,
                            cache=cache, repeated=["eie_pe"])
    job = {"deadline": max(map(deadline, build.programs.values())),
           "samples": [sample.tolist() for sample in samples]}
    with job_folder(folder) as path:
        write_graph_build(path / "build", build)
        np.savez(path / "inputs.npz", allow_pickle=False, **inputs)
        (path / "job.json").write_text(json.dumps(job), encoding="utf-8")
        run_bench(design, "bench_network", path, timeout=timeout,
                  environment={"EIE_JOB": str(path)})
        answers = json.loads((path / "results.json").read_text(encoding="utf-8"))
        with np.load(path / "results.npz", allow_pickle=False) as arrays:
            return [Measured(words=arrays[f"words{number}"], sampled=arrays[f"sampled{number}"],
                             **answer) for number, answer in enumerate(answers)]
