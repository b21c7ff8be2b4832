"""A small layer, its measurement in round numbers, and a report of such measurements."""

import numpy as np
import pytest

from eie_bench.paper.ablation import Step
from eie_bench.paper.bounds import Bounds
from eie_bench.paper.measure import Measurement, Stored
from eie_bench.paper.nine_layers import Machine, PaperLayer
from eie_bench.paper.report import Report
from eie_hdl.config import PRESETS
from eie_hdl.format import COUNTERS
from eie_sim.inference import EndToEnd

#: 25 rows for each of 4 PEs: two tiles.
SMALL = PaperLayer("small", n_inputs=40, n_outputs=100, weight_density=0.2, activation_density=0.5,
                   theoretical_us=2.0, actual_us=3.0, expected=1.25, target=1.5)


@pytest.fixture
def small():
    return SMALL


@pytest.fixture
def measurement():
    """Factory of measurements of 1,000 products on 4 PEs."""
    def make(machine="isca2016", *, cycles=310, layer=SMALL, differences=()):
        counters = dict.fromkeys(COUNTERS, 0) | {
            "cycles": cycles + 40, "phase_output": 40, "broadcasts": 20, "macs": 1000,
            "paddings": 100, "spmat_reads": 300, "ptr_reads": 80, "stall_full": 7,
            "stall_scan": 8, "stall_barrier": 9}
        return Measurement(
            layer=layer, machine=machine, engine="verilator", config=PRESETS["tiny"], nonzeros=2000,
            products=1000, counters=counters, entries=np.array([250, 250, 300, 300]),
            stored=Stored(entries=2200, paddings=200, entry_bits=5, pointers=400, pointer_bits=9,
                          tiles=2, source_words=6, drained_words=7),
            bounds=Bounds(entries=260, columns=270, broadcasts=20, simple_model=280), outputs=100,
            differences=list(differences), seconds=1.0, model_seconds=0.1,
            end_to_end=EndToEnd(32, cycles + 25.0, bound=260.0, latency=cycles + 30))

    return make


@pytest.fixture
def report(measurement, small):
    """Two layers on two machines: ratios 1.24 and 1.6, and 1.0 and 1.6."""
    other = small._replace(name="other", expected=1.6, target=1.5)
    config = measurement().config
    steps = [Step("as published", Machine(config, "interleaved"), 9, {"small": 2.0, "other": 8.0}),
             Step("+ better", Machine(config, "balanced"), 4, {"small": 1.0, "other": 4.0})]
    return Report([measurement("isca2016"), measurement("isca2016", cycles=400, layer=other),
                   measurement("tuned", cycles=250), measurement("tuned", cycles=400, layer=other)],
                  steps, seed=5)
