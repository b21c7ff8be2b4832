"""The whole machine on its streams: cocotb runs this inside the simulator, for `eie_sim.rtl`.

A job is a folder, named by the environment variable EIE_JOB, with the arrays of `job.npz`. Results
are `results.npz` and `results.json` beside it. Each inference sends its beats, starts the program
and takes what comes back until the machine is idle. Python only runs while something moves:
a wait is for an edge of the signal that ends it, not for every cycle.
"""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, Timer
from cocotb.utils import get_sim_time

PERIOD_NS = 10


class Hung(Exception):
    """Nothing has moved for longer than the deadline."""


class Bench:
    """Drivers of the streams, and all that came out so far."""

    def __init__(self, dut, job):
        self.dut = dut
        self.deadline = int(job["deadline"])
        self.n_vectors = int(job["n_vectors"])
        self.counters = [str(name) for name in job["counters"]]
        self.pause = float(job["pause"])
        self.rng = np.random.default_rng(int(job["seed"]))
        self.doing = "reset"
        self.payloads = []      # results of all inferences so far
        self.unknown = []       # numbers of those results that had unknown bits
        self.inferences = []    # what was read at the end of each

    def patience(self):
        """What fires if nothing moves until the deadline."""
        return Timer(self.deadline * PERIOD_NS, "ns")

    async def first(self, *edges):
        """Wait for one of `edges`."""
        patience = self.patience()
        if await First(*edges, patience) is patience:
            raise Hung

    async def reset(self):
        dut = self.dut
        for signal in (dut.load_valid, dut.load_payload, dut.run_valid, dut.run_payload,
                       dut.result_ready):
            signal.value = 0
        dut.rst.value = 1
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0

    async def send(self, name, payload, valid, ready, beats):
        """Offer `beats` one after another, with random gaps if the job has pauses."""
        clk = RisingEdge(self.dut.clk)
        gaps = self.rng.geometric(1 - self.pause, len(beats)) - 1 if self.pause else None
        for number, beat in enumerate(beats):
            self.doing = f"{name} beat {number} of {len(beats)}"
            if gaps is not None and gaps[number]:
                valid.value = 0
                for _ in range(gaps[number]):
                    await clk
            payload.value = beat
            valid.value = 1
            await clk
            if ready.value != 1:
                await self.until_ready(ready)
        valid.value = 0

    async def until_ready(self, ready):
        """Wait for the edge of the clock at which `ready` is high."""
        while True:
            await ReadOnly()
            if ready.value != 1:
                await self.first(RisingEdge(ready))
            await RisingEdge(self.dut.clk)
            if ready.value == 1:
                return

    async def receive(self):
        """Take results until the last vector is complete."""
        dut = self.dut
        clk = RisingEdge(dut.clk)
        vectors = 0
        dut.result_ready.value = int(not self.pause)
        while vectors < self.n_vectors:
            self.doing = f"result vector {vectors} of {self.n_vectors}"
            await clk
            if dut.result_valid.value != 1:
                await ReadOnly()
                if dut.result_valid.value != 1:
                    await self.first(RisingEdge(dut.result_valid))
                continue
            if self.pause:
                while self.rng.random() < self.pause:
                    await clk
                dut.result_ready.value = 1
                await clk
                dut.result_ready.value = 0
            vectors += self.take(dut.result_payload.value)
        dut.result_ready.value = 0

    def take(self, payload):
        """Keep a result; return whether it ends a vector."""
        if not payload.is_resolvable:
            self.unknown.append(len(self.payloads))
            payload = "".join(bit if bit in "01" else "0" for bit in str(payload))
            self.payloads.append(int(payload, 2))
        else:
            self.payloads.append(payload.to_unsigned())
        return self.payloads[-1] >> self.last_bit & 1

    @property
    def last_bit(self):
        """`last` is the uppermost field of a result."""
        return len(self.dut.result_payload) - 1

    async def infer(self, beats, start):
        """One inference, from its inputs to an idle machine."""
        dut = self.dut
        before = len(self.payloads)
        await self.send("load", dut.load_payload, dut.load_valid, dut.load_ready, beats)
        await self.send("run", dut.run_payload, dut.run_valid, dut.run_ready, [start])
        await self.receive()
        self.doing = "end of the program"
        await ReadOnly()
        if dut.busy.value == 1:
            await self.first(FallingEdge(dut.busy), RisingEdge(dut.result_valid))
            await ReadOnly()
        if dut.result_valid.value == 1:
            raise RuntimeError(f"more than {self.n_vectors} vectors of results")
        self.inferences.append({"results": len(self.payloads) - before, **self.state()})
        await RisingEdge(dut.clk)

    def state(self):
        """Everything that the ports tell."""
        dut = self.dut
        return {"overflow": number(dut.overflow), "overflow_tile": number(dut.overflow_tile),
                **{name: number(getattr(dut, f"counters_{name}")) for name in self.counters}}

    def report(self):
        """What is known when the machine hangs."""
        dut = self.dut
        signals = {name: number(getattr(dut, name)) for name in (
            "busy", "load_valid", "load_ready", "run_valid", "run_ready", "result_valid",
            "result_ready")}
        return (f"nothing moved for {self.deadline} cycles, in inference {len(self.inferences)}, "
                f"waiting for {self.doing}; {len(self.payloads)} results so far; "
                f"{signals} {self.state()}")


def number(signal):
    """Value of a signal, or its bits if some are unknown."""
    value = signal.value
    return int(value) if value.is_resolvable else str(value)


@cocotb.test()
async def run_job(dut):
    folder = Path(os.environ["EIE_JOB"])
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        job = dict(arrays)
    bench = Bench(dut, job)
    Clock(dut.clk, PERIOD_NS, "ns").start()
    error = None
    try:
        await bench.reset()
        await bench.send("model", dut.load_payload, dut.load_valid, dut.load_ready,
                         job["model"].tolist())
        for beats in job["inputs"]:
            await bench.infer(beats.tolist(), int(job["start"]))
    except Hung:
        error = bench.report()
    finally:
        np.savez(folder / "results.npz", payloads=np.array(bench.payloads, np.uint64),
                 unknown=np.array(bench.unknown, np.int64))
        (folder / "results.json").write_text(json.dumps({
            "inferences": bench.inferences,
            "cycles": int(get_sim_time("ns")) // PERIOD_NS}))
    if error:
        raise RuntimeError(error)
