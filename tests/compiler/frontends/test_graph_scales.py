"""Scales of quantised tensors: only integers remain between layers, and results are the same.

They move by the rules of `eie_compiler.frontends.graph_integers`.
"""

import numpy as np
import pytest

from eie_compiler.frontends.graph_builder import GraphBuilder
from eie_compiler.frontends.graph_scales import move_scales
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph
from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    LeakyRelu,
    Maximum,
    MaxPool,
    Mean,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)
from eie_compiler.patches import Patches

IMAGE = (2, 4, 4)
RELU = Clip(0.0, np.inf)
CONV = Patches(IMAGE, (3, 3), padding=(1, 1, 1, 1))
FEW = Quantise(8.0, -100, 120)


class Builder(GraphBuilder):
    """Builder of a graph of an image `x`, with random layers."""

    def __init__(self, seed=0):
        super().__init__({"x": IMAGE})
        self.rng = np.random.default_rng(seed)

    def steps(self, operand, *steps):
        """Add operations in a row, or layers of `n_out` results on vectors or patches."""
        for step in steps:
            if isinstance(step, tuple):
                n_out, patches = step
                n_in = self.shapes[operand][-1] if patches is None else patches.n_inputs
                operand = self.add_layer("fc", self.rng.normal(size=(n_out, n_in)),
                                         self.rng.normal(size=n_out), operand, patches)
            else:
                operand = self.add(type(step).__name__.lower(), step, operand)
        return operand

    def check(self, *outputs):
        """Check that results are the same as those of each node; return the graph."""
        graph = self.graph(outputs)
        plain = Graph(self.inputs, tuple(self._nodes.values()), outputs)
        x = {"x": self.rng.normal(0, 5, size=(5, *IMAGE))}
        found, expected = evaluate_real(graph, x), evaluate_real(plain, x)
        for mine, given in zip(graph.outputs, outputs):
            np.testing.assert_allclose(found[mine], expected[given], rtol=1e-9, atol=1e-9)
        return graph


def kinds(graph):
    return [type(node.computation).__name__ for node in graph.nodes]


def scales(graph):
    return [node.computation.scale for node in graph.nodes
            if isinstance(node.computation, Quantise)]


def test_between_layers_there_are_integers_alone():
    builder = Builder()
    graph = builder.check(builder.steps(
        "x", FEW, Affine(0.125, 0.0), (2, CONV), Quantise(2.0, 0, 255), Affine(0.5, 0.0),
        (2, CONV), Quantise(4.0, -9, 99), Affine(0.25, 0.0), Reshape((32,)), (3, None)))
    assert kinds(graph) == ["Quantise", "Model", "Quantise", "Model", "Quantise", "Reshape",
                            "Model"]
    # A host multiplies the input.
    assert scales(graph) == [1.0, 2.0, 4.0]
    assert graph.preprocessing["x"].scale.tolist() == [8.0]


@pytest.mark.parametrize("step, is_exact", [
    (MaxPool((2, 2), (1, 1), (1, 0, 0, 1)), True), (Reshape((4, 2, 4)), True),
    (Transpose((2, 0, 1)), True), (Slice(1, 0, 3, 2), True), (Reverse(0), True),
    (Pad((0, 1, 0), (0, 0, 2)), True), (RELU, True), (LeakyRelu(0.25), False),
    (AveragePool((2, 2), (2, 2)), False), (Mean((1, 2), True), False),
    (AveragePool((3, 3), (1, 1), (1, 1, 1, 1), True), False),
    (AveragePool((3, 3), (1, 1), (1, 1, 1, 1)), False)])
