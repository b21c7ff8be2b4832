"""`eie_compiler.lowering.step_vectors`: where the tensors of a step are cut."""

import re

import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Concat, Mean, Reshape, Slice, Tanh
from eie_compiler.lowering.step_vectors import find_cuts


def cuts_of(nodes, states=(), **sizes):
    """Find the cuts of nodes, given as name, operation and operands."""
    body = Graph({name: (size,) for name, size in sizes.items()}, tuple(
        Node(name, operation, tuple(operands.split())) for name, operation, operands in nodes),
        (nodes[-1][0],))
    return find_cuts(body, states)


def test_tensors_are_whole_without_slices_and_concatenations():
    assert cuts_of([("y", Add(), "x z")], x=3, z=3) == {"x": [0, 3], "z": [0, 3], "y": [0, 3]}


def test_slices_cut_operands_and_concatenations_results():
    assert cuts_of([("a", Slice(0, 2, 5), "x"), ("y", Concat(0), "a z a")], x=7, z=2) == {
        "x": [0, 2, 5, 7], "a": [0, 3], "z": [0, 2], "y": [0, 3, 5, 8]}


def test_cuts_go_through_operations_in_both_directions():
    found = cuts_of([("one", Tanh(), "x"), ("other", Reshape((6,)), "z"),
                     ("sum", Add(), "one other"), ("part", Slice(0, 1, 4), "sum"),
                     ("rest", Slice(0, 0, 2), "part")], x=6, z=6)
    assert found == {**dict.fromkeys(["x", "z", "one", "other", "sum"], [0, 1, 3, 4, 6]),
                     "part": [0, 2, 3], "rest": [0, 2]}


def test_a_slice_keeps_the_cuts_inside_it_alone():
    found = cuts_of([("wide", Concat(0), "a b c"), ("y", Slice(0, 1, 4), "wide")], a=2, b=2, c=3)
    assert found == {"wide": [0, 1, 2, 4, 7], "y": [0, 1, 3], "a": [0, 1, 2], "b": [0, 2],
                     "c": [0, 3]}


def test_a_state_is_cut_as_its_next_value():
    nodes = [("first", Slice(0, 0, 2), "s"), ("next", Tanh(), "t"), ("y", Tanh(), "first")]
    found = cuts_of(nodes, [("s", "next"), ("t", "s")], x=1, s=5, t=5)
    assert found["s"] == found["t"] == found["next"] == [0, 2, 5]


@pytest.mark.parametrize("size", [64, 65, 20_000])
def test_a_tensor_has_few_parts(size):
    """The next value of a shift register is itself, but for an element."""
    nodes = [("rest", Slice(0, 1, size), "s"), ("next", Concat(0), "rest x")]
    if size == 64:
        assert cuts_of(nodes, [("s", "next")], x=1, s=size)["s"] == list(range(65))
    else:
        with pytest.raises(CompileError, match="^tensor '(s|next)' must have at most 64 parts$"):
            cuts_of(nodes, [("s", "next")], x=1, s=size)


@pytest.mark.parametrize("nodes, message", [
    ([("y", Reshape((3, 2)), "x")], "tensor 'y' must be a vector, not of shape (3, 2)"),
    ([("y", Slice(0, 0, 5, 2), "x")], "node 'y': step of a slice must be 1, not 2"),
    ([("y", Add(), "x z")], "node 'y': operands must have as many elements as the result"),
    ([("y", Mean((0,), True), "x")],
     "node 'y': operands must have as many elements as the result"),
])
def test_other_tensors_are_refused(nodes, message):
    with pytest.raises(CompileError, match=f"^{re.escape(message)}$"):
        cuts_of(nodes, x=6, z=1)
