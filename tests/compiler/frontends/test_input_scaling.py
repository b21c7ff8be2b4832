"""Scales and shifts of inputs that become their preprocessing."""

import numpy as np
import pytest

from eie_compiler.frontends.graph_builder import GraphBuilder
from eie_compiler.frontends.input_scaling import absorb_scales
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Affine, Reshape, Tanh, Transpose

RNG = np.random.default_rng(0)
CHANNELS = Affine(np.array([[[2.0]], [[-3.0]]]), np.array([[[1.0]], [[0.5]]]))


def absorb(inputs, nodes, outputs):
    """Absorb the scales of a graph, which computes the same; return it."""
    found, preprocessing = absorb_scales(inputs, nodes, outputs)
    before, after = Graph(inputs, nodes, outputs), Graph(inputs, found, outputs,
                                                         preprocessing=preprocessing)
    x = {name: RNG.normal(size=(5, *shape)) for name, shape in inputs.items()}
    for name in outputs:
        np.testing.assert_allclose(evaluate_real(after, x)[name], evaluate_real(before, x)[name],
                                   atol=1e-12)
    return after


@pytest.mark.parametrize("affine, shape, stored", [
    (Affine(np.array([2.0, 5, 1e-3]), -1.0), (4, 3), (3,)),
    (CHANNELS, (2, 3, 3), (2, 1, 1)),
    (Affine(np.array([[[2.0]], [[3.0]]]), np.arange(3.0)), (2, 3, 3), (2, 1, 3)),
    (Affine(np.array([[[2.0]], [[3.0]]]), np.ones((2, 3, 3))), (2, 3, 3), (2, 1, 1)),
    (Affine(0.5, 99.0), (2, 3), (1,)),
])
def test_a_scale_and_a_shift_become_preprocessing(affine, shape, stored):
    nodes = (Node("scaled", affine, ("x",)), Node("a", Tanh(), ("scaled",)),
             Node("y", Add(), ("scaled", "a")))
    graph = absorb({"x": shape}, nodes, ("y",))
    assert [(node.name, node.inputs) for node in graph.nodes] == [("a", ("x",)), ("y", ("x", "a"))]
    assert graph.preprocessing["x"].scale.shape == stored


@pytest.mark.parametrize("nodes, outputs", [
    # Something else reads the input, or it is a result.
    ((Node("s", CHANNELS, ("x",)), Node("y", Add(), ("s", "x"))), ("y",)),
    ((Node("s", CHANNELS, ("x",)), Node("y", Tanh(), ("s",))), ("y", "x")),
    # The scaled input is a result.
    ((Node("s", CHANNELS, ("x",)), Node("y", Tanh(), ("s",))), ("y", "s")),
    # A constant makes the input larger, or it does not matter.
    ((Node("s", Affine(np.ones((4, 1, 1, 1)), 0.0), ("x",)), Node("y", Tanh(), ("s",))), ("y",)),
    ((Node("s", Affine(0.0, CHANNELS.shift), ("x",)), Node("y", Tanh(), ("s",))), ("y",)),
    # No offset is that great.
    ((Node("s", Affine(1e-300, 1e300), ("x",)), Node("y", Tanh(), ("s",))), ("y",)),
    ((Node("t", Tanh(), ("x",)), Node("y", CHANNELS, ("t",))), ("y",)),
])
def test_other_scales_stay(nodes, outputs):
    graph = absorb({"x": (2, 3, 3)}, nodes, outputs)
    assert [(one.name, one.computation, one.inputs) for one in graph.nodes] == [
        (one.name, one.computation, one.inputs) for one in nodes]
    assert not graph.preprocessing


@pytest.mark.parametrize("moves, shape, stored", [
    ([Reshape((12,))], (3, 4), (3, 4)),
    ([Transpose((1, 2, 0)), Reshape((4, 3))], (3, 2, 2), (3, 2, 2)),
    ([Transpose((2, 0, 1))], (2, 2, 3), (2, 3)),
])
@pytest.mark.parametrize("zero", [1.0, 0.0])
def test_a_scale_moves_before_a_reshape_or_a_transposition(moves, shape, stored, zero):
    nodes = []
    for number, move in enumerate([*moves, None]):
        operand = nodes[-1].name if nodes else "x"
        nodes.append(Node(f"n{number}", move, (operand,)) if move else None)
    shapes = Graph({"x": shape}, tuple(nodes[:-1]), (nodes[-2].name,)).shapes
    moved = shapes[nodes[-2].name]
    scale = RNG.normal(size=moved if len(moved) < 3 else (moved[0], 1, moved[2]))
    scale.flat[0] *= zero
    nodes[-1:] = [Node("s", Affine(scale, 0.0), (nodes[-2].name,)), Node("y", Tanh(), ("s",))]
    graph = absorb({"x": shape}, tuple(nodes), ("y",))
    assert graph.preprocessing["x"].scale.shape == stored
    assert [node.name for node in graph.nodes].count("s") == (zero == 0)