@pytest.mark.parametrize("shift", [0.0, -0.375])
def test_a_scale_moves_behind_what_it_commutes_with(step, is_exact, shift):
    builder = Builder()
    integers = builder.steps("x", FEW)
    moved = builder.steps(integers, Affine(0.125, shift), step)
    size = int(np.prod(builder.shapes[moved]))
    ends = [builder.steps(moved, Reshape((size,)), (3, None)),
            builder.steps(moved, Quantise(8.0, -103, 117), Affine(0.125, 0.0), Reshape((size,)),
                          (2, None))]
    graph = builder.check(*ends)
    # Zeros beside shifted numbers are none of them.
    commutes = not shift or not isinstance(step, (Clip, LeakyRelu, Pad)) \
        and not getattr(step, "count_padding", False)
    # A quantisation has no shift, unless it is left out.
    assert ("Affine" in kinds(graph)) == (not commutes or bool(shift) and not is_exact)
    # The second quantisation changes nothing if the elements are integers within its limits.
    assert kinds(graph).count("Quantise") == (1 if is_exact and commutes and shift else 2)


@pytest.mark.parametrize("limits, expected", [
    ((-100, 120), (-100, 120)), ((-128, 127), (-100, 120)), ((0, 255), (0, 120)),
    ((-90, 7), (-90, 7))])
def test_quantisations_with_one_scale_are_one(limits, expected):
    builder = Builder()
    # 0.1 times its inverse is not 1 in floating point, but nearly.
    graph = builder.check(builder.steps(
        "x", (2, CONV), Quantise(1 / 0.1, -100, 120), Affine(0.1, 0.0),
        Quantise(1 / 0.1, *limits), Affine(0.1, 0.0), (2, None)))
    assert kinds(graph) == ["Model", "Quantise", "Model"]
    quantise = graph.nodes[1].computation
    assert (quantise.low, quantise.high) == expected


def test_a_quantisation_that_something_else_reads_keeps_its_limits():
    builder = Builder()
    numbers = builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0))
    graph = builder.check(builder.steps(numbers, RELU, (2, None)), numbers)
    assert kinds(graph) == ["Model", "Quantise", "Clip", "Model", "Affine"]


def test_limits_apart_from_one_another_remain():
    builder = Builder()
    graph = builder.check(builder.steps("x", (2, CONV), Quantise(8.0, -9, -3), Affine(0.125, 0.0),
                                        RELU, (2, None)))
    assert kinds(graph) == ["Model", "Quantise", "Clip", "Model"]


@pytest.mark.parametrize("clip, limits", [(RELU, (0, 120)), (Clip(-1.0, 2.0), (-8, 16))])
def test_limits_of_integers_are_those_of_their_quantisation(clip, limits):
    builder = Builder()
    graph = builder.check(builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0), clip, FEW,
                                        Affine(0.125, 0.0), (2, None)))
    assert kinds(graph) == ["Model", "Quantise", "Model"]
    assert (graph.nodes[1].computation.low, graph.nodes[1].computation.high) == limits


def test_a_scale_moves_behind_repeated_elements():
    builder = Builder()
    repeated = Affine(np.ones((3, 2, 4, 4)), 0.0)
    graph = builder.check(builder.steps("x", FEW, Affine(0.125, 0.0), repeated, FEW,
                                        Affine(0.125, 0.0), Reshape((96,)), (2, None)))
    assert kinds(graph) == ["Quantise", "Affine", "Reshape", "Model"]


def test_zero_points_between_the_same_integers_vanish():
    builder = Builder()
    graph = builder.check(builder.steps(
        "x", Quantise(10.0, -34, 221), Affine(1.0, -94.0), MaxPool((2, 2), (2, 2)),
        Affine(1.0, 94.0), Quantise(1.0, -34, 221), Affine(0.1, 0.0), Reshape((8,)), (3, None)))
    assert kinds(graph) == ["Quantise", "MaxPool", "Reshape", "Model"]


def test_another_zero_point_is_a_shift_that_a_layer_takes():
    builder = Builder()
    graph = builder.check(builder.steps("x", Quantise(10.0, 0, 255), Affine(1.0, 3.0),
                                        Affine(1.0, -5.0), Affine(0.1, 0.0), (3, None)))
    assert kinds(graph) == ["Quantise", "Model"]


