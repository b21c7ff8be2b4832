"""`eie_compiler.lowering.pooling`: the layer and the strips of a maximum pooling."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import AveragePool, MaxPool, Mean, Tanh
from eie_compiler.graph.subgraphs import inline_subgraphs, join_nodes, make_subgraph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.operation_layers import lower_graph_operations
from eie_compiler.lowering.pooling import average_layers, describe_rounding, pool_stage
from eie_hdl.config import EIEConfig

CONFIG = EIEConfig(n_pe=4, loops=True, local=True, maximum=True)


@pytest.mark.parametrize("act_width", [8, 16])
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("frac", [-3, 6, 20])
def test_the_bias_takes_away_what_is_added_to_activations(act_width, nonnegative, frac):
    config = dataclasses.replace(CONFIG, act_width=act_width)
    source, stage = pool_stage(config, "pool", MaxPool((2, 3), (2, 1)), (5, 6, 7), source=0,
                               frac=frac, nonnegative=nonnegative)
    assert stage.chosen.bias.tolist() == [-(1 << act_width - 1)] * 5
    assert stage.chosen.bias_shift == stage.chosen.shift == 0
    assert stage.layer.relu == nonnegative and stage.zeros == (not nonnegative)
    assert (source.frac, stage.layer.output_frac) == (frac, frac)
    np.testing.assert_array_equal(stage.layer.codes.toarray(), np.kron(np.eye(5), np.ones(6)))


@pytest.mark.parametrize("acc_depth, shape, strip", [
    (64, (4, 16, 16), 16),
    (64, (40, 16, 16), 4),     # ten channels in a PE: 40 results of a strip
    (4, (4, 16, 16), 4),       # as many results as accumulators
    (4, (20, 16, 16), 1),      # not even those of a pixel fit
    (64, (4, 16, 1), 8),       # kernels of whole rows: eight results in a row
])
def test_strips_are_long_if_that_needs_fewer_cycles(acc_depth, shape, strip):
    config = dataclasses.replace(CONFIG, acc_depth=acc_depth)
    _, stage = pool_stage(config, "pool", MaxPool((2, 1), (2, 1)), shape, source=0, frac=6,
                          nonnegative=True)
    assert stage.patches.loop == strip


def means(operation, shape=(3, 5, 8), frac=8):
    """Graph of one operation, whose node is "mean"."""
    return Graph({"x": shape}, (Node("mean", operation, ("x",)),), ("mean",),
                 {"x": 6, "mean": frac})


@pytest.mark.parametrize("operation, n", [
    (Mean((1, 2)), 40), (Mean((1, 2), keep=True), 40), (AveragePool((5, 8), (1, 1)), 40),
    (AveragePool((2, 2), (2, 2)), 4), (AveragePool((2, 4), (1, 3)), 8),
    (AveragePool((3, 3), (1, 2)), 9)], ids=str)
@pytest.mark.parametrize("frac", [5, 6, 9])
def test_layers_compute_means_within_the_error_of_their_weight(operation, n, frac):
    graph = means(operation, frac=frac)
    joined = join_nodes(graph, make_subgraph(graph, "x", graph.nodes))
    lowered = lower_graph_operations(joined, CONFIG)
    assert lowered.shapes == joined.shapes
    # Of numbers of 16 bits, as far as their means fit.
    x = np.random.default_rng(1).normal(size=(20, 3, 5, 8)) * 2.0 ** (9 - max(0, frac - 6))
    got, expected = (IntegerGraph(each, CONFIG).run({"x": x})["mean"] for each in (joined, graph))
    np.testing.assert_array_equal(got, IntegerGraph(inline_subgraphs(lowered), CONFIG).run(
        {"x": x})["mean"])
    is_exact = n & n - 1 == 0
    note = describe_rounding(CONFIG, average_layers(CONFIG, operation, (3, 5, 8), frac=6, to=frac))
    assert (note is None) == is_exact
    assert np.abs(got - expected).max() <= (0 if is_exact else 1)
    if not is_exact:
        assert "sums of 40 numbers by 0.0249996185, not 1/40" in note or n == 9


@pytest.mark.parametrize("operation, shape", [
    (AveragePool((2, 2), (2, 2), (1, 1, 0, 0)), (3, 5, 8)), (Mean((2,)), (3, 5, 8)),
    (Mean((0,)), (6,)), (Tanh(), (3, 5, 8))], ids=str)
def test_other_windows_are_left_to_the_host(operation, shape):
    assert average_layers(CONFIG, operation, shape, frac=6, to=6) is None


def test_names_of_layers_are_not_taken():
    nodes = (Node("mean.image", Tanh(), ("x",)), Node("mean", Mean((1, 2)), ("mean.image",)))
    graph = Graph({"x": (3, 5, 8)}, nodes, ("mean",), {"x": 6, "mean.image": 6, "mean": 6})
    lowered = lower_graph_operations(join_nodes(graph, make_subgraph(graph, "x", nodes)), CONFIG)
    assert [node.name for node in inline_subgraphs(lowered).nodes] == [
        "mean.image", "mean.image.image", "mean"]
