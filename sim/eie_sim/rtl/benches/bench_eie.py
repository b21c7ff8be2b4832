"""cocotb bench of the whole machine and its driver, run by :mod:`eie_sim.rtl.cocotb_engine`.

The environment variable EIE_JOB names a folder with a build, `inputs.npy` and parameters in
`job.json`. Results go to `results.npz` and `results.json` in it.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.task import bridge

from eie_compiler.build import Build
from eie_driver.accelerator import Accelerator
from eie_sim.rtl.cocotb_bus import CocotbBus
from eie_sim.rtl.simulators import CLOCK_PERIOD


def infer(bus, folder, *, timeout, send, read_counters, on_load):
    """Load the build, call `on_load`, and run all inputs, as host software does."""
    machine = Accelerator(bus, timeout=timeout)
    machine.load(Build.load(folder / "build"), send=send)
    on_load()
    return machine.run(np.load(folder / "inputs.npy"), words=True, read_counters=read_counters)


async def run(dut, wrap=lambda bus: bus, timeout=None):
    """Run the job with the driver on ``wrap(bus)``, `bus` being the simulated one.

    A bus that keeps wall-clock time needs a `timeout` of its own.
    """
    folder = Path(os.environ["EIE_JOB"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    deadline = job["deadline"] * CLOCK_PERIOD
    bus = CocotbBus(dut, timeout=deadline, **job["bus"])
    await bus.start()
    result = await bridge(infer)(wrap(bus), folder, timeout=timeout or deadline,
                                 on_load=bus.take_interval, **job["driver"])
    np.savez(folder / "results.npz", allow_pickle=False,
             **{f"output{number}": output for number, output in enumerate(result.outputs)})
    (folder / "results.json").write_text(json.dumps({
        "counters": result.counters, "overflow_tiles": result.overflow_tiles,
        "cycles": bus.cycles, "interval": bus.take_interval(), "traffic": bus.statistics}),
        encoding="utf-8")


@cocotb.test()
async def run_job(dut):
    await run(dut)
