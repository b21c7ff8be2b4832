"""Rows of different magnitudes, whose results the host scales."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.compression.row_scales import repeat_scales, scale_rows
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Affine, Quantise, Tanh
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches

N_SHARED = 15


def unequal(n_rows, n_cols, *, relu=True, great=500.0):
    """Layer with one row that is far greater than the others."""
    rng = np.random.default_rng(n_rows)
    weight, bias = rng.normal(size=(n_rows, n_cols)), rng.normal(size=n_rows)
    weight[2] *= great
    return ModelLayer("fc", weight, bias * [1, 1, great, *[1] * (n_rows - 3)], relu)


def chain(*layers, patches=None, shape=(6,), outputs=("tanh",)):
    return Graph({"x": shape}, (Node("fc", Model(layers, patches), ("x",)),
                                Node("tanh", Tanh(), ("fc",))), outputs)


@pytest.mark.parametrize("graph", [
    chain(unequal(9, 6)), chain(unequal(9, 6, relu=False)),
    chain(ModelLayer("before", np.eye(6)), unequal(9, 6)),
    chain(unequal(9, 4), shape=(1, 5, 5), patches=Patches((1, 5, 5), (2, 2)))])
def test_results_do_not_change_and_rows_are_equal(graph):
    scaled = scale_rows(graph, N_SHARED)
    assert [node.name for node in scaled.nodes] == ["fc", "fc_scaled", "tanh"]
    assert scaled.nodes[2].inputs == ("fc_scaled",)
    greatest = np.abs(scaled.nodes[0].computation.layers[-1].weight).max(axis=1)
    assert greatest.max() < 3 * np.median(greatest)
    x = {"x": np.random.default_rng(1).normal(size=(4, *graph.inputs["x"]))}
    np.testing.assert_array_equal(evaluate_real(scaled, x)["tanh"],
                                  evaluate_real(graph, x)["tanh"])
    assert len(scale_rows(scaled, N_SHARED).nodes) == 3


@pytest.mark.parametrize("graph", [
    chain(unequal(9, 6, great=4.0)), chain(unequal(9, 6), outputs=("tanh", "fc")),
    chain(ModelLayer("fc", np.diag(2.0 ** np.arange(6)))),
    chain(ModelLayer("fc", np.zeros((3, 6))))])
def test_rows_that_are_equal_shared_or_wanted_stay(graph):
    assert [node.name for node in scale_rows(graph, N_SHARED).nodes] == ["fc", "tanh"]


def test_rows_of_a_step_are_scaled_but_not_those_of_its_results():
    body = Graph({"x": (6,), "s": (9,)}, (
        Node("inner", Model((unequal(9, 6),)), ("x",)), Node("y", Tanh(), ("inner",)),
        Node("next", Model((unequal(9, 9),)), ("s",))), ("y",))
    graph = Graph({"x": (3, 6)}, (Node("scan", Scan(body, (("s", "next"),)), ("x",)),), ("scan",))
    scaled = scale_rows(graph, N_SHARED)
    assert [path for path, _ in scaled.walk()] == [
        "scan", "scan/inner", "scan/inner_scaled", "scan/y", "scan/next"]
    x = {"x": np.random.default_rng(1).normal(size=(4, 3, 6))}
    np.testing.assert_array_equal(evaluate_real(scaled, x)["scan"],
                                  evaluate_real(graph, x)["scan"])


def test_a_row_of_zeros_keeps_its_scale():
    layer = unequal(9, 6)
    layer.weight[4] = 0
    factors = scale_rows(chain(layer), N_SHARED).nodes[1].computation
    assert isinstance(factors, Affine) and factors.scale[4] == 1 and factors.scale[2] > 100


def test_small_rows_and_their_biases_keep_their_scale():
    layer = unequal(9, 6)
    layer.weight[4] /= 1024
    fc, scaled = scale_rows(chain(layer), N_SHARED).nodes[:2]
    assert scaled.computation.scale[4] == 1
    np.testing.assert_array_equal(fc.computation.layers[0].bias[4], layer.bias[4])


@pytest.mark.parametrize("inside", [False, True])
def test_scales_of_a_network_are_repeated_in_its_model(inside):
    graph = chain(unequal(9, 4), shape=(1, 5, 5), patches=Patches((1, 5, 5), (2, 2)))
    if inside:
        shape = 3, *graph.inputs["x"]
        graph = Graph({"x": shape}, (Node("scan", Scan(graph, ()), ("x",)),), ("scan",))
    scaled = scale_rows(graph, N_SHARED)
    x = {"x": np.random.default_rng(1).normal(size=(4, *graph.inputs["x"]))}
    network = compress_graph(graph, x)
    for model in (graph, scaled):
        found = repeat_scales(model, network)
        assert [path for path, _ in found.walk()] == [path for path, _ in network.walk()]
        for (_, one), (_, other) in zip(found.walk(), scaled.walk()):
            if isinstance(one.computation, Model):
                np.testing.assert_array_equal(one.computation.layers[0].weight,
                                              other.computation.layers[0].weight)


def test_retrained_weights_stay_exact_when_a_graph_is_compressed():
    layer = unequal(9, 6, great=1.0)
    layer.weight[:] = np.round(layer.weight)    # few values, with rows of different magnitudes
    layer.weight[2] *= 2.0 ** 9
    x = {"x": np.random.default_rng(1).normal(size=(50, 6))}
    network = compress_graph(chain(layer), x)
    assert [node.name for node in network.nodes] == ["fc", "tanh"]
    np.testing.assert_array_equal(
        decompress_graph(network).nodes[0].computation.layers[0].weight, layer.weight)


def test_shared_weights_are_more_exact_for_scaled_rows():
    graph = chain(unequal(40, 6))
    x = {"x": np.random.default_rng(1).normal(size=(50, 6))}
    exact = evaluate_real(graph, x)["tanh"]
    as_output = dataclasses.replace(graph, outputs=("tanh", "fc"))    # which stays
    errors = [np.abs(evaluate_real(decompress_graph(compress_graph(model, x)), x)["tanh"]
                     - exact).mean() for model in (as_output, graph)]
    assert errors[1] < 0.8 * errors[0]


def quantised_graph(weight, *, relu=False, outputs=("q",), shape=(6,), patches=None):
    return Graph({"x": shape}, (
        Node("fc", Model((ModelLayer("fc", weight, np.arange(len(weight)) - 2.0, relu),), patches),
             ("x",)),
        Node("q", Quantise(0.07, -128, 127), ("fc",))), outputs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape, patches", [((6,), None), ((1, 5, 7), Patches((1, 5, 7), (2, 3)))])
def test_scales_of_quantised_rows_leave_integers(seed, shape, patches):
    rng = np.random.default_rng(seed)
    integers = rng.integers(-127, 128, (9, 6))
    integers[:, 0] = 127
    graph = quantised_graph(integers * np.exp(rng.normal(size=9))[:, np.newaxis], shape=shape,
                            patches=patches)
    scaled = scale_rows(graph, 255)
    assert [node.name for node in scaled.nodes] == ["fc", "q"]
    np.testing.assert_array_equal(scaled.nodes[0].computation.layers[0].weight, integers)
    x = {"x": rng.normal(size=(20, *shape))}
    np.testing.assert_array_equal(evaluate_real(scaled, x)["q"], evaluate_real(graph, x)["q"])
    for model in (graph, scaled):    # before and after
        again = repeat_scales(model, scaled)
        np.testing.assert_allclose(again.nodes[0].computation.layers[0].weight, integers)
        np.testing.assert_allclose(again.nodes[1].computation.scale,
                                   scaled.nodes[1].computation.scale)


def test_rows_of_too_many_integers_get_one_magnitude():
    rng, rows = np.random.default_rng(1), [[1], [2], [300], [4], [0]]
    weight = rng.normal(size=(5, 6)) * rows
    for given in (weight, rng.integers(-12, 13, (5, 6)) * np.array(rows, float)):
        scaled = scale_rows(quantised_graph(given), N_SHARED)
        found = scaled.nodes[0].computation.layers[0].weight
        assert np.abs(found).max(axis=1) == pytest.approx([1, 1, 1, 1, 0])
    assert scale_rows(quantised_graph(weight), N_SHARED).notes == ()
    assert scaled.notes == (
        "weights of 'fc' are integers, times a scale of each row: they are exact with v_width = 5 "
        "(`eie compress --v-width 5`), on a machine with v_width = 5",)


def test_rows_that_are_also_read_before_they_are_quantised_are_no_integers():
    graph = quantised_graph(np.arange(54.0).reshape(9, 6) * 0.1, outputs=("q", "fc"))
    scaled = scale_rows(graph, 255)
    assert scaled.nodes[1].computation.scale == 0.07


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("great", [1.0, 500.0])
def test_a_normalisation_takes_the_scales_of_rows_and_their_signs(relu, great):
    rng = np.random.default_rng(3)
    scale = rng.normal(size=(9, 1, 1)) * [[[-1.0]]] ** np.arange(9)[:, np.newaxis, np.newaxis]
    graph = Graph({"x": (1, 5, 5)}, (
        Node("conv", Model((unequal(9, 4, relu=relu, great=great),), Patches((1, 5, 5), (2, 2))),
             ("x",)),
        Node("norm", Affine(scale, 0.3), ("conv",)), Node("tanh", Tanh(), ("norm",))), ("tanh",))
    scaled = scale_rows(graph, N_SHARED)
    assert [node.name for node in scaled.nodes] == ["conv", "norm", "tanh"]
    found = scaled.nodes[1].computation.scale
    assert (found < 0).any() if relu else (found > 0).all()
    assert (np.abs(found) > 20 * np.abs(scale)).any() == (great > 1)
    x = {"x": rng.normal(size=(4, 1, 5, 5))}
    np.testing.assert_array_equal(evaluate_real(scaled, x)["tanh"],
                                  evaluate_real(graph, x)["tanh"])
    for model in (graph, scaled):
        again = repeat_scales(model, scaled)
        np.testing.assert_array_equal(again.nodes[1].computation.scale, found)
        np.testing.assert_array_equal(again.nodes[0].computation.layers[0].weight,
                                      scaled.nodes[0].computation.layers[0].weight)


def test_a_tensor_that_is_read_beside_its_scale_gets_another_one():
    nodes = (Node("fc", Model((unequal(9, 6),)), ("x",)), Node("a", Affine(-2.0, 0.0), ("fc",)),
             Node("b", Tanh(), ("fc",)))
    graph = Graph({"x": (6,)}, nodes, ("a", "b"))
    scaled = scale_rows(graph, N_SHARED)
    assert [node.name for node in scaled.nodes] == ["fc", "fc_scaled", "a", "b"]
    x = {"x": np.random.default_rng(1).normal(size=(4, 6))}
    found, real = evaluate_real(scaled, x), evaluate_real(graph, x)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], real[name])


@pytest.mark.parametrize("relu", [False, True])
def test_a_row_with_the_scale_zero_stays_so_that_its_model_is_known(relu):
    scale = np.where(np.arange(9) == 2, 0.0, np.where(np.arange(9) == 5, -1.0, 1.0))
    layer = unequal(9, 6, relu=relu)
    layer.weight[7] *= 900
    graph = Graph({"x": (6,)}, (Node("fc", Model((layer,)), ("x",)),
                                Node("y", Affine(scale, 0.5), ("fc",))), ("y",))
    scaled = scale_rows(graph, N_SHARED)
    one, again = (each.nodes[0].computation.layers[0].weight
                  for each in (scaled, repeat_scales(graph, scaled)))
    np.testing.assert_array_equal(one, again)
    assert (one[2] == layer.weight[2]).all() and np.abs(one[7]).max() < 10
    assert (one[5] == layer.weight[5] * (1 if relu else -1)).all()


def test_a_scale_of_columns_of_an_image_takes_none():
    graph = Graph({"x": (1, 5, 5)}, (
        Node("conv", Model((unequal(4, 4),), Patches((1, 5, 5), (2, 2))), ("x",)),
        Node("y", Affine(-np.arange(1.0, 5), 0.0), ("conv",)), Node("tanh", Tanh(), ("y",))),
        ("tanh",))
    assert [node.name for node in scale_rows(graph, N_SHARED).nodes] == [
        "conv", "conv_scaled", "y", "tanh"]
