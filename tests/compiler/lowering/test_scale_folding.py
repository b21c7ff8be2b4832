"""Scales and quantisation in the layers before them, on machines with `scales`."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Affine, Clip, Mean, Quantise, Reshape, Subtract
from eie_compiler.graph.subgraphs import join_nodes, make_subgraph
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.scale_folding import fold_scales
from eie_compiler.lowering.scaled_layer import ScaledLayer
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph
from support.graphs import SAME_SIZE, random_convolution
from support.integer_models import (
    compress_quantised,
    quantised_model,
    quantised_perceptron,
    quantised_residual,
)

CONFIG = EIEConfig(n_pe=4, v_width=8, n_codebooks=8, act_depth=1024, spmat_depth=4096,
                   ptr_depth=4096, loops=True, local=True, maximum=True, scales=True)


@pytest.mark.parametrize("model", [
    quantised_perceptron(), quantised_perceptron(1, (9, 40, 5), (0, 100), ratio=200),
    quantised_model(), quantised_model(1, 6, pool=False, input_zero=-128),
    quantised_model(2, 13, shape=(3, 7, 7)), quantised_residual(),
    quantised_residual(1, (13, 4, 4), Subtract())],
    ids=["fc", "ratio", "conv", "mean", "odd", "sum", "difference"])
@pytest.mark.parametrize("n_pe", [1, 4, 16])
def test_quantised_models_are_one_program_within_a_step_of_real_numbers(model, n_pe):
    config = dataclasses.replace(CONFIG, n_pe=n_pe, act_depth=4096 // n_pe, acc_depth=128,
                                 spmat_depth=16384 // n_pe)
    network, x, real = compress_quantised(model)
    build = compile_graph(network, config)
    assert len(build.programs) == 1
    hosts = [row["operation"] for row in build.report["nodes"] if row["where"] == "host"]
    assert hosts == ["Quantise", "Affine"]    # of the input, and of the output
    found = infer_graph(build, {"x": x}, engine="golden").outputs["y"]
    np.testing.assert_array_equal(found, IntegerGraph(build.graph, config).run({"x": x})["y"])
    step = model.nodes[-1].computation.scale
    errors = np.abs(build.to_numbers({"y": found})["y"] - real["y"]) / step
    assert errors.max() < 1.01 and (errors > 0.5).mean() < 0.05
    assert np.ptp(real["y"]) > 10 * step


def with_nodes(network, *nodes, frac=5):
    """Graph of a convolution and further nodes, of one format."""
    shape = network.patches.shape
    return Graph({"x": shape}, (Node("conv", network, ("x",)), *nodes), (nodes[-1].name,),
                 {"x": network.input_frac, "conv": network.layers[-1].output_frac,
                  **{node.name: frac for node in nodes}})


def convolution(*, relu=False, n_rows=6):
    network = random_convolution((4, 6, 6), [n_rows], **SAME_SIZE)
    layer = dataclasses.replace(network.layers[0], relu=relu)
    return dataclasses.replace(network, layers=(layer,))


def fold(graph, **changes):
    """Nodes of a graph that is a subgraph, when its scales are folded."""
    return fold_scales(make_subgraph(graph, "x", graph.nodes),
                       dataclasses.replace(CONFIG, v_width=4, **changes)).body.nodes


SCALE = np.array([0.5, 1.5, 2, 0.01, 3, 1.25])[:, np.newaxis, np.newaxis]
SHIFT = np.linspace(-1, 2, 6)[:, np.newaxis, np.newaxis]


@pytest.mark.parametrize("relu", [False, True])
def test_a_normalisation_is_part_of_the_layer_and_so_is_a_relu_behind_it(relu):
    nodes = [Node("norm", Affine(SCALE, SHIFT), ("conv",)),
             *[Node("relu", Clip(0.0, np.inf), ("norm",))] * relu]
    graph = with_nodes(convolution(), *nodes)
    folded = fold(graph)
    (layer,) = folded[0].computation.layers
    assert isinstance(layer, ScaledLayer) and layer.scale.tolist() == SCALE.ravel().tolist()
    assert isinstance(folded[1].computation, Reshape)
    config = dataclasses.replace(CONFIG, v_width=4)
    build = compile_graph(graph, config)
    assert list(build.programs) == [nodes[-1].name]
    assert len(build.programs[nodes[-1].name].layers) == 1
    x = np.random.default_rng(1).normal(size=(5, 4, 6, 6))
    found = infer_graph(build, {"x": x}, engine="golden").outputs
    exact = IntegerGraph(build.graph, config).run({"x": x})
    host = IntegerGraph(graph, config).run({"x": x})
    for name, words in found.items():
        np.testing.assert_array_equal(words, exact[name])
        assert 0 < np.abs(words - host[name]).max() <= 4    # the host rounds twice


def test_great_biases_of_rows_with_small_scales_cost_the_others_no_precision():
    scale = np.where(np.arange(6) % 2, 1.0, 0.001)[:, np.newaxis, np.newaxis]
    graph = with_nodes(convolution(), Node("y", Affine(scale, 3.0), ("conv",)), frac=10)
    build = compile_graph(graph, dataclasses.replace(CONFIG, v_width=4))
    assert list(build.programs) == ["conv"]
    assert "computed by the host: node 'y': shifts must be biases" in build.report["notes"][0]
    # The same shift of all results is a bias of each.
    assert isinstance(fold(with_nodes(convolution(), Node("y", Affine(ROWS, 3.0), ("conv",))))[0]
                      .computation.layers[0], ScaledLayer)


@pytest.mark.parametrize("operation", [Affine(SCALE, 0.0), Quantise(SCALE, -128, 127)])
def test_different_scales_do_not_cost_weights_their_bits(operation):
    frac = 7 if isinstance(operation, Quantise) else 5
    graph = with_nodes(convolution(), Node("y", operation, ("conv",)), frac=frac)
    assert isinstance(fold(graph, acc_width=32)[0].computation.layers[0], ScaledLayer)
    with pytest.raises(CompileError, match="^node 'y': scales must leave weights as exact as "
                                           r"without them, to .*, not .*: widen accumulators"):
        fold(graph, acc_width=31, codebook_width=12)    # with right shifts of up to 15


def test_scales_above_zero_pass_through_a_relu():
    graph = with_nodes(convolution(relu=True), Node("y", Affine(SCALE, 0.0), ("conv",)))
    (layer,) = fold(graph)[0].computation.layers
    assert layer.relu and layer.output_frac == 5


@pytest.mark.parametrize("keep", [False, True])
def test_quantised_means(keep):
    nodes = (Node("mean", Mean((1, 2), keep), ("conv",)),
             Node("y", Quantise(0.5, -128, 127), ("mean",)))
    graph = with_nodes(convolution(), *nodes, frac=7)
    config = dataclasses.replace(CONFIG, v_width=4)
    build = compile_graph(graph, config)
    assert list(build.programs) == ["y"] and build.graph.shapes["y"] == ((6, 1, 1) if keep
                                                                         else (6,))
    x = np.random.default_rng(1).normal(size=(5, 4, 6, 6)) * 10
    found = infer_graph(build, {"x": x}, engine="golden").outputs["y"]
    np.testing.assert_array_equal(found, IntegerGraph(build.graph, config).run({"x": x})["y"])
    assert len(np.unique(found)) > 3 and not (found % 128).any()


@pytest.mark.parametrize("frac, limits, host", [
    (7, (-128, 127), []), (0, (0, 32767), ["Quantise"])], ids=["bytes", "too wide"])
def test_a_relu_of_integers_is_not_lost(frac, limits, host):
    nodes = (Node("q", Quantise(0.5, *limits), ("conv",)), Node("y", Clip(0.0, np.inf), ("q",)))
    config = dataclasses.replace(CONFIG, v_width=4)
    build = compile_graph(with_nodes(convolution(), *nodes, frac=frac), config)
    assert [row["operation"] for row in build.report["nodes"] if row["where"] == "host"][:1] == host
    x = np.random.default_rng(1).normal(size=(5, 4, 6, 6)) * 10
    found = infer_graph(build, {"x": x}, engine="golden").outputs["y"]
    np.testing.assert_array_equal(found, IntegerGraph(build.graph, config).run({"x": x})["y"])
    assert found.min() == 0 and found.max() > 3


ROWS = np.ones((6, 1, 1))


@pytest.mark.parametrize("nodes, message", [
    ([Node("y", Affine(ROWS * 0, 1.0), ("conv",))], "scales of rows must be above 0"),
    ([Node("y", Affine(ROWS * -1, 1.0), ("conv",))], "scales of rows must be above 0"),
    ([Node("y", Affine(np.arange(36.0).reshape(6, 6) + 1, 0.0), ("conv",))],
     "constants must be one number for each row"),
    ([Node("y", Affine(np.where(ROWS.cumsum(0) > 1, 1, 1e-4), 1.0), ("conv",))],
     "shifts must be biases that act_width = 16 bits hold precisely enough for scales of up to 1, "
     "not of up to 9999.88"),
    ([Node("y", Affine(ROWS * 1e-320, 1.0), ("conv",))], "shifts must be biases .* to inf$"),
    ([Node("a", Affine(2.0, 0.0), ("conv",)), Node("y", Affine(ROWS * 3, 0.0), ("a",))],
     "only one scale, or quantisation, can be part of a layer"),
    ([Node("a", Affine(2.0, 0.0), ("conv",)), Node("y", Add(), ("a", "conv"))],
     "scales must be those of layers, whose results nothing else reads"),
    ([Node("a", Add(), ("conv", "conv")), Node("y", Affine(2.0, 0.0), ("a",))],
     "scales must be those of layers"),
    ([Node("y", Quantise(1.0, 0, 6), ("conv",))], "integers must be all of some number of bits")])
def test_other_scales_are_left_to_the_host(nodes, message):
    graph = with_nodes(convolution(), *nodes)
    with pytest.raises(CompileError, match=rf"^node '[ay]': {message}"):
        fold(graph)


@pytest.mark.parametrize("operation, message", [
    (Affine(2.0, 1.0), "results of a ReLU must have no shift"),
    (Quantise(1.0, -128, 127), "results of a ReLU must be quantised from 0 on")])
def test_what_a_relu_does_not_let_pass(operation, message):
    frac = 7 if isinstance(operation, Quantise) else 5
    with pytest.raises(CompileError, match=message):
        fold(with_nodes(convolution(relu=True), Node("y", operation, ("conv",)), frac=frac))


@pytest.mark.parametrize("nodes", [
    [Node("y", Affine(2.0, 1.0), ("fc",))], [Node("y", Quantise(1.0, -128, 127), ("fc",))],
    [Node("sum", Add(), ("fc", "flat")), Node("y", Quantise(1.0, -128, 127), ("sum",))]])
def test_vectors_in_a_sequence_are_left_to_the_host(nodes):
    fc = random_network(np.random.default_rng(1), [36, 36], frac=6, density=0.2)
    graph = with_nodes(convolution(), Node("flat", Reshape((6, 36)), ("conv",)),
                       Node("fc", fc, ("flat",)), *nodes, frac=6)
    with pytest.raises(CompileError, match=r"^node 'y': tensors must be images or vectors, not of "
                                           r"shape \(6, 36\)"):
        fold(graph)
    build = compile_graph(graph, dataclasses.replace(CONFIG, v_width=4))
    assert "y" in {row["path"] for row in build.report["nodes"] if row["where"] == "host"}


def test_a_machine_without_scales_leaves_them_to_the_host_and_says_so():
    graph = with_nodes(convolution(), Node("y", Quantise(1.0, -128, 127), ("conv",)), frac=7)
    with pytest.raises(CompileError, match="scales must be true for scales of rows"):
        fold(graph, scales=False)
    config = dataclasses.replace(CONFIG, v_width=4, scales=False)
    build = compile_graph(graph, config)
    assert list(build.programs) == ["conv"]
    assert "computed by the host: node 'y': scales must be true for scales of rows" \
        in build.report["notes"]
    network, *_ = compress_quantised(quantised_perceptron())
    assert compile_graph(network, EIEConfig(v_width=8)).report["notes"] == [
        "computed by the host: quantisation of 4 tensors: loops and scales must be true for it"]
    joined = join_nodes(graph, make_subgraph(graph, "x", graph.nodes))
    again = compile_graph(joined, config)    # of a build for another machine
    assert list(again.programs) == ["conv"]
