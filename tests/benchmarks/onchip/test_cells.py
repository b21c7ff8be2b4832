"""Recurrent cells of the benchmark: what they compute, and in how many cycles."""

import numpy as np
import pytest

from eie_bench.onchip.cells import LSTM, PRODUCTS, make_cells, make_small_cells
from eie_bench.onchip.measure import measure
from eie_hdl.extras import install_command
from eie_sim.graph_inference import infer_graph

pytest.importorskip("numba", reason=install_command("bench"))


def test_the_products_are_those_of_the_lstm():
    lstm, products, _ = make_cells(1)
    assert (lstm.name, products.name) == (LSTM, PRODUCTS)
    runs = [infer_graph(case.build, case.images, engine="golden").nodes["cell"]
            for case in (lstm, products)]
    assert runs[0].counters["broadcasts"] == runs[1].counters["broadcasts"]
    assert runs[0].counters["macs"] > runs[1].counters["macs"]    # sums have entries, too
    assert not products.images[0, 384:].any() and products.images[1, 384:].any()


def test_small_cells_have_sequences_of_zeros_and_extremes():
    cases = make_small_cells(1, "icarus")
    assert len(cases) == 6 and {case.engine for case in cases} == {"icarus"}
    for case in cases:
        words = case.build.to_words(case.images).words["sequence"]
        assert not words[0, ::2].any() and words[0, 1].any()
        assert set(np.unique(words[1])) <= {-(1 << 15), 0, (1 << 15) - 1}
        assert case.pixels == 1 and case.tolerance == 0


def test_a_small_cell_runs_in_verilog(verilator, simulators):
    row = measure(make_small_cells(1, "verilator")[2], cache=simulators)
    assert (row.images, row.differences, row.local) == (12, 0, 3)
    assert row.predicted == row.cycles > row.bound
