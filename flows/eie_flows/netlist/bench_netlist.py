"""cocotb bench of the whole machine that records each transfer on its buses, run by
:mod:`eie_flows.netlist.simulation`.

The job is that of :mod:`eie_sim.rtl.benches.bench_eie`; transfers go to `transfers.json` in its
folder.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge

from eie_sim.rtl.benches import bench_eie

#: Signals that a transfer on a channel carries, by channel.
CHANNELS = {"s_axil_aw": ["addr"], "s_axil_w": ["data", "strb"], "s_axil_b": ["resp"],
            "s_axil_ar": ["addr"], "s_axil_r": ["data", "resp"],
            "s_axis_t": ["data", "keep", "last"], "m_axis_t": ["data", "keep", "last"]}


async def record(dut, transfers):
    """Append cycle and contents of each transfer, as of a rising edge, and each change of irq."""
    channels = [(name, getattr(dut, f"{name}valid"), getattr(dut, f"{name}ready"),
                 [getattr(dut, name + part) for part in parts])
                for name, parts in CHANNELS.items()]
    cycle, irq = 0, "0"
    while True:
        await RisingEdge(dut.aclk)
        if str(dut.aresetn.value) == "1":
            # An unknown VALID or READY is recorded: a machine out of reset must not have any.
            for name, valid, ready, parts in channels:
                if "0" not in (shake := f"{valid.value}{ready.value}"):
                    contents = [str(part.value) for part in parts]
                    transfers[name].append([cycle, "_".join(
                        contents if shake == "11" else [shake, *contents])])
            if (now := str(dut.irq.value)) != irq:
                irq = now
                transfers["irq"].append([cycle, now])
        cycle += 1


@cocotb.test()
async def run_job(dut):
    transfers: dict[str, list[list[object]]] = {
        name: [] for name in (*CHANNELS, "irq")}
    cocotb.start_soon(record(dut, transfers))
    try:
        await bench_eie.run(dut)
    finally:
        (Path(os.environ["EIE_JOB"]) / "transfers.json").write_text(json.dumps(transfers),
                                                                    encoding="utf-8")
