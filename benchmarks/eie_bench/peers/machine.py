"""The machine of this project, in Verilator."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eie_compiler.build import Build
from eie_compiler.lowering.compile import compile_network
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer, net_cycles, prepare
from eie_sim.rtl.verilator_host import verilog

from .row import Row
from .tasks import Task

__all__ = ["N_IMAGES", "measure_machine", "read_verilog"]

#: Images that run in Verilog, from which cycles are the mean.
N_IMAGES = 32


def read_verilog(n_pe: int, cache: str | Path | None) -> dict[str, str]:
    """Return the Verilog of the default machine with `n_pe` PEs, by file name."""
    return verilog(EIEConfig(n_pe=n_pe), cache)


def measure_machine(task: Task, n_pe: int, *, cells: Mapping[str, int] | None = None,
                    cache: str | Path | None = None) -> Row:
    """Run images in Verilog, and all test images by the golden model.

    Raises
    ------
    SimulationError, ToolError, DriverError, BusError
        If the machine cannot be built or hangs.
    """
    build = compile_network(task.network, EIEConfig(n_pe=n_pe))
    golden = infer(build, task.images, engine="golden")
    run = infer(build, task.images[:N_IMAGES], engine="verilator", end_to_end=True, cache=cache)
    assert run.end_to_end
    # A machine at rest takes a beat of the input in every cycle.
    beats = build.input_packets(prepare(build, task.images[:1])).size
    return Row(
        task.name, f"this project, {n_pe} PEs", task.accuracy(golden.outputs[-1]), None,
        float(golden.counters["macs"].mean()), cycles=run.end_to_end.cycles,
        latency=run.end_to_end.latency + beats,
        net=float(net_cycles(run.counters).mean()),
        multipliers=n_pe, external_bits=0, used_bits=_count_bits(build),
        compared=sum(output.size for output in run.outputs),
        differences=len(run.mismatches) + run.overflows, cells=dict(cells) if cells else None)


def _count_bits(build: Build) -> int:
    memories: Mapping[str, Any] = build.report["memory"]
    return sum(memory["words_used"] * memory["word_bits"] * memory["instances"]
               for memory in memories.values())
