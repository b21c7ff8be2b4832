"""Differences beside their proven bounds."""

import numpy as np
import pytest

from eie_bench.networks.proof import FLOAT32, prove, turn_batches
from eie_compiler.compression.error_bound import ErrorBound
from eie_compiler.compression.graph import compress_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.operation import GraphError


@pytest.fixture
def compressed(task, graph):
    return compress_graph(graph, task.inputs, v_width=4)


@pytest.fixture
def expected(task, graph):
    return {"second": evaluate_real(graph, task.inputs)["second"]}


def test_no_element_is_beyond_its_bound(task, graph, compressed, expected):
    proof = prove(compressed, graph, task.config, task.inputs, expected)
    assert 0 < proof.rounding <= proof.rounding_bound < proof.error <= proof.bound
    assert proof.exceeded == 0


def test_each_element_beyond_its_bound_counts(task, graph, compressed, expected):
    bound = prove(compressed, graph, task.config, task.inputs, expected).bound
    greatest = np.abs(expected["second"]).max()
    expected["second"][2, 1] += 2 * bound + FLOAT32 * greatest
    expected["second"][4, 2] = np.nan
    assert prove(compressed, graph, task.config, task.inputs, expected).exceeded > 0
    expected["second"] = expected["second"][:4]
    assert prove(compressed, graph, task.config, task.inputs, expected).exceeded == 1


def test_the_rounding_of_float32_is_allowed(task, graph, compressed, expected):
    exact = prove(compressed, graph, task.config, task.inputs, expected)
    expected["second"] = expected["second"].astype(np.float32).astype(np.float64)
    assert prove(compressed, graph, task.config, task.inputs, expected).exceeded == 0
    assert exact.rounding == pytest.approx(
        prove(compressed, graph, task.config, task.inputs, expected).rounding)


@pytest.mark.parametrize("share, exceeded", [(2.0 ** -22, 0), (2.0 ** -18, 1)])
def test_little_more_than_the_rounding_of_float32_counts(task, graph, compressed, share, exceeded):
    numbers, bounds = ErrorBound(compressed, graph, task.config).run(task.inputs)["second"]
    results, least = numbers.copy(), np.abs(numbers).argmin()
    results.flat[least] += bounds.flat[least] + share * np.abs(numbers).max()
    assert prove(compressed, graph, task.config, task.inputs,
                 {"second": results}).exceeded == exceeded


def test_batches_are_turned_to_the_first_axis():
    real = {"a": np.arange(12.0).reshape(4, 3), "b": np.arange(4.0).reshape(4, 1)}
    turned = turn_batches([real["a"][:2].T, real["b"]], real)
    assert list(turned) == ["a", "b"]
    np.testing.assert_array_equal(turned["a"], real["a"][:2])
    square = {"a": np.arange(9.0).reshape(3, 3)}
    np.testing.assert_array_equal(turn_batches([square["a"].T], square)["a"], square["a"])
    assert list(turn_batches([real["a"]], real)) == ["a"]
    with pytest.raises(GraphError, match=r"^results of another implementation must be as those of "
                                         r"the network, \(4, 3\), not of shape \(4, 5\)$"):
        turn_batches([np.zeros((4, 5))], real)
