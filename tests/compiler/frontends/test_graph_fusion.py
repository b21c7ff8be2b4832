"""Layers that absorb constants and ReLU, and follow one another."""

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.frontends import folding
from eie_compiler.frontends.graph_builder import GraphBuilder
from eie_compiler.frontends.graph_fusion import fuse
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.operations import Add, Affine, Clip, Sign, Tanh
from eie_compiler.patches import Patches

RNG = np.random.default_rng(0)
RELU = Clip(0.0, np.inf)


def build(steps, shape=(4,), *, keep=()):
    """Build a graph of successive steps: operations, or layers (n_out, patches)."""
    builder = GraphBuilder({"x": shape})
    name = "x"
    for number, step in enumerate(steps):
        if isinstance(step, tuple):
            n_out, patches = step
            n_in = builder.shapes[name][-1] if patches is None else patches.n_inputs
            name = builder.add_layer(f"n{number}", RNG.normal(size=(n_out, n_in)),
                                     RNG.normal(size=n_out), name, patches)
        else:
            name = builder.add(f"n{number}", step, name, keep=number in keep)
    return builder, name


def check(builder, name):
    """Check that fusion does not change results; return the names of the nodes."""
    x = RNG.normal(size=(3, *builder.shapes["x"]))
    graph = builder.graph([name])
    whole, values = list(builder._nodes.values()), {"x": x}
    for node in whole:    # each node by itself
        part = GraphBuilder({operand: values[operand].shape[1:] for operand in node.inputs})
        one = part.add("y", node.computation, *node.inputs)
        values[node.name] = evaluate_real(part.graph([one]), values)[one]
    np.testing.assert_allclose(evaluate_real(graph, {"x": x})[graph.outputs[0]], values[name],
                               atol=1e-12)
    return [node.name for node in graph.nodes]


FC, WIDE = (5, None), (3, Patches((2, 4, 4), (3, 3), padding=(1, 1, 1, 1)))
IMAGE = (2, 4, 4)
CHANNELS = Affine(np.array([2.0, 3.0]).reshape(2, 1, 1), np.array([1.0, 0.5]).reshape(2, 1, 1))


@pytest.mark.parametrize("steps, shape, nodes", [
    ([FC, RELU, (3, None), Affine(2.0, np.arange(3.0)), RELU], (4,), ["n0"]),
    ([FC, RELU, Affine(np.arange(5.0), 1.0), (3, None)], (4,), ["n0"]),
    ([FC, Tanh(), (3, None)], (4,), ["n0", "n1", "n2"]),
    ([Affine(0.5, 2.0), FC], (4,), ["n1"]),
    # Scales that differ, and great shifts, remain before a first layer, or become preprocessing.
    ([Affine(np.arange(4.0), 2.0), FC], (4,), ["n0", "n1"]),
    ([Affine(1.0, 99.0), FC], (4,), ["n1"]),
    ([Affine(0.5, 2.0), Affine(np.arange(4.0), 2.0), Tanh()], (4,), ["n0", "n2"]),
    # Zeros around an image are not shifted.
    ([Affine(2.0, 0.0), WIDE, RELU, (2, Patches((3, 4, 4)))], IMAGE, ["n1"]),
    ([Affine(2.0, 1.0), WIDE], IMAGE, ["n1"]),
    ([CHANNELS, WIDE, (4, Patches((3, 4, 4), stride=(2, 2)))], IMAGE, ["n1", "n2"]),
    ([(2, Patches(IMAGE)), CHANNELS, RELU, CHANNELS, (3, Patches(IMAGE))], IMAGE, ["n0"]),
    # One number for each column is none for each row.
    ([WIDE, Affine(np.arange(4.0), 0.0)], IMAGE, ["n0", "n1"]),
    ([FC, Clip(0.0, 6.0)], (4,), ["n0", "n1"]),
])
def test_nodes_are_fused_as_far_as_results_are_the_same(steps, shape, nodes):
    assert check(*build(steps, shape)) == nodes


def test_what_something_else_reads_is_not_fused():
    builder, name = build([FC])
    relu = builder.add("relu", RELU, name)
    assert check(builder, builder.add("sum", Add(), name, relu)) == ["n0", "relu", "sum"]
    nodes, outputs = fuse(list(builder._nodes.values())[:2], [name, relu], set(), builder.shapes)
    assert [node.name for node in nodes] == ["n0", "relu"] and outputs == ("n0", "relu")


def test_kept_nodes_are_not_fused():
    assert check(*build([FC, Affine(2.0, 1.0), RELU, FC], keep={1})) == ["n0", "n1", "n2", "n3"]


def test_groups_of_a_matrix_are_sparse():
    weight = RNG.normal(size=(4, 3))
    matrix = folding.ungroup(weight, 2)
    assert matrix.nnz == 12
    np.testing.assert_array_equal(matrix.toarray()[:2, :3], weight[:2])
    np.testing.assert_array_equal(matrix.toarray()[2:, 3:], weight[2:])


@pytest.mark.parametrize("sparse", [False, True])
def test_binary_weights_before_a_sign_lose_their_scales(sparse):
    builder = GraphBuilder({"x": (6,)})
    signs = RNG.choice([-1.0, 0.0, 1.0], (4, 6))
    signs[3] = 0
    weight, bias = signs * RNG.uniform(0.1, 3, (4, 1)), RNG.normal(size=4)
    fc = builder.add_layer("fc", csc_array(weight) if sparse else weight, bias, "x")
    norm = builder.add("norm", Affine(np.array([2.0, -0.7, 0.3, 5.0]), RNG.normal(size=4)), fc)
    name = builder.add("sign", Sign(), norm)
    assert check(builder, name) == ["fc", "sign"]
    layer, = builder.graph([name]).nodes[0].computation.layers
    assert isinstance(layer.weight, csc_array) == sparse
    found = layer.weight.toarray() if sparse else layer.weight
    np.testing.assert_array_equal(found, signs * [[1], [-1], [1], [1]])


@pytest.mark.parametrize("weight, reader", [
    (np.array([[1.0, -1.0], [2.0, 3.0]]), Sign()),    # a row of two magnitudes
    (np.array([[1.0, -1.0], [2.0, 2.0]]), Tanh()),
])
def test_other_weights_keep_their_scales(weight, reader):
    builder = GraphBuilder({"x": (2,)})
    name = builder.add("y", reader, builder.add_layer("fc", weight, np.ones(2), "x"))
    layer, = builder.graph([name]).nodes[0].computation.layers
    np.testing.assert_array_equal(layer.weight, weight)


def test_weights_whose_results_are_also_read_elsewhere_keep_their_scales():
    builder = GraphBuilder({"x": (2,)})
    fc = builder.add_layer("fc", np.array([[3.0, -3.0]]), np.ones(1), "x")
    graph = builder.graph([builder.add("sign", Sign(), fc), fc])
    np.testing.assert_array_equal(graph.nodes[0].computation.layers[0].weight, [[3, -3]])
