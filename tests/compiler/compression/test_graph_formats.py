import numpy as np
import pytest

from eie_compiler.compression.graph_formats import choose_fracs, find_nonnegative
from eie_compiler.errors import CompressError
from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan
from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations import Add, Concat, Quantise, Slice
from eie_compiler.model import Model, ModelLayer
from support.graphs import Sum, accumulator


def test_a_format_is_kept_from_an_operand():
    graph = Graph({"x": (3,)}, (Node("a", Slice(0, 0, 3), ("x",)), Node("y", Sum(), ("a", "x"))),
                  ("y",))
    frac_of = choose_fracs(graph, {"x": 1.5, "a": 3.5, "y": 5.0}, 8)
    assert [frac_of(path) for path in ("x", "a", "y")] == [5, 5, 4]


def test_a_state_has_the_format_of_its_next_value_and_of_the_value_it_starts_with():
    graph = Graph({"x": (4, 3), "start": (3,)}, (Node("y", accumulator(), ("x", "start")),),
                  ("y",))
    frac_of = choose_fracs(graph, {"x": 1.5, "start": 0.1, "y/sum": 7.5}, 8)
    assert [frac_of(path) for path in ("x", "y/x", "start", "y/state", "y/sum", "y")] \
        == [6, 6, 4, 4, 4, 4]


def test_a_result_is_as_coarse_as_an_operation_demands():
    graph = Graph({"x": (3,)}, (Node("a", Add(), ("x", "x")), Node("y", Add(), ("a", "a"))), ("y",))
    frac_of = choose_fracs(graph, {"x": 2.0 ** 20, "a": 0.0, "y": 2.0 ** -60}, 8)
    # 20 bits finer than an operand at most.
    assert [frac_of(path) for path in ("x", "a", "y")] == [-14, 6, 26]


def quantised(*, scale=1.0, low=-128, high=127):
    return Graph({"x": (3,)}, (Node("q", Quantise(scale, low, high), ("x",)),
                               Node("y", Slice(0, 0, 2), ("q",))), ("y",))


@pytest.mark.parametrize("low, high, frac", [(-128, 127, 7), (0, 255, 7), (-222, 33, 7),
                                             (-8, 7, 11), (0, 1, 14), (-1, 0, 14)])
def test_quantised_numbers_have_room_for_all_zero_points(low, high, frac):
    frac_of = choose_fracs(quantised(low=low, high=high), {"x": 300.0, "q": 1.0, "y": 1.0}, 16)
    assert [frac_of(path) for path in ("x", "q", "y")] == [0, frac, frac]


def test_a_concatenation_of_integers_has_their_format():
    def fracs_of(other):
        nodes = (Node("q", Quantise(0.5, -128, 127), ("x",)), Node("p", Slice(0, 0, 2), ("q",)),
                 Node("o", other, ("x",)), Node("y", Concat(0), ("p", "o")))
        magnitudes = dict.fromkeys(("x", "q", "p", "o", "y"), 1.0)
        frac_of = choose_fracs(Graph({"x": (3,)}, nodes, ("y",)), magnitudes, 16)
        return [frac_of(name) for name in ("p", "o", "y")]

    assert fracs_of(Quantise(2.0, 0, 15)) == [7, 11, 7]
    assert fracs_of(Slice(0, 1, 3)) == [7, 14, 14]


def test_only_inputs_that_are_rounded_as_they_are_are_integers():
    magnitudes = {"x": 3.0, "q": 1.0, "y": 1.0}
    assert choose_fracs(quantised(scale=0.5), magnitudes, 16)("x") == 13
    graph = quantised()
    both = Graph(graph.inputs, (*graph.nodes, Node("z", Slice(0, 0, 2), ("x",))), ("y", "z"))
    assert choose_fracs(both, {**magnitudes, "z": 3.0}, 16)("x") == 13


def test_words_have_room_for_the_integers():
    with pytest.raises(CompressError, match=r"^node 'q': result must have 0 to 32 fraction bits, "
                                            r"as it is an integer, not -2: quantise to fewer"):
        choose_fracs(quantised(), {"x": 3.0, "q": 1.0, "y": 1.0}, 8)


class Never(Sum):
    """Operation whose results are negative only if operands are."""

    def is_nonnegative(self, *operands):
        return all(operands)


def layers(*, relu):
    return Model((ModelLayer("fc", np.ones((3, 3)), relu=relu),))


def test_signs_are_found_through_nodes():
    graph = Graph({"x": (3,)}, (
        Node("a", layers(relu=True), ("x",)), Node("b", layers(relu=False), ("a",)),
        Node("c", Never(), ("a", "a")), Node("d", Never(), ("a", "b"))), ("d",))
    assert find_nonnegative(graph) == {"x": False, "a": True, "b": False, "c": True, "d": False}


def test_a_state_is_nonnegative_only_if_all_its_values_are():
    def scan(*nodes):
        return Scan(Graph({"x": (3,), "s": (3,), "t": (3,)}, nodes, ("u",)),
                    (("s", "u"), ("t", "s")))

    both = scan(Node("u", Never(), ("x", "t")))
    negative = scan(Node("v", Never(), ("x", "t")), Node("u", layers(relu=False), ("v",)))
    for body, expected in ((both, True), (negative, False)):
        graph = Graph({"x": (4, 3)}, (Node("a", layers(relu=True), ("x",)),
                                      Node("y", body, ("a",))), ("y",))
        found = find_nonnegative(graph)
        assert found["y/x"]
        assert {found[path] for path in ("y/s", "y/t", "y/u", "y")} == {expected}


def test_a_state_that_starts_with_an_operand_of_unknown_sign_is_unknown():
    body = Graph({"x": (3,), "s": (3,)}, (Node("u", Never(), ("x", "x")),), ("u",))
    graph = Graph({"x": (4, 3), "start": (3,)}, (
        Node("a", layers(relu=True), ("x",)),
        Node("y", Scan(body, (("s", "u"),)), ("a", "start"))), ("y",))
    found = find_nonnegative(graph)
    assert (found["y/s"], found["y/u"]) == (False, True)


def test_programs_of_a_build_are_refused():
    graph = Graph({"x": (5, 3)}, (Node("y", Recurrence(accumulator(), 5), ("x",)),), ("y",))
    with pytest.raises(GraphError, match="^node 'y': subgraphs and recurrences must be of a build, "
                                         "not of a model$"):
        find_nonnegative(graph)
