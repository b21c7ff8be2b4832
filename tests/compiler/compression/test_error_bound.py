"""Bounds of errors of graphs, against the errors of random ones."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.compression.error_bound import ErrorBound
from eie_compiler.compression.graph import compress_graph
from eie_compiler.compression.graph_layers import decompress_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.layers import replace_layers
from eie_compiler.graph.operations import (
    Clip,
    HardSwish,
    LeakyRelu,
    Mean,
    Multiply,
    Reverse,
    Sigmoid,
    Sign,
    Subtract,
    Tanh,
)
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.model import Model, ModelLayer
from eie_compiler.network import CompressedNetwork, Layer
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_compiler.vectors import dequantise
from eie_hdl.config import PRESETS, EIEConfig
from support.graphs import (
    recurrent_model,
    recurrent_network,
    residual_network,
    scaled_inputs,
    scaled_network,
)
from support.random_graphs import SHAPE, random_graph

CONFIG = EIEConfig()
#: Number that float64 rounds away beside 1.
TINY = 2.0 ** -80
NARROW = dataclasses.replace(CONFIG, act_width=6)


def compare(network, model, config, inputs):
    """Compute the errors of all tensors and their bounds, and compare them."""
    found = ErrorBound(network, model, config).run(inputs)
    machine = IntegerGraph(network, config)
    words, real = machine.run(inputs), evaluate_real(model, inputs)
    errors, bounds = [], []
    for name, (numbers, bound) in found.items():
        np.testing.assert_array_equal(numbers, dequantise(words[name], machine.fracs[name]))
        errors.append(np.abs(numbers - real[name]).ravel())
        bounds.append(bound.ravel())
    error, bound = np.concatenate(errors), np.concatenate(bounds)
    within = error <= bound
    assert within.all(), f"{error[~within]} exceed {bound[~within]}"
    return error, bound


@pytest.mark.parametrize("config, scale", [(CONFIG, 1.0), (CONFIG, 2000.0), (NARROW, 0.5),
                                           (NARROW, 3.0)])
def test_no_error_of_random_graphs_exceeds_its_bound(config, scale):
    ratios = []
    for seed in range(25):
        graph = random_graph(seed)
        inputs = {"x": scale * np.random.default_rng(seed).normal(size=(4, *SHAPE))}
        error, bound = compare(graph, decompress_graph(graph), config, inputs)
        ratios.append(np.median(bound[error > 0] / error[error > 0]))
    assert np.median(ratios) < 10


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("make", [residual_network, recurrent_network, scaled_network])
def test_no_error_of_layers_and_states_exceeds_its_bound(make, scale):
    network = make(PRESETS["tiny"])
    (name, shape), = network.inputs.items()
    inputs = {name: scale * (scaled_inputs(8) if network.preprocessing else
                             np.random.default_rng(1).normal(size=(8, *shape)))}
    error, bound = compare(network, decompress_graph(network), PRESETS["tiny"], inputs)
    assert bound.mean() < 20 * error.mean()


@pytest.mark.parametrize("v_width", [2, 3])
def test_the_change_of_the_weights_is_part_of_the_bound(v_width):
    model = recurrent_model(
        Node("hard", HardSwish(), ("last",)), Node("leaky", LeakyRelu(-0.5), ("last",)),
        Node("logistic", Sigmoid(), ("hard",)), Node("clipped", Clip(-0.1, 0.1), ("leaky",)),
        Node("difference", Subtract(), ("logistic", "clipped")), outputs=("difference",))
    inputs = {"x": np.random.default_rng(2).normal(size=(20, 5, 6))}
    network = compress_graph(model, inputs, v_width=v_width)
    config = dataclasses.replace(CONFIG, v_width=v_width)
    error, bound = compare(network, model, config, inputs)
    assert bound.mean() < 20 * error.mean()
    shared = compare(network, decompress_graph(network), config, inputs)[1]
    assert shared.mean() < bound.mean()


def check_beyond_float64(network, model, inputs, exact, name="y"):
    """Check the bound of a tensor of one element against a fraction that float64 rounds."""
    found = ErrorBound(network, model, CONFIG).run(inputs)[name]
    distance = abs(Fraction(found.numbers.item()) - exact)
    assert distance <= Fraction(found.errors.item()) <= distance + Fraction(1, 2 ** 8)


def host_graph(computation, names, shape, **fracs):
    return Graph(dict.fromkeys(names, shape), (Node("y", computation, names),), ("y",),
                 {**dict.fromkeys(names, 8), **fracs})


def test_a_difference_that_float64_rounds_is_part_of_the_bound():
    graph = host_graph(Subtract(), ("a", "b"), (1,), y=8)
    check_beyond_float64(graph, graph, {"a": np.full((1, 1), 64.0), "b": np.full((1, 1), TINY)},
                         64 - Fraction(TINY))


def test_a_mean_whose_sum_float64_rounds_is_part_of_the_bound():
    n, great = 1 << 18, 2.0 ** 17
    x = np.full(n, great)
    # Sums of these lose the half of a unit in the last place.
    x[:n // 2:16] = np.nextafter(great, 0)
    x[n // 2:] = -great
    x[1] += 8    # The mean of the words is just half a step.
    graph = host_graph(Mean((0,)), ("x",), (n,), x=-3, y=14)
    exact = Fraction(8, n) - Fraction(1, 2 ** 36) / 32
    check_beyond_float64(graph, graph, {"x": x[None]}, exact)


def test_preprocessing_with_a_great_offset_is_part_of_the_bound():
    graph = dataclasses.replace(host_graph(Reverse(0), ("x",), (1,), y=8), preprocessing={
        "x": Preprocessing(np.array([-64.0]), np.array([1.0]))})
    check_beyond_float64(graph, graph, {"x": np.full((1, 1), TINY)}, 64 + Fraction(TINY),
                         name="x")


@pytest.mark.parametrize("weights, bias, relu, x, exact", [
    # Changes of the weights and of the bias cancel.
    ([0.0, -TINY], 1.0, False, [1.0, 1.0], 1 - Fraction(TINY)),
    # Errors of the inputs add up.
    ([1.0, 1.0], 0.0, False, [2.0 ** -10, TINY], Fraction(1, 1024) + Fraction(TINY)),
    # One of them is added to the result.
    ([1.0, 1.0], 0.0, True, [1.0, TINY], 1 + Fraction(TINY)),
])
def test_sums_of_a_layer_that_float64_rounds_are_part_of_the_bound(weights, bias, relu, x, exact):
    stored = np.array([1.0, 1.0 if weights[0] else 0.0])
    layer = Layer("fc", csc_array(stored[None].astype(np.uint8)), np.eye(16)[1], np.zeros(1),
                  relu, 8, max_weight_frac=0)
    model, network = (
        Graph({"x": (2,)}, (Node("y", layers, ("x",)),), ("y",), fracs) for layers, fracs in (
            (Model((ModelLayer("fc", np.array([weights]), np.array([bias]), relu),)), None),
            (CompressedNetwork((layer,), 8, 4), {"x": 8, "y": 8})))
    check_beyond_float64(network, model, {"x": np.array([x])}, exact)


def test_layers_whose_scales_compression_moves_have_bounds():
    rng = np.random.default_rng(3)
    scales = 2.0 ** rng.integers(-6, 6, 12)
    layers = (ModelLayer("one", scales[:, None] * rng.normal(size=(12, 8)),
                         scales * rng.normal(size=12), relu=True),
              ModelLayer("two", rng.normal(size=(3, 12)) / scales, rng.normal(size=3)))
    model = Graph({"x": (8,)}, (Node("fc", Model(layers), ("x",)),), ("fc",))
    inputs = {"x": rng.normal(size=(30, 8))}
    error, bound = compare(compress_graph(model, inputs, v_width=4), model, CONFIG, inputs)
    assert bound.mean() < 20 * error.mean()


def test_bounds_are_to_the_model_before_its_rows_were_scaled():
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(9, 6))
    weight[2] *= 1000
    model = Graph({"x": (6,)}, (Node("fc", Model((ModelLayer("fc", weight),)), ("x",)),
                                Node("tanh", Tanh(), ("fc",))), ("tanh",))
    inputs = {"x": rng.normal(size=(30, 6))}
    network = compress_graph(model, inputs, v_width=4)
    assert [node.name for node in network.nodes] == ["fc", "fc_scaled", "tanh"]
    numbers, bound = ErrorBound(network, model, CONFIG).run(inputs)["tanh"]
    errors = np.abs(numbers - evaluate_real(model, inputs)["tanh"])
    assert (errors <= bound).all() and bound.mean() < 20 * errors.mean()


def test_a_sign_that_may_change_has_the_bound_two():
    layer = Model((ModelLayer("fc", np.eye(3)),))
    model = Graph({"x": (3,)}, (Node("fc", layer, ("x",)), Node("sign", Sign(), ("fc",))),
                  ("sign",))
    inputs = {"x": np.array([[0.7, -0.5, 1e-6]])}
    network = compress_graph(model, {"x": np.eye(3)}, v_width=4)
    found = ErrorBound(network, model, CONFIG).run(inputs)
    assert found["sign"].errors[0, :2].max() < 1e-6 and found["sign"].errors[0, 2] >= 1


def test_errors_without_a_bound_are_infinite():
    fc = random_network(np.random.default_rng(0), [3, 3], frac=8)
    network = Graph({"x": (3,)}, (Node("fc", fc, ("x",)),
                                   Node("product", Multiply(), ("fc", "x"))),
                    ("product",), {"x": 8, "fc": 8, "product": 8})
    beyond = replace_layers(decompress_graph(network), lambda path, model: dataclasses.replace(
        model, layers=(dataclasses.replace(model.layers[0], weight=np.full((3, 3), 1e307)),)))
    found = ErrorBound(network, beyond, CONFIG).run({"x": np.array([[0.0, 90.0, 90.0]])})
    assert np.isinf(found["product"].errors).all()