def test_each_reader_has_its_own_scale():
    builder = Builder()
    one = builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0))
    other = builder.steps(one, (2, CONV), FEW, Affine(0.125, 0.0))
    total = builder.add("sum", Add(), one, other)
    graph = builder.check(builder.steps(total, FEW, Affine(0.125, 0.0), (3, CONV)), other)
    # Equal scales move past a sum as well; an output has a scale of its own.
    assert kinds(graph) == ["Model", "Quantise", "Model", "Quantise", "Add", "Quantise", "Model",
                            "Affine"]
    assert scales(graph) == [8.0, 8.0, 1.0]


@pytest.mark.parametrize("operation", [Add(), Subtract(), Maximum()])
def test_tensors_of_other_scales_are_joined_as_numbers(operation):
    builder = Builder()
    one = builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0))
    other = builder.steps("x", (2, CONV), Quantise(5.0, -9, 99), Affine(0.2, 0.0))
    joined = builder.add("joined", operation, one, other)
    graph = builder.check(builder.steps(joined, FEW))
    assert kinds(graph).count("Affine") == 2


@pytest.mark.parametrize("scale, n", [(0.125, 2), (0.25, 3)])
def test_parts_of_a_concatenation_are_quantised_by_themselves(scale, n):
    builder = Builder()
    one = builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0))
    other = builder.steps("x", (2, CONV), Quantise(1 / scale, -9, 99), Affine(scale, 0.0))
    joined = builder.add("joined", Concat(0), one, other)
    graph = builder.check(builder.steps(joined, FEW, Affine(0.125, 0.0), Reshape((64,)),
                                        (3, None)))
    # That of the same scale, and limits within, is left out.
    assert kinds(graph) == ["Model", "Quantise"] * 2 + ["Quantise"] * (n - 2) \
        + ["Concat", "Reshape", "Model"]


def test_a_concatenation_may_be_quantised_again():
    builder = Builder()
    one, other = (builder.steps("x", (2, CONV), Quantise(1 / scale, -99, 99), Affine(scale, 0.0))
                  for scale in (0.125, 0.25))
    joined = builder.add("joined", Concat(0), one, other)
    graph = builder.check(builder.steps(joined, FEW, Affine(0.125, 0.0), Quantise(1.0, -3, 4),
                                        Affine(2.0, 0.0)))
    assert kinds(graph)[-3:] == ["Concat", "Quantise", "Affine"]


def test_a_concatenation_that_something_else_reads_remains():
    builder = Builder()
    one, other = (builder.steps("x", (2, CONV), Quantise(1 / scale, -99, 99), Affine(scale, 0.0))
                  for scale in (0.125, 0.25))
    joined = builder.add("joined", Concat(0), one, other)
    graph = builder.check(joined, builder.steps(joined, FEW))
    assert kinds(graph).count("Affine") == 2 and kinds(graph)[-1] == "Quantise"


def test_scales_before_a_quantisation_are_part_of_it():
    channels = np.array([0.5, 3.0]).reshape(2, 1, 1)
    builder = Builder()
    graph = builder.check(builder.steps("x", Tanh(), Affine(channels, 0.0), Affine(2.0, 0.0), FEW))
    assert kinds(graph) == ["Tanh", "Quantise"]
    np.testing.assert_array_equal(scales(graph)[0], 16 * channels)
    # A shift remains, and so does what something else reads.
    builder = Builder()
    scaled = builder.steps("x", Tanh(), Affine(channels, 0.0))
    assert kinds(builder.check(builder.steps(scaled, Affine(1.0, 0.3), FEW), scaled)) \
        == ["Tanh", "Affine", "Affine", "Quantise"]


@pytest.mark.parametrize("clip, limits", [
    (Clip(0.0, 6.0), (0, 48)), (Clip(-np.inf, 3.3), (-100, 26)), (Clip(-1e9, 1e9), (-100, 120))])
def test_limits_before_a_quantisation_are_part_of_it(clip, limits):
    builder = Builder()
    graph = builder.check(builder.steps("x", (2, CONV), clip, FEW))
    assert kinds(graph) == ["Model", "Quantise"]
    last = graph.nodes[-1].computation
    assert (last.low, last.high) == limits


