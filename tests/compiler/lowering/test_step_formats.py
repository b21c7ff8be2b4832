"""`eie_compiler.lowering.step_formats`: formats of functions and factors."""

import dataclasses
import math

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Recurrence
from eie_compiler.graph.operations import Affine, Clip, Sigmoid, Tanh
from eie_compiler.lowering.step_formats import (
    describe_formats,
    find_factors,
    fit_formats,
    is_conversion,
    lower_recurrences,
    table_fracs,
)
from eie_hdl.numeric import round_shift
from support.recurrences import CONFIG, StepBody, graph_of, random_lstm


@pytest.mark.parametrize("node, expected", [
    (Clip(-math.inf, math.inf), True), (Clip(0.0, math.inf), False),
    (Clip(-math.inf, 1.0), False), (Tanh(), False)])
def test_a_clip_without_limits_is_a_conversion(node, expected):
    assert is_conversion(Node("y", node, ("x",))) == expected


def test_tables_leave_four_bits_before_the_point_of_operands():
    assert table_fracs(16) == (11, 14) and table_fracs(8) == (3, 6)


class TestFactors:
    @pytest.mark.parametrize("width", [8, 16, 17, 24])
    def test_products_are_those_of_the_host_for_words_of_any_width(self, width):
        config = dataclasses.replace(CONFIG, act_width=width, codebook_width=24, acc_width=60)
        found = find_factors(np.array([0.5596106, -0.1]), config, frac=6, to=7)
        x = np.random.default_rng(1).integers(-1 << width - 2, 1 << width - 2, (50, 2))
        host = Affine(found.scale, 0.0).words(x, fracs=[6], frac=7)
        np.testing.assert_array_equal(round_shift(x * found.words, found.shift), host)

    @pytest.mark.parametrize("seed", range(5))
    def test_the_greatest_one_fills_a_word(self, seed):
        rng = np.random.default_rng(seed)
        scale = rng.normal(0, 2.0 ** rng.integers(-9, 9), 7)
        found = find_factors(scale, CONFIG, frac=9, to=12)
        assert (1 << 14) <= np.abs(found.words).max() < 1 << 15
        np.testing.assert_allclose(found.scale, scale, atol=2.0 ** (9 - 12 - found.shift - 1))
        assert found.scale.tolist() == (found.words * 2.0 ** (9 - 12 - found.shift)).tolist()

    @pytest.mark.parametrize("scale", [
        [1 - 2 ** -17, 0.1234567], [-(1 - 2 ** -17), 0.1234567], [1.0, -0.3], [-1.0, 0.3],
        [0.0, 0.0], [-0.99999, 0.99999, 0.33333]])
    def test_words_of_the_factors_found_are_the_same(self, scale):
        """The scale is written to the graph, and its words are found again from it."""
        found = find_factors(np.array(scale), CONFIG, frac=11, to=11)
        again = find_factors(found.scale, CONFIG, frac=11, to=11)
        assert again.words.tolist() == found.words.tolist() and again.shift == found.shift

    def test_shifts_are_those_of_the_machine(self):
        found = find_factors(np.array([2.0 ** -30]), CONFIG, frac=8, to=8)
        assert found.shift == CONFIG.max_shift == 31 and found.words.tolist() == [2]
        assert find_factors(np.zeros(2), CONFIG, frac=8, to=8).shift == 31


def scan_of(*nodes, x=12):
    """Scan without states of nodes one after another: name, operation and fraction bits."""
    body = StepBody(1, {"x": 3}, {"x": x})
    before = "x"
    for name, operation, frac in nodes:
        before = body.add(operation, before, frac=frac, size=3, name=name)
    return body.scan(before, {})


class TestFitting:
    def describe(self, scan):
        body = fit_formats(scan, CONFIG).body
        return [(node.name, type(node.computation).__name__, node.inputs, body.fracs[node.name])
                for node in body.nodes]

    def test_functions_get_the_formats_of_tables(self):
        assert self.describe(scan_of(("y", Tanh(), 13))) == [
            ("y.argument", "Clip", ("x",), 11), ("y.table", "Tanh", ("y.argument",), 14),
            ("y", "Clip", ("y.table",), 13)]

    @pytest.mark.parametrize("x", [8, 11])
    def test_what_is_exact_stays(self, x):
        assert self.describe(scan_of(("y", Sigmoid(), 14), x=x)) == [("y", "Sigmoid", ("x",), 14)]

    def test_names_are_not_taken(self):
        names = [name for name, *_ in self.describe(scan_of(
            ("y.argument", Clip(0.0, 1.0), 12), ("y.table", Clip(0.0, 1.0), 12),
            ("y", Tanh(), 13)))]
        assert names == ["y.argument", "y.table", "y.argument_", "y.table_", "y"]

    def test_factors_become_those_of_one_shift(self):
        scale = np.array([1.9, 0.1234567, -0.3])
        (node,) = fit_formats(scan_of(("y", Affine(scale, 0.0), 11)), CONFIG).body.nodes
        expected = find_factors(scale, CONFIG, frac=12, to=11).scale
        assert node.computation.scale.tolist() == expected.tolist() != scale.tolist()

    def test_a_single_factor_is_that_of_all_elements(self):
        (node,) = fit_formats(scan_of(("y", Affine(0.3, 0.0), 12)), CONFIG).body.nodes
        assert node.computation.scale.shape == (3,)
        np.testing.assert_allclose(node.computation.scale, 0.3, atol=2e-5)

    def test_only_recurrences_change(self):
        scan = random_lstm()
        graph = graph_of(scan, 3)
        assert lower_recurrences(graph, CONFIG).nodes == graph.nodes
        kept = Graph(graph.inputs, (Node("scan", Recurrence(scan, 3), ("x",)),), graph.outputs,
                     graph.fracs)
        (node,) = lower_recurrences(kept, CONFIG).nodes
        assert node.computation.steps == 3
        assert len(node.computation.scan.body.nodes) == len(scan.body.nodes) + 1
        assert node.computation.scan.states == scan.states


class TestNotes:
    @pytest.mark.parametrize("operation, x, frac, expected", [
        (Tanh(), 12, 13, ["node 'y': its operand has 11 fraction bits there, not 12, and its "
                          "result has 14 fraction bits there, not 13"]),
        (Tanh(), 12, 14, ["node 'y': its operand has 11 fraction bits there, not 12"]),
        (Sigmoid(), 8, 15, ["node 'y': its result has 14 fraction bits there, not 15"]),
        (Sigmoid(), 11, 14, []),
        (Affine(np.array([0.5, -0.25, 0.0]), 0.0), 12, 12, []),
        (Affine(np.array([1.5, 1e-6, 0.0]), 0.0), 12, 12, [
            "node 'y': factors have one format for all, which changes them by at most 1e-06"]),
        (Clip(0.0, math.inf), 12, 9, []),
    ])
    def test_say_what_differs_from_the_host(self, operation, x, frac, expected):
        assert describe_formats(scan_of(("y", operation, frac), x=x), CONFIG) == expected
