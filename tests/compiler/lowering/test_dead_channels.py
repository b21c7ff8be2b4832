"""Removal of dead and constant channels: the same words, and what is removed where."""

import dataclasses
import re

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import (
    Add,
    Clip,
    Concat,
    MaxPool,
    Reshape,
    Sigmoid,
    Slice,
    Transpose,
)
from eie_compiler.lowering.dead_channels import remove_dead_channels
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.network import CompressedNetwork
from eie_compiler.patches import Patches
from eie_compiler.random_networks import make_layer
from eie_hdl.config import EIEConfig
from support.graphs import Sum
from support.pruned_graphs import pruned_graph

MACHINE = EIEConfig(v_width=2)
NARROW = EIEConfig(acc_width=33)
FRAC = 6


def run(graph, machine=MACHINE, seed=0, count=3):
    rng = np.random.default_rng(seed)
    words = IntegerGraph(graph, machine).run({
        name: rng.normal(0, 2, (count, *shape)) for name, shape in graph.inputs.items()})
    return {name: words[name] for name in graph.outputs}


def assert_equal(graph, live, machine=MACHINE):
    expected, found = run(graph, machine), run(live, machine)
    for name, words in expected.items():
        np.testing.assert_array_equal(found[name], words)


@pytest.mark.parametrize("start", [0, 12])
def test_outputs_of_random_graphs_are_the_same_words_without_dead_channels(start):
    count = 0
    for seed in range(start, start + 12):
        graph = pruned_graph(seed, n_nodes=10)
        machine = NARROW if seed % 2 else EIEConfig()
        live, removed = remove_dead_channels(graph, machine)
        assert_equal(graph, live, machine)
        assert remove_dead_channels(live, machine)[1] == []
        count += sum(one.unread + one.constant for one in removed)
    assert count > 80


def layer(codes, *, bias=None, relu=True, patches=None):
    """Layers with a codebook of 0, 1, -1 and 1/2."""
    codes = np.array(codes, np.uint8)
    network = make_layer(codes, codebook=[0, 1, -1, 0.5], relu=relu, output_frac=FRAC,
                         bias=np.zeros(len(codes)) if bias is None else np.array(bias, float))
    return CompressedNetwork((network,), FRAC, 2, patches=patches)


def chain(*computations, shape=(2, 4, 4), outputs=("n{last}",)):
    """Graph of one node after another."""
    nodes = tuple(Node(f"n{number}", computation, (f"n{number - 1}" if number else "x",))
                  for number, computation in enumerate(computations))
    outputs = tuple(name.format(last=len(nodes) - 1) for name in outputs)
    return Graph({"x": shape}, nodes, outputs, dict.fromkeys(["x", *(n.name for n in nodes)], FRAC))


def pointwise(codes, shape, **options):
    return layer(codes, patches=Patches(shape), **options)


def live_shapes(graph, machine=MACHINE):
    live, removed = remove_dead_channels(graph, machine)
    assert_equal(graph, live, machine)
    return {name: live.shapes[name] for name in live.shapes}, removed


def test_a_filter_that_nothing_reads_is_removed_from_all_tensors_on_its_way():
    head = np.ones((2, 12), np.uint8)
    head[:, 4:8] = 0    # of the pixels of filter 1
    shapes, removed = live_shapes(chain(
        pointwise([[1, 2], [2, 1], [1, 1]], (2, 4, 4), relu=False), Clip(0.0, np.inf),
        MaxPool((2, 2), (2, 2)), Reshape((12,)), layer(head)))
    assert shapes == {"x": (2, 4, 4), "n0": (2, 4, 4), "n1": (2, 4, 4), "n2": (2, 2, 2),
                      "n3": (8,), "n4": (2,)}
    assert removed == [("n0", "fc1", 3, 1, 0)]


def test_what_only_a_removed_filter_reads_is_removed_too():
    shapes, _ = live_shapes(chain(
        pointwise([[1, 2], [2, 1]], (2, 4, 4)), pointwise([[1, 0], [0, 1]], (2, 4, 4)),
        pointwise([[0, 1]], (2, 4, 4))))
    assert [shapes[f"n{number}"][0] for number in range(3)] == [1, 1, 1]


PADDED = Patches((2, 4, 4), (3, 3), padding=(1, 1, 1, 1))


@pytest.mark.parametrize("bias, patches, n_left", [
    (-1.0, PADDED, 1), (0.0, PADDED, 1), (1.0, PADDED, 2),
    (1.0, dataclasses.replace(PADDED, padding=(0, 0, 0, 0)), 1)])
def test_a_constant_filter_is_removed_unless_padding_around_it_differs(bias, patches, n_left):
    graph = chain(pointwise([[0, 0], [2, 1]], (2, 4, 4), bias=[bias, 0.5]),
                  layer(np.ones((3, patches.n_inputs)), patches=patches))
    shapes, removed = live_shapes(graph)
    assert shapes["n0"][0] == n_left
    assert removed == [("n0", "fc1", 2, 0, 1)][:2 - n_left]


