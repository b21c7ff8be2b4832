"""Sums over the calls of a node (`eie_sim.node_runs`)."""

import numpy as np
import pytest

from eie_sim.golden.model import Statistics
from eie_sim.node_runs import SAMPLE, NodeRun
from eie_sim.rtl.measured_driver import Measured


def statistics_of(n_vectors):
    ones = np.ones(n_vectors, np.int64)
    return Statistics(ones, 2 * ones, 0 * ones, np.tile([1, 3], (n_vectors, 1)),
                      np.ones((n_vectors, 2), np.int64))


@pytest.mark.parametrize("calls", [[10 * SAMPLE], [1] * (3 * SAMPLE), [7, 300, 2, 1000]])
def test_the_sample_is_spread_evenly_over_all_calls(calls):
    run = NodeRun("a", "fully connected", True, planned=sum(calls))
    chosen = []
    for n_vectors in calls:
        chosen += (run.vectors + run.choose(n_vectors)).tolist()
        run.count(np.zeros((n_vectors, 2), np.int64), statistics_of(n_vectors))
    assert SAMPLE // 2 < len(chosen) <= SAMPLE
    assert len(set(np.diff(chosen))) == 1 and chosen[0] == 0
    assert run.counters == {"broadcasts": sum(calls), "macs": 2 * sum(calls), "paddings": 0}
    assert run.saturated == 2 * sum(calls) and run.entries.tolist() == [sum(calls), 3 * sum(calls)]


def test_cycles_of_the_sample_are_scaled_to_all_vectors():
    run = NodeRun("a", "fully connected", True, planned=10)
    words = np.zeros((10, 2), np.int64)
    run.count(words, statistics_of(10))
    counters = [{"cycles": 70, "phase_output": 10}] * 5
    run.measure(Measured(words, 400, counters, words[:5], 1, 1, 99), 10)
    summary = run.summary()
    assert summary["net_cycles"] == 600 and summary["cycles"] == 400
    assert summary["overflows"] == 1 and summary["load_cycles"] == 99
    assert summary["entry_balance"] == 2 / 3 and summary["pe_utilisation"] == 20 / (400 * 2)


def test_the_first_difference_is_kept():
    run = NodeRun("a", "Add", False)
    expected = np.arange(6).reshape(2, 3)
    got = expected.copy()
    got[1, 1:] = 9
    run.compare(expected, expected)
    run.compare(got, expected)
    run.compare(got + 1, expected)
    assert run.compared == 18 and run.differences == 8
    assert run.first == ((1, 1), 9, 4)
    with pytest.raises(ValueError, match=r"Results of node 'a' must have shape \(2, 3\), not"):
        run.compare(got[:1], expected)


@pytest.mark.parametrize("length", [5, 64, 100])
@pytest.mark.parametrize("calls", [[1000], [1, 2, 3, 300], [1] * 90])
def test_the_sample_is_of_whole_sequences(calls, length):
    run = NodeRun("a", "LSTM", True, planned=sum(calls) * length, sequence_length=length)
    chosen = []
    for n_sequences in calls:
        chosen += (run.vectors + run.choose(n_sequences * length)).tolist()
        n_vectors = n_sequences * length
        run.count(np.zeros((n_vectors, 2), np.int64), statistics_of(n_vectors))
    sequences, steps = np.divmod(np.reshape(chosen, (-1, length)), length)
    assert (steps == np.arange(length)).all() and (sequences == sequences[:, :1]).all()
    assert len(chosen) <= max(SAMPLE, length) and chosen[0] == 0
    assert len(set(np.diff(sequences[:, 0]))) <= 1
