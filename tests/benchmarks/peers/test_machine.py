"""This project's machine among its peers."""

import dataclasses

import numpy as np

from eie_bench.peers import machine
from eie_sim.inference import EndToEnd, infer
from eie_sim.rtl.cocotb_engine import Mismatch


def test_cycles_are_of_verilog_and_accuracy_is_of_all_images(task, monkeypatch):
    calls = []

    def run(build, inputs, *, engine, end_to_end=False, cache=None):
        """The golden model, with cycles as if the hardware had run it, and one difference."""
        calls.append((engine, len(inputs)))
        found = infer(build, inputs, engine="golden")
        cycles = np.full(len(inputs), 70)
        return found if engine == "golden" else dataclasses.replace(
            found, counters=found.counters | {"cycles": cycles, "phase_output": cycles // 7},
            end_to_end=EndToEnd(32, 40.5, bound=30.0, latency=55),
            mismatches=[Mismatch("b", 0, 0, 1, 2)])

    monkeypatch.setattr(machine, "infer", run)
    row = machine.measure_machine(task, 4, cells={"lut4": 5})
    assert calls == [("golden", 40), ("verilator", 32)]
    assert row[:4] == ("small", "this project, 4 PEs", row.accuracy, None)
    assert row.accuracy > 0.9
    # The packet of an input takes five beats.
    assert (row.cycles, row.latency, row.net, row.multipliers) == (40.5, 55 + 5, 60, 4)
    assert (row.compared, row.differences) == (32 * 3, 1)
    assert row.cells == {"lut4": 5} and row.external_bits == 0
    assert 0 < row.products <= task.n_nonzeros
    assert row.used_bits > task.n_nonzeros
