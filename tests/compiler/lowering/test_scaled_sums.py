"""Sums of scaled tensors that are quantised."""

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Affine, Quantise, Subtract, Tanh
from eie_compiler.lowering.scaled_sums import find_sums

QUANTISE = Quantise(2.0, -128, 127)


def find(*nodes, outputs=("q",), size=3):
    graph = Graph({"x": (3,), "z": (size,)}, nodes, outputs)
    (node,) = [node for node in nodes if node.name == "q"]
    return find_sums(graph).get(node.inputs[0])


def scaled(name, operand, scale=0.5, shift=0.0):
    return Node(name, Affine(scale, shift), (operand,))


def total(one, other, operation=None):
    return Node("sum", operation or Add(), (one, other)), Node("q", QUANTISE, ("sum",))


def test_factors_of_both_operands_or_of_one():
    assert find(scaled("a", "x"), scaled("b", "z", np.array([0.25])), *total("a", "b")) \
        == (("x", "z"), (0.5, 0.25), ("a", "b"))
    assert find(scaled("a", "x"), *total("z", "a")) == (("z", "x"), (1.0, 0.5), ("a",))
    assert find(scaled("a", "x"), *total("z", "a", Subtract())) == (("z", "x"), (1.0, -0.5), ("a",))


@pytest.mark.parametrize("nodes", [
    total("x", "x"),
    (scaled("a", "x"), scaled("b", "x"), *total("a", "b")),
    (scaled("a", "x"), Node("q", QUANTISE, ("a",)))],
    ids=["same", "scaled", "none"])
def test_other_sums_are_none(nodes):
    assert find(*nodes) is None


def test_a_sum_with_a_tensor_that_is_repeated_is_none():
    assert find(*total("x", "z"), size=1) is None


@pytest.mark.parametrize("node", [
    scaled("a", "x", shift=1.0), scaled("a", "x", np.array([1.0, 2, 3])),
    Node("a", Tanh(), ("x",))], ids=["shift", "rows", "other"])
def test_what_is_no_factor_stays(node):
    assert find(node, *total("a", "z")) == (("a", "z"), (1.0, 1.0), ())


def test_what_others_read_stays():
    assert find(scaled("a", "x"), *total("a", "z"), Node("t", Tanh(), ("sum",)),
                outputs=("q", "t")) is None
    assert find(scaled("a", "x"), scaled("b", "z"), *total("a", "b"), outputs=("q", "a")) \
        == (("a", "z"), (1.0, 0.5), ("b",))
    assert find(scaled("a", "x"), *total("a", "z"), outputs=("q", "sum")) is None