def test_limits_that_something_else_reads_behind_a_scale_remain():
    builder = Builder()
    limited = builder.steps("x", (2, CONV), FEW, Affine(0.125, 0.0), Clip(-1.0, 2.0),
                            Affine(2.0, 0.0))
    graph = builder.check(builder.steps(limited, Quantise(3.0, -9, 9)),
                          builder.steps(limited, (2, CONV)))
    assert kinds(graph) == ["Model", "Quantise", "Clip", "Quantise", "Model"]


def test_limits_without_integers_between_remain():
    builder = Builder()
    assert kinds(builder.check(builder.steps("x", (2, CONV), Clip(0.01, 0.02), FEW))) \
        == ["Model", "Clip", "Quantise"]


def test_equal_quantisations_of_a_tensor_are_one():
    builder = Builder()
    tensor = builder.steps("x", (2, CONV))
    ends = [builder.steps(tensor, FEW, Affine(0.125, 0.0), (2, CONV)) for _ in range(2)]
    assert kinds(builder.check(*ends)) == ["Model", "Quantise", "Model", "Model"]


def test_an_input_that_something_else_reads_keeps_its_numbers():
    builder = Builder()
    quantised = builder.steps("x", FEW, Affine(0.125, 0.0), (2, CONV))
    graph = builder.check(quantised, builder.steps("x", Tanh()))
    assert scales(graph) == [8.0] and not graph.preprocessing


def test_an_input_is_scaled_once_with_its_normalisation():
    builder = Builder()
    graph = builder.check(builder.steps("x", Affine(2.0, -1.0), Reshape((32,)), FEW, (2, None)))
    assert kinds(graph) == ["Reshape", "Quantise", "Model"]
    assert scales(graph) == [1.0] and graph.preprocessing["x"].scale.tolist() == [16.0]


def test_nodes_that_are_kept_do_not_move():
    builder = Builder()
    integers = builder.steps("x", FEW)
    kept = builder.add("kept", Affine(0.125, 0.0), integers, keep=True)
    assert "kept" in [node.name for node in builder.check(builder.steps(kept, FEW)).nodes]


def test_a_graph_without_quantisation_is_as_it_was():
    builder = Builder()
    name = builder.steps("x", Affine(0.125, 0.0), MaxPool((2, 2), (2, 2)))
    nodes = list(builder._nodes.values())
    assert move_scales(nodes, [name], set(), builder.shapes) == (nodes, (name,), builder.shapes)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_keep_their_results(seed):
    builder = Builder(seed)
    rng = builder.rng
    tensors = ["x"]
    steps = [lambda: Quantise(float(2.0 ** rng.integers(-2, 4)), int(rng.integers(-99, 1)),
                              int(rng.integers(1, 99))),
             lambda: Affine(float(2.0 ** rng.integers(-2, 3)), float(rng.choice([0, 0, -3, 0.5]))),
             lambda: MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), lambda: RELU, lambda: Clip(-2.0, 4.0),
             lambda: AveragePool((3, 3), (1, 1), (1, 1, 1, 1), bool(rng.integers(2))),
             lambda: Reverse(1), lambda: Transpose((0, 2, 1)), lambda: LeakyRelu(0.5),
             lambda: (2, CONV), lambda: Affine(np.array([1.0, 2.0]).reshape(2, 1, 1), 0.0)]
    for _ in range(25):
        one, other = rng.choice(tensors[-4:], 2)
        choice = rng.integers(-3, len(steps))
        if choice >= 0:
            tensors.append(builder.steps(one, steps[choice](), *[steps[0](), steps[1]()][
                :int(rng.integers(3))]))
        else:
            joined = builder.add("joined", [Add(), Maximum(), Concat(0)][choice], one, other)
            tensors.append(builder.steps(joined, Slice(0, 0, 2)))
    builder.check(*dict.fromkeys([tensors[-1], str(rng.choice(tensors[1:]))]))
