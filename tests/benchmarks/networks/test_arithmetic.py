"""Graphs in floating point and in words, in batches."""

import numpy as np

from eie_bench.networks.arithmetic import run_in_words, run_real
from eie_compiler.compression.graph import compress_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.lowering.graph import compile_graph
from eie_sim.graph_inference import infer_graph


def test_batches_give_the_results_of_all_inputs_together(task, graph):
    starts = []
    found = run_real(graph, task.inputs, batch=4, progress=starts.append)
    np.testing.assert_allclose(found["second"], evaluate_real(graph, task.inputs)["second"])
    assert list(found) == ["second"] and starts == [0, 4, 8]


def test_words_are_those_of_the_golden_model(task, graph):
    network = compress_graph(graph, task.calibration)
    found, saturated = run_in_words(network, task.config, task.inputs, batch=4)
    build = compile_graph(network, task.config)
    expected = infer_graph(build, task.inputs, engine="golden").outputs
    np.testing.assert_array_equal(found["second"], build.to_numbers(expected)["second"])
    assert saturated == {}


def test_saturated_elements_are_counted_by_node(task, graph):
    network = compress_graph(graph, task.calibration)
    _, saturated = run_in_words(network, task.config, {"x": 50 * task.inputs["x"]}, batch=4)
    assert saturated.keys() == {"sum"} and saturated["sum"] > 0