def test_constants_pass_through_operations():
    shapes, _ = live_shapes(chain(
        pointwise([[0, 0], [2, 1]], (2, 4, 4), bias=[-3.0, 0.5], relu=False), Sigmoid(),
        MaxPool((2, 2), (2, 2)), Reshape((8,)), layer(np.ones((3, 8)))))
    assert shapes["n0"] == (1, 4, 4)


def test_a_constant_stays_where_biases_do_not_hold_its_products():
    # The second bias needs the finest step of a word, the products are too great for it.
    def graph(bias):
        return chain(layer([[0, 0], [2, 1]], bias=[400.0, 0.0]),
                     layer([[1, 1], [3, 1]], bias=[0.0, bias], relu=False), shape=(2,))

    assert live_shapes(graph(0.0))[0]["n0"] == (1,)
    assert live_shapes(graph(2.0 ** -13))[0]["n0"] == (2,)


@pytest.mark.parametrize("one, other, n_left", [
    ([1, 0, 1], [1, 0, 1], 2), ([1, 0, 1], [1, 1, 1], 3), ([1, 0, 0], [0, 1, 0], 2)])
def test_a_channel_of_a_residual_is_removed_on_both_sides_or_on_none(one, other, n_left):
    shape = (2, 4, 4)
    graph = Graph({"x": shape}, (
        Node("a", pointwise([[1, 2], [2, 1], [1, 1]], shape), ("x",)),
        Node("b", pointwise([[1, 1], [1, 2], [2, 1]], shape), ("x",)),
        Node("sum", Add(), ("a", "b")),
        Node("read", pointwise([one], (3, 4, 4)), ("sum",)),
        Node("too", pointwise([other], (3, 4, 4)), ("b",))), ("read", "too"),
        dict.fromkeys(["x", "a", "b", "sum", "read", "too"], FRAC))
    shapes, _ = live_shapes(graph)
    assert {shapes[name][0] for name in ("a", "b", "sum")} == {n_left}


@pytest.mark.parametrize("dead, n_left", [([0, 3], 4), ([0, 1], 6), ([0], 6), ([0, 1, 2], 3)])
def test_a_channel_shuffle_lets_whole_rows_and_columns_of_its_groups_be_removed(dead, n_left):
    shape = (2, 2, 2)
    order = np.arange(6).reshape(2, 3).T.ravel()    # channels after the shuffle of two groups
    weights = np.where(np.isin(order, dead), 0, np.ones((2, 6), np.uint8))
    shapes, _ = live_shapes(chain(
        pointwise(np.ones((6, 2)), shape), Reshape((2, 3, 2, 2)), Transpose((1, 0, 2, 3)),
        Reshape((6, 2, 2)), pointwise(weights, (6, 2, 2)), shape=shape))
    assert shapes["n0"][0] == n_left


def test_channels_are_removed_before_a_concat():
    shape = (2, 2, 2)
    graph = Graph({"x": shape}, (
        Node("a", pointwise(np.ones((3, 2)), shape), ("x",)),
        Node("b", pointwise(np.ones((2, 2)), shape), ("x",)),
        Node("both", Concat(0), ("a", "b")),
        Node("read", pointwise([[1, 0, 1, 0, 1]], (5, 2, 2)), ("both",))), ("read",),
        dict.fromkeys(["x", "a", "b", "both", "read"], FRAC))
    shapes, _ = live_shapes(graph)
    assert (shapes["a"][0], shapes["b"][0], shapes["both"][0]) == (2, 1, 3)


def test_a_slice_with_steps_keeps_all_if_what_remains_is_uneven():
    def graph(read):
        return chain(layer(np.ones((9, 3))), Slice(0, 0, 9, 2), layer([read]), shape=(3,))

    assert live_shapes(graph([0, 0, 1, 1, 0]))[0] == {"x": (3,), "n0": (2,), "n1": (2,), "n2": (1,)}
    nodes = Node("all", layer([[1, 1, 1, 0, 0, 0, 0, 0, 1]]), ("n0",))
    split = graph([1, 1, 1, 0, 1])
    both = Graph(split.inputs, (*split.nodes, nodes), ("n2", "all"), {**split.fracs, "all": FRAC})
    assert live_shapes(both)[0]["n0"] == (9,)


def test_outputs_and_operands_of_unknown_operations_and_scans_keep_all_channels():
    first, head = layer(np.ones((3, 3))), layer([[1, 0, 0]])
    assert live_shapes(chain(first, head, shape=(3,), outputs=("n1", "n0")))[0]["n0"] == (3,)
    graph = Graph({"x": (3,)}, (Node("a", first, ("x",)), Node("sum", Sum(), ("a", "x")),
                                Node("head", head, ("sum",))), ("head",),
                  dict.fromkeys(["x", "a", "sum", "head"], FRAC))
    assert live_shapes(graph)[0]["a"] == (3,)


