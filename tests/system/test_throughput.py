"""Throughput of the whole machine: only entries and broadcasts may cost cycles.

The fixed cost of a program, its fill and drain, is measured with all inputs zero. That is slightly
too high, as the scan is not hidden then.
"""

import functools

import numpy as np
import pytest

from eie_compiler.lowering.compile import compile_network
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer
from eie_hdl.config import EIEConfig
from eie_sim.inference import infer
from support.machines import FOUR_PES, KEEPS_EMPTY, ONE_PE

ROOMY = EIEConfig(n_pe=4)    # with room for a long vector; other tests compile the same


@pytest.fixture
def cycles_beyond_idle(icarus, simulators):
    """Function that returns cycles beyond idle, broadcasts, and entries of the busiest PE."""
    return functools.partial(measure, icarus, simulators)


def measure(simulator, simulators, codes, config: EIEConfig) -> tuple[int, int, int]:
    layer = make_layer(codes.astype(np.uint8), codebook=np.arange(8) / 64, output_frac=4)
    build = compile_network(CompressedNetwork((layer,), 4, 3), config, mapping="interleaved")
    n_inputs = codes.shape[1]
    inputs = np.stack([np.arange(n_inputs) % 100 + 1, np.zeros(n_inputs, np.int64)])
    result = infer(build, inputs, words=True, engine="cocotb", simulator=simulator,
                   cache=simulators, load="images")
    assert result.ok
    busy, idle = result.counters["cycles"].tolist()
    return busy - idle, int(result.counters["broadcasts"][0]), int(result.entries[0].max())


def test_a_pe_with_work_takes_an_entry_a_cycle(cycles_beyond_idle):
    codes = np.random.default_rng(1).integers(1, 8, (16, 60))
    cycles, n_broadcasts, n_entries = cycles_beyond_idle(codes, ONE_PE)
    assert (n_broadcasts, n_entries) == (60, 960)
    assert cycles <= n_entries + 10


def test_columns_of_one_entry_are_back_to_back(cycles_beyond_idle):
    cycles, n_broadcasts, n_entries = cycles_beyond_idle(np.ones((1, 300)), ONE_PE)
    assert (n_broadcasts, n_entries) == (300, 300)
    assert cycles <= n_entries + 10


@pytest.mark.parametrize("config", [FOUR_PES, KEEPS_EMPTY], ids=["dropped", "kept"])
def test_a_broadcast_is_sent_every_cycle_when_nothing_stalls(cycles_beyond_idle, config):
    codes = np.zeros((4, 200))
    codes[np.arange(200) % 4, np.arange(200)] = 1
    cycles, n_broadcasts, n_entries = cycles_beyond_idle(codes, config)
    assert (n_broadcasts, n_entries) == (200, 50)
    assert cycles <= n_broadcasts + 10


def test_empty_columns_cost_a_pe_nothing_if_they_are_dropped(cycles_beyond_idle):
    """Every fourth column is full, so that each PE has one entry per column on average."""
    codes = np.zeros((16, 200))
    codes[:, ::4] = 1
    (cycles, n_broadcasts, n_entries), kept = (
        cycles_beyond_idle(codes, config) for config in (FOUR_PES, KEEPS_EMPTY))
    assert (n_broadcasts, n_entries) == (200, 200)
    assert cycles <= 200 + 10
    # If kept, each of the 150 empty columns takes a cycle.
    assert 150 - 5 <= kept[0] - cycles <= 150 + 5


def test_input_of_the_next_inference_takes_no_broadcast_slots(verilator, simulators):
    """A dense input of 1,024 elements, back to back through the AXI streams, in 256 words."""
    n_inputs, n_nonzero = 1024, 945
    codes = np.zeros((8, n_inputs), np.uint8)
    codes[np.arange(n_inputs) % 8, np.arange(n_inputs)] = 1
    layer = make_layer(codes, codebook=np.arange(16) / 64, output_frac=4)
    build = compile_network(CompressedNetwork((layer,), 4, 4), ROOMY, mapping="interleaved")
    rng = np.random.default_rng(2)
    inputs = np.stack([rng.permutation(np.arange(n_inputs) < n_nonzero) * rng.integers(
        1, 128, n_inputs) for _ in range(4)])
    result = infer(build, inputs, words=True, engine="verilator", cache=simulators,
                   end_to_end=True)
    assert result.ok and (result.counters["broadcasts"] == n_nonzero).all()
    assert result.end_to_end.cycles <= 1000
