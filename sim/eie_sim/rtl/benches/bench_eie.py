"""The whole machine on its buses, used by its driver: `eie_sim.rtl.cocotb_engine` runs it.

A job is a folder, named by the environment variable EIE_JOB, with a build, `inputs.npy` and the
parameters in `job.json`. Results are `results.npz` and `results.json` beside it.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.task import bridge

from eie_compiler.build import Build
from eie_driver.accelerator import Accelerator
from eie_driver.bus import PERIOD
from eie_sim.rtl.cocotb_bus import SimulatedBus


def infer(bus, folder, *, timeout, send, count):
    """Load the build and run all inputs, as a program on a host would."""
    machine = Accelerator(bus, timeout=timeout)
    machine.load(Build.load(folder / "build"), send=send)
    return machine.run(np.load(folder / "inputs.npy"), count=count)


async def run(dut, wrap=lambda bus: bus, timeout=None):
    """Do the job, with a driver on the bus that `wrap` makes of the simulated one.

    A `timeout` is for a bus that goes by another clock than the simulation.
    """
    folder = Path(os.environ["EIE_JOB"])
    job = json.loads((folder / "job.json").read_text())
    deadline = job["deadline"] * PERIOD
    bus = SimulatedBus(dut, timeout=deadline, **job["bus"])
    await bus.start()
    result = await bridge(infer)(wrap(bus), folder, timeout=timeout or deadline, **job["driver"])
    np.savez(folder / "results.npz", allow_pickle=False,
             **{f"output{number}": output for number, output in enumerate(result.outputs)})
    (folder / "results.json").write_text(json.dumps({
        "counters": result.counters, "overflow_tiles": result.overflow_tiles,
        "cycles": bus.cycles, "traffic": bus.statistics}))


@cocotb.test()
async def run_job(dut):
    await run(dut)
