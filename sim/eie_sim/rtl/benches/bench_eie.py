"""cocotb bench of the whole machine and its driver, run by :mod:`eie_sim.rtl.cocotb_engine`.

The environment variable EIE_JOB names a folder with a build, `inputs.npy` and parameters in
`job.json`. Results go to `results.npz` and `results.json` in it.
"""

import dataclasses
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


def infer(bus, folder, *, timeout, states, send, read_counters, alone, take_interval):
    """Load the build and run all inputs, as host software does, then the first one, or the first
    sequence, `alone`.

    Returns the runs, and the interval of the first.
    """
    machine, inputs = Accelerator(bus, timeout=timeout), np.load(folder / "inputs.npy")
    build = dataclasses.replace(Build.load(folder / "build"), **states)
    machine.load(build, send=send)
    take_interval()
    runs = [machine.run(inputs, words=True, read_counters=read_counters)]
    interval = take_interval()
    if alone:
        runs.append(machine.run(inputs[:build.sequence_length], words=True,
                                read_counters=read_counters))
    return runs, interval


async def run(dut, wrap=lambda bus: bus, timeout=None):
    """Run the job with the driver on ``wrap(bus)``, `bus` being the simulated one.

    A bus that keeps wall-clock time needs a `timeout` of its own.
    """
    folder = Path(os.environ["EIE_JOB"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    deadline = job["deadline"] * CLOCK_PERIOD
    bus = CocotbBus(dut, timeout=deadline, **job["bus"])
    await bus.start()
    runs, interval = await bridge(infer)(
        wrap(bus), folder, timeout=timeout or deadline, take_interval=bus.take_interval,
        states=job["states"], **job["driver"])
    np.savez(folder / "results.npz", allow_pickle=False,
             **{f"output{number}": np.concatenate(parts)
                for number, parts in enumerate(zip(*(run.outputs for run in runs)))})
    (folder / "results.json").write_text(json.dumps({
        "counters": sum((run.counters for run in runs), []),
        "overflow_tiles": sum((run.overflow_tiles for run in runs), []),
        "cycles": bus.cycles, "interval": interval, "latency": bus.latency,
        "traffic": bus.statistics}), encoding="utf-8")


@cocotb.test()
async def run_job(dut):
    await run(dut)
