"""Integer models of the benchmark: what they compute, and in how many cycles."""

import numpy as np
import pytest

from eie_bench.onchip.measure import measure
from eie_compiler.graph.operations import Quantise
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_hdl.extras import install_command

pytest.importorskip("numba", reason=install_command("bench"))
pytest.importorskip("onnx", reason=install_command("onnx"))
quantised = pytest.importorskip("eie_bench.onchip.quantised")


def test_models_have_integers_of_all_signs_and_a_sum():
    cases = quantised.make_small_quantised(1, "icarus")
    assert [case.name for case in cases] == ["residual", "layers"]
    assert {case.engine for case in cases} == {"icarus"}
    for case in cases:
        (image,) = case.graph.inputs
        assert case.step == 128 and case.tolerance == 1
        words = case.build.to_words(case.images).words[image]
        assert (words % 128 == 0).all() and (words.min(), words.max()) == (-222 * 128, 33 * 128)
        results = IntegerGraph(case.graph, case.build.config).run({image: case.images})
        for node in case.graph.nodes:
            if isinstance(node.computation, Quantise):
                integers, low = results[node.name] / 128, node.computation.low
                assert len(np.unique(integers)) > 10
                assert integers.min() == 0 if low == 0 else integers.min() < 0 < integers.max()
    assert "Add" in {type(node.computation).__name__ for node in cases[0].graph.nodes}


def test_a_network_of_blocks_is_within_an_integer_of_the_host():
    (case,) = quantised.make_quantised(1)
    (build,) = case.build.programs.values()
    local = [layer["local"] for layer in build.report["layers"]]
    assert local == [False, True, False, True, False, True, False]
    assert case.images.shape == (8, 1, 49, 10) and not case.images[0].any()


def test_a_residual_connection_runs_in_verilog(verilator, simulators):
    row = measure(quantised.make_small_quantised(1, "verilator")[0], cache=simulators)
    assert (row.images, row.differences) == (3, 0)
    assert row.predicted == row.cycles > row.bound and row.steps <= 1