def test_a_body_of_a_scan_loses_channels_but_states_keep_theirs():
    body = Graph({"x": (3,), "state": (3,)}, (
        Node("hidden", layer(np.ones((4, 3))), ("x",)),
        Node("read", layer([[1, 0, 1, 0]] * 3), ("hidden",)),
        Node("next", Add(), ("read", "state"))), ("next",),
        dict.fromkeys(["x", "state", "hidden", "read", "next"], FRAC))
    graph = chain(layer(np.ones((3, 3))), Scan(body, (("state", "next"),)), shape=(5, 3))
    live, removed = remove_dead_channels(graph, MACHINE)
    assert_equal(graph, live)
    assert removed == [("n1/hidden", "fc1", 4, 2, 0)]
    assert live.notes == (
        "filters and neurons removed without changing results: 2 of 4 of n1/hidden fc1",)
    assert live.nodes[1].computation.body.shapes["hidden"] == (2,)
    assert live.shapes["n0"] == (5, 3)


def test_a_state_of_which_a_readout_reads_a_part_keeps_all_elements():
    weights = np.ones((4, 7))
    weights[:, [4, 6]] = 0    # of the state
    body = Graph({"x": (3,), "state": (4,)}, (
        Node("both", Concat(0), ("x", "state")),
        Node("sums", layer(weights, relu=False), ("both",)),
        Node("next", Clip(-1.0, 1.0), ("sums",)),
        Node("hidden", layer([[1, 0, 1, 0]] * 3), ("next",)),
        Node("out", layer([[1, 0, 1]] * 3), ("hidden",))), ("out",),
        dict.fromkeys(["x", "state", "both", "sums", "next", "hidden", "out"], FRAC))
    graph = chain(layer(np.ones((3, 3))), Scan(body, (("state", "next"),)), shape=(5, 3))
    live, removed = remove_dead_channels(graph, MACHINE)
    assert_equal(graph, live)
    assert removed == [("n1/hidden", "fc1", 3, 1, 0)]
    assert live.nodes[1].computation.body.outputs == ("out",)


def test_a_tensor_of_which_nothing_is_needed_keeps_one_channel():
    shapes, removed = live_shapes(chain(
        pointwise(np.ones((3, 2)), (2, 4, 4)), MaxPool((2, 2), (2, 2)),
        pointwise(np.zeros((2, 3)), (3, 2, 2), bias=[1.0, 2.0])))
    assert shapes["n0"] == (1, 4, 4)
    assert removed == [("n0", "fc1", 3, 2, 0)]


def test_formats_stay_those_of_the_whole_network():
    # A row of great sums, and a great bias, are removed; the others would get finer formats.
    first = layer([[1] * 8, [3] * 8, [2, 3] + [0] * 6], bias=[900.0, 0.3, 0.001])
    graph = chain(first, layer([[0, 1, 1]]), shape=(8,))
    machine = EIEConfig(v_width=2, acc_width=32)
    live, removed = remove_dead_channels(graph, machine)
    assert_equal(graph, live, machine)
    assert removed == [("n0", "fc1", 3, 1, 0)]
    (limited,) = live.nodes[0].computation.layers
    assert limited.max_weight_frac is not None


def test_remaining_weights_that_all_round_to_zero_are_removed():
    wide = make_layer(np.array([[1, 0], [0, 2]], np.uint8), codebook=[0, 300, 1e-3, 0],
                      output_frac=FRAC)
    graph = chain(CompressedNetwork((wide,), FRAC, 2), layer([[0, 1]]), shape=(2,))
    live, removed = remove_dead_channels(graph, MACHINE)
    assert_equal(graph, live)
    assert removed == [("n0", "fc1", 2, 1, 0)]
    assert live.nodes[0].computation.layers[0].n_nonzeros == 0


def test_a_graph_of_very_large_tensors_stays_as_it_is():
    graph = chain(pointwise([[1, 0], [0, 1]], (2, 1 << 12, 1 << 11)),
                  pointwise([[1, 0]], (2, 1 << 12, 1 << 11)), shape=(2, 1 << 12, 1 << 11))
    live, removed = remove_dead_channels(graph, MACHINE)
    assert live is graph and removed == []


def test_a_network_of_another_width_is_refused_by_the_name_of_its_node():
    graph = chain(dataclasses.replace(layer(np.ones((3, 3))), act_width=12), shape=(3,))
    with pytest.raises(CompileError, match=re.escape("network 'n0': act_width must be 12, ")):
        remove_dead_channels(graph, MACHINE)