def test_scales_in_a_row_are_one_preprocessing():
    first, then = (Affine(RNG.uniform(1, 2, (3, 4)), RNG.normal(size=(1, 4))) for _ in range(2))
    nodes = (Node("a", first, ("x",)), Node("b", Transpose((1, 0)), ("a",)),
             Node("c", Reshape((3, 4)), ("b",)), Node("d", then, ("c",)), Node("y", Tanh(), ("d",)))
    graph = absorb({"x": (3, 4)}, nodes, ("y",))
    assert [node.name for node in graph.nodes] == ["b", "c", "y"]


def test_scales_whose_product_no_number_holds_stay():
    nodes = (Node("a", Affine(1e-200, 0.0), ("x",)), Node("b", Affine(1e-200, 1.0), ("a",)),
             Node("y", Tanh(), ("b",)))
    graph = absorb({"x": (3,)}, nodes, ("y",))
    assert [node.name for node in graph.nodes] == ["b", "y"]


@pytest.mark.parametrize("seed", range(40))
def test_random_scales_moves_and_forks_keep_their_results(seed):
    """Compute scales, with or without constant elements, reshapes and transpositions in any order;
    two branches read a tensor between them."""
    rng = np.random.default_rng(seed)
    nodes, shape, tensors = [], (2, 3, 4), ["x"]
    for number in range(rng.integers(1, 6)):
        kind = rng.choice(["scale", "scale", "reshape", "transpose", "fork"])
        if kind == "fork":
            tensors.append(tensors[-1])
            continue
        if kind == "scale":
            size = [n if rng.random() < 0.5 else 1 for n in shape]
            move = Affine(rng.normal(size=size) * (rng.random(size) > 0.05), rng.normal(size=size))
        elif kind == "reshape":
            shape = [(24,), (6, 4), (2, 3, 4), (3, 8)][rng.integers(4)]
            move = Reshape(shape)
        else:
            move = Transpose(tuple(map(int, rng.permutation(len(shape)))))
            shape = tuple(shape[axis] for axis in move.order)
        nodes.append(Node(f"n{number}", move, (tensors[-1],)))
        tensors[-1] = f"n{number}"
    outputs = [Node(f"y{at}", Tanh(), (name,)) for at, name in enumerate(tensors)]
    scaled = [Node(f"z{at}", Affine(2.0 + at, -1.0), (name,)) for at, name in enumerate(tensors)]
    ends = [Node(f"e{at}", Tanh(), (one.name,)) for at, one in enumerate(scaled)]
    for last in (outputs, [*scaled, *ends]):
        absorb({"x": (2, 3, 4)}, (*nodes, *last), tuple(
            node.name for node in last if isinstance(node.computation, Tanh)))


def test_a_scale_of_a_single_number_stays():
    nodes = (Node("s", Affine(0.5, 99.0), ("x",)), Node("y", Tanh(), ("s",)))
    assert not absorb({"x": ()}, nodes, ("y",)).preprocessing


def test_a_scale_after_a_tensor_that_others_read_stays():
    nodes = (Node("r", Reshape((6,)), ("x",)), Node("s", Affine(np.arange(6.0), 1.0), ("r",)),
             Node("y", Add(), ("r", "s")))
    assert not absorb({"x": (2, 3)}, nodes, ("y",)).preprocessing


def test_elements_that_are_constant_stay_so():
    affine = Affine(np.array([0.0, 3.0]), np.array([7.0, 1.0]))
    graph = absorb({"x": (2,)}, (Node("s", affine, ("x",)), Node("y", Tanh(), ("s",))), ("y",))
    assert graph.preprocessing["x"].scale.tolist() == [1, 3]
    assert graph.nodes[0].computation.scale.tolist() == [0, 1]
    assert graph.nodes[0].computation.shift.tolist() == [7, 0]


def test_each_input_of_a_built_graph_has_its_own():
    builder = GraphBuilder({"x": (3,), "z": (3,)})
    scaled = builder.scale("s", np.array([1.0, 2, 3]), 0.0, "x")
    scaled = builder.scale("t", 1.0, np.array([0.0, 1, 2]), scaled)
    other = builder.scale("u", 4.0, -8.0, "z")
    graph = builder.graph([builder.add("y", Add(), scaled, other)])
    assert [node.name for node in graph.nodes] == ["y"] and graph.nodes[0].inputs == ("x", "z")
    assert graph.preprocessing["x"].offset.tolist() == [0, -0.5, -2 / 3]
    assert graph.preprocessing["z"].offset.tolist() == [2]
