"""cocotb bench of the whole machine and the driver of graphs, run by
:mod:`eie_sim.rtl.cocotb_network`.

The environment variable EIE_JOB names a folder with the build of a graph, its inputs as words in
`inputs.npz`, and in `job.json` the vectors that are sampled in each call of a program. Results go
to `results.npz` and `results.json` in it.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.task import bridge

from eie_compiler.graph.execution import Execution
from eie_compiler.graph_folder import read_graph_build
from eie_sim.rtl.cocotb_bus import CocotbBus
from eie_sim.rtl.measured_driver import MeasuredDriver
from eie_sim.rtl.simulators import CLOCK_PERIOD


def infer(bus, folder, job):
    """Run the network; return what each call of a program measured."""
    build = read_graph_build(folder / "build")
    driver = MeasuredDriver(bus, build, job["deadline"] * CLOCK_PERIOD)
    samples, calls = iter(job["samples"]), []

    def run(path, words):
        calls.append(driver.run(path, words, np.array(next(samples), np.int64)))
        return calls[-1].words

    with np.load(folder / "inputs.npz", allow_pickle=False) as inputs:
        Execution(build.graph, build.config.act_width, run).run(dict(inputs))
    return calls


@cocotb.test()
async def run_job(dut):
    folder = Path(os.environ["EIE_JOB"])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    bus = CocotbBus(dut, timeout=job["deadline"] * CLOCK_PERIOD)
    await bus.start()
    calls = await bridge(infer)(bus, folder, job)
    np.savez(folder / "results.npz", allow_pickle=False,
             **{f"{field}{number}": getattr(call, field) for number, call in enumerate(calls)
                for field in ("words", "sampled")})
    (folder / "results.json").write_text(json.dumps([
        {name: value for name, value in call._asdict().items() if name not in ("words", "sampled")}
        for call in calls]), encoding="utf-8")
