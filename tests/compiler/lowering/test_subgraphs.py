"""`eie_compiler.lowering.subgraphs`, with pooling from `eie_compiler.lowering.pooling`."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import (
    Add,
    Clip,
    Concat,
    MaxPool,
    Reshape,
    Subtract,
    Tanh,
)
from eie_compiler.graph.subgraphs import join_nodes, make_subgraph
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.loops import set_loops
from eie_compiler.lowering.subgraphs import lower_subgraph
from eie_compiler.random_networks import random_network
from eie_hdl.config import EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.graph_inference import infer_graph
from support.graphs import (
    SAME_SIZE,
    branched_network,
    graph_of,
    grouped,
    pooled_network,
    random_convolution,
)

CONFIG = EIEConfig(n_pe=4, act_depth=1024, spmat_depth=4096, ptr_depth=4096, loops=True,
                   local=True, maximum=True)


def run_joined(graph, config, loops, **options):
    """Results of a graph all of whose nodes are one program; and its build."""
    graph = set_loops(graph, loops)
    joined = join_nodes(graph, make_subgraph(graph, next(iter(graph.inputs)), graph.nodes))
    build = compile_graph(joined, config, strips={}, **options)
    assert list(build.programs) == list(graph.outputs)
    rng = np.random.default_rng(5)
    images = {name: rng.normal(size=(3, *shape)) for name, shape in graph.inputs.items()}
    results = infer_graph(build, images, engine="golden")
    expected = IntegerGraph(graph, config).run(images)
    for name in graph.outputs:
        np.testing.assert_array_equal(results.outputs[name], expected[name])
        assert (np.ptp(results.outputs[name], axis=0) > 0).any()    # of the images
    return build


@pytest.mark.parametrize("n_pe", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
@pytest.mark.parametrize("local", [False, True])
def test_a_network_with_pooling_is_one_program(n_pe, relu, mapping, local):
    config = dataclasses.replace(CONFIG, n_pe=n_pe, local=local)
    build = run_joined(pooled_network(relu=relu), config, {"conv1": 4, "conv2": 2},
                       mapping=mapping)
    fields = unpack(Layouts.of(config).descriptor, build.programs["fc"].program)
    tiles = fields["start"]["send"] == 0
    assert fields["start"]["maximum"][tiles].tolist() == [0, 1, 0, 1, 0, 0]
    # Zeros are skipped where they are the least numbers.
    assert fields["start"]["zeros"][tiles].tolist() == [0, 1 - relu, 0, 1 - relu, 0, 0]
    if not local:
        assert not any(layer["local"] for layer in build.programs["fc"].report["layers"])


BRANCHED = dataclasses.replace(CONFIG, n_codebooks=16, act_depth=2048)


@pytest.mark.parametrize("n_pe", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("strip", [1, 3, 8])
def test_branches_are_added_and_concatenated(n_pe, local, strip):
    config = dataclasses.replace(BRANCHED, n_pe=n_pe, local=local)
    build = run_joined(branched_network(), config, dict.fromkeys(
        ["a", "b", "squeeze", "left", "right", "mixed"], strip))
    layers = build.programs["fc"].report["layers"]
    # The map on the right is converted; both are pooled, and read together.
    assert [layer["node"] for layer in layers] == [
        "a", "b", "sum", "squeeze", "left", "right", "joined", "pool", "pool", "mixed", "fc"]
    assert layers[2]["formats"]["relu"]
    fields = unpack(Layouts.of(config).descriptor, build.programs["fc"].program)["loop"]
    segments = (fields["columns"] // np.maximum(fields["length"], 1))[:11]
    assert segments.tolist() == [3, 3, 2, 1, 1, 3, 1, 3, 3, 2, 1]


@pytest.mark.parametrize("act_depth, n_inputs, in_regions", [
    (1024, 2, True), (250, 2, False), (155, 1, False)])
def test_branches_are_placed_in_regions_or_with_two_inputs_or_one(act_depth, n_inputs, in_regions):
    config = dataclasses.replace(BRANCHED, act_depth=act_depth)
    build = run_joined(branched_network(), config, dict.fromkeys(["a", "b"], 2))
    program = build.programs["fc"]
    assert (program.input_stride > 0) == (n_inputs == 2)
    fields = unpack(Layouts.of(config).descriptor, program.program)
    assert fields["offset_destination"].any() == in_regions


def test_the_input_can_be_added_to_a_result():
    nodes = (Node("conv", random_convolution((3, 6, 6), [3], **SAME_SIZE), ("image",)),
             Node("difference", Subtract(), ("image", "conv")),
             Node("relu", Clip(0.0, np.inf), ("difference",)),
             Node("last", dataclasses.replace(random_convolution(
                 (3, 6, 6), [4], **SAME_SIZE), input_frac=5), ("relu",)))
    graph = Graph({"image": (3, 6, 6)}, nodes, ("last",),
                  {"image": 6, "conv": 6, "difference": 5, "relu": 5, "last": 6})
    for act_depth, inputs in ((1024, 2), (60, 1)):    # an input has no two distances to a result
        build = run_joined(graph, dataclasses.replace(CONFIG, act_depth=act_depth), {})
        assert build.programs["last"].input_stride > 0 if inputs == 2 \
            else build.programs["last"].input_stride == 0


def test_relu_of_a_convolution_or_sum_alone_is_no_further_loop():
    convolution = pooled_network(relu=False).nodes[0].computation
    nodes = (Node("conv", convolution, ("image",)), Node("relu", Clip(0.0, np.inf), ("conv",)),
             Node("sum", Subtract(), ("relu", "other")), Node("last", Clip(0.0, np.inf), ("sum",)))
    nodes = (nodes[0], nodes[1], Node("other", random_convolution((6, 11, 10), [6]), ("relu",)),
             *nodes[2:], Node("pool", MaxPool((2, 2), (2, 2)), ("last",)),
             Node("end", Clip(0.0, np.inf), ("pool",)))
    graph = Graph({"image": (1, 13, 12)}, nodes, ("end",), dict.fromkeys(
        ["image", *(node.name for node in nodes)], 6))
    build = run_joined(graph, CONFIG, {"conv": 4, "other": 2})
    # A ReLU of a maximum is a loop, as the bias of the maximum is not that of a sum.
    assert [(layer["node"], layer["formats"]["relu"]) for layer
            in build.programs["end"].report["layers"]] == [
        ("conv", True), ("other", False), ("sum", True), ("pool", True), ("end", True)]


@pytest.mark.parametrize("relu", ["left", "right"])
def test_pools_of_numbers_of_both_signs_are_not_those_of_others(relu):
    """Of concatenated maps, one has no negative numbers."""
    left, right = (dataclasses.replace(network, layers=(dataclasses.replace(
        network.layers[0], relu=name == relu),)) for name, network in (
            ("left", random_convolution((3, 6, 6), [4], 1, **SAME_SIZE)),
            ("right", random_convolution((3, 6, 6), [4], 2, **SAME_SIZE))))
    nodes = (Node("left", left, ("image",)), Node("right", right, ("image",)),
             Node("joined", Concat(0), ("left", "right")),
             Node("pool", MaxPool((2, 2), (2, 2)), ("joined",)),
             Node("again", MaxPool((2, 2), (1, 1)), ("pool",)),
             Node("last", random_convolution((8, 2, 2), [4]), ("again",)))
    graph = Graph({"image": (3, 6, 6)}, nodes, ("last",), dict.fromkeys(
        ["image", *(node.name for node in nodes)], 6))
    run_joined(graph, CONFIG, {"left": 2, "right": 2})


@pytest.mark.parametrize("frac", [4, 6, 7])
def test_relu_after_a_sum_may_have_another_format(frac):
    nodes = (Node("conv", random_convolution((3, 6, 6), [3], **SAME_SIZE), ("image",)),
             Node("sum", Add(), ("image", "conv")), Node("relu", Clip(0.0, np.inf), ("sum",)))
    graph = Graph({"image": (3, 6, 6)}, nodes, ("relu",),
                  {"image": 6, "conv": 6, "sum": 6, "relu": frac})
    build = run_joined(graph, CONFIG, {"conv": 2})
    assert len(build.programs["relu"].report["layers"]) == (2 if frac == 6 else 3)


@pytest.mark.parametrize("padding, is_possible", [
    ((0, 1, 0, 1), True), ((1, 0, 0, 0), False), ((0, 0, 1, 0), False)])
def test_maps_that_are_read_together_have_no_rows_around_them(padding, is_possible):
    nodes = (Node("a", CONV, ("x",)), Node("b", CONV, ("x",)),
             Node("c", Concat(0), ("a", "b")),
             Node("d", random_convolution((8, 5, 6), [3], padding=padding), ("c",)))
    graph = Graph({"x": (4, 5, 6)}, nodes, ("d",), dict.fromkeys("xabcd", 6))
    if is_possible:
        run_joined(graph, CONFIG, {"a": 2, "b": 2})
    else:
        with pytest.raises(CompileError, match="^layer 'fc1.2': maps that are read together must "
                                               "have no padding above or below"):
            lower_subgraph(make_subgraph(graph, "x", nodes), CONFIG)


@pytest.mark.parametrize("low, high, frac", [(0.0, np.inf, 6), (0.0, np.inf, 4)])
def test_relu_of_what_others_read_is_a_loop_of_its_own(low, high, frac):
    nodes = (Node("conv", pooled_network(relu=False).nodes[0].computation, ("image",)),
             Node("relu", Clip(low, high), ("conv",)),
             Node("again", Clip(low, high), ("conv",)), Node("sum", Add(), ("relu", "again")))
    graph = Graph({"image": (1, 13, 12)}, nodes, ("sum",),
                  {"image": 6, "conv": 6, "relu": frac, "again": 6, "sum": 5})
    build = run_joined(graph, CONFIG, {"conv": 4})
    assert [layer["node"] for layer in build.programs["sum"].report["layers"]] \
        == ["conv", "relu", "again", "sum"]


@pytest.mark.parametrize("loops", [(1, 1), (3, 4), (8, 2), (16, 16)])
@pytest.mark.parametrize("pool", [
    MaxPool((2, 2), (2, 2)), MaxPool((3, 3), (1, 1), (1, 1, 1, 1)),
    MaxPool((1, 4), (3, 2), (0, 3, 0, 1)), MaxPool((2, 10), (1, 1)), MaxPool((11, 10), (1, 1))],
    ids=str)
def test_pooling_of_any_window_is_exact(pool, loops):
    first = pooled_network(relu=False).nodes[0]
    _, height, width = pool.shape((6, 11, 10))
    nodes = (first, Node("pool", pool, ("conv1",)), Node("conv", random_convolution(
        (6, height, width), [4], kernel=(1, 1)), ("pool",)))
    graph = Graph({"image": (1, 13, 12)}, nodes, ("conv",),
                  dict.fromkeys(["image", "conv1", "pool", "conv"], 6))
    run_joined(graph, CONFIG, dict(zip(("conv1", "conv"), loops)))


def test_a_kernel_of_many_whole_rows_is_one_segment():
    nodes = (Node("conv", random_convolution((3, 20, 6), [4], **SAME_SIZE), ("image",)),
             Node("pool", MaxPool((20, 6), (1, 1)), ("conv",)))
    graph = Graph({"image": (3, 20, 6)}, nodes, ("pool",),
                  dict.fromkeys(["image", "conv", "pool"], 6))
    # Strips of 4 would leave surplus pixels between the rows.
    build = run_joined(graph, CONFIG, {"conv": 4})
    assert [layer["pixels"] for layer in build.programs["pool"].report["layers"]] == [3, 1]


@pytest.mark.parametrize("is_needed", [False, True])
@pytest.mark.parametrize("first", [MaxPool((2, 2), (2, 2)), Clip(0.0, np.inf)], ids=str)
def test_an_input_is_not_negative_if_layers_rely_on_it(is_needed, first):
    """Those before them must keep the sign; a ReLU makes it."""
    network = dataclasses.replace(
        random_convolution((3, *first.shape((3, 8, 10))[1:]), [4], **SAME_SIZE),
        nonnegative_inputs=is_needed)
    nodes = (Node("first", first, ("image",)), Node("conv", network, ("first",)))
    graph = Graph({"image": (3, 8, 10)}, nodes, ("conv",),
                  dict.fromkeys(["image", "first", "conv"], 6))
    found = lower_subgraph(make_subgraph(graph, "image", nodes), CONFIG)
    assert found.input.nonnegative == (is_needed and isinstance(first, MaxPool))
    # Maxima skip zeros where there is nothing less.
    assert found.convolutions[0].zeros == (isinstance(first, MaxPool) and not is_needed)


def test_pooling_can_be_first_and_last():
    nodes = (Node("pool1", MaxPool((2, 2), (2, 2)), ("image",)),
             Node("conv", random_convolution((3, 4, 5), [9], **SAME_SIZE), ("pool1",)),
             Node("pool2", MaxPool((2, 2), (1, 1)), ("conv",)))
    graph = Graph({"image": (3, 8, 10)}, nodes, ("pool2",),
                  dict.fromkeys(["image", "pool1", "conv", "pool2"], 6))
    build = run_joined(graph, CONFIG, {"conv": 2})
    # Maxima use no weights, and need no codebook.
    assert len(build.programs["pool2"].images["pe_0.codebook"]) == 16
    assert build.programs["pool2"].outputs[0].columns.shape == (9 * 3 * 4,)


@pytest.mark.parametrize("n_pe", [2, 16])
@pytest.mark.parametrize("loops", [(1, 1, 1), (4, 2, 8)])
def test_depthwise_convolutions_follow_dense_ones_and_pooling(n_pe, loops):
    convolutions = (random_convolution((3, 9, 8), [20], **SAME_SIZE),
                    grouped(random_convolution((20, 9, 8), [20, 12], **SAME_SIZE), 20),
                    grouped(random_convolution((12, 9, 8), [12, 5], kernel=(3, 2)), 12))
    graph = graph_of(*convolutions)
    build = run_joined(graph, dataclasses.replace(
        CONFIG, n_pe=n_pe, acc_depth=256, spmat_depth=1 << 14, ptr_depth=1 << 13, n_codebooks=8),
        dict(zip(("conv0", "conv1", "conv2"), loops)))
    assert [layer["local"] for layer in build.programs["conv2"].report["layers"]] \
        == [False, True, False, True, False]


def test_results_have_the_names_of_their_layers_also_if_nodes_have_the_same():
    build = run_joined(graph_of(*(random_convolution((4, 5, 6), [4, 4], **SAME_SIZE),) * 2),
                       CONFIG, {"conv0": 2, "conv1": 2})
    names = [vector.name for vector in build.programs["conv1"].layers]
    assert names == ["fc1.0", "fc2.1", "fc1.2", "fc2.3"]


def chain(*nodes, shape=(4, 5, 6)):
    names = ["x", *(name for name, _ in nodes)]
    made = tuple(Node(name, computation, (before,))
                 for before, (name, computation) in zip(names, nodes))
    return make_subgraph(Graph({"x": shape}, made, names[-1:], dict.fromkeys(names, 6)), "x", made)


CONV = random_convolution((4, 5, 6), [4], **SAME_SIZE)


def branches(operation, second, *others):
    """Subgraph of an operation on the results of two convolutions of one input, and others."""
    nodes = [Node("a", CONV, ("x",)), Node("b", second, ("x",)), Node("c", operation, ("a", "b"))]
    for name, computation in others:
        nodes.append(Node(name, computation, (nodes[-1].name,) * (
            2 if isinstance(computation, Concat) else 1)))
    graph = SimpleNamespace(shapes={"x": (4, 5, 6)}, fracs=dict.fromkeys("xabcde", 6))
    return make_subgraph(graph, "x", nodes)


def broadcast():
    """Subgraph of a sum of an image of one pixel and a vector, which NumPy broadcasts."""
    nodes = (Node("a", random_convolution((5, 1, 1), [5]), ("x",)),
             Node("b", Reshape((5,)), ("a",)), Node("c", Add(), ("a", "b")))
    graph = SimpleNamespace(shapes={"x": (5, 1, 1)}, fracs=dict.fromkeys("xabc", 6))
    return make_subgraph(graph, "x", nodes)


@pytest.mark.parametrize("subgraph, changes, message", [
    (chain(("a", CONV), ("b", CONV)), {"loops": False, "local": False, "maximum": False},
     "loops must be true, for a subgraph, whose layers are loops"),
    (chain(("a", CONV), ("b", MaxPool((2, 2), (1, 1)))), {"maximum": False},
     "layer 'b': maximum must be true for maxima of activations"),
    (chain(("a", CONV), ("b", Tanh())), {}, "node 'b': the machine does not compute Tanh"),
    (chain(("a", CONV), ("b", Reshape((4, 6, 5))),
           ("c", random_convolution((4, 6, 5), [4], **SAME_SIZE))), {},
     "node 'c': operands must have the shape of a map on the chip"),
    (chain(("a", CONV), ("b", random_network(np.random.default_rng(1), [6, 2], frac=6))), {},
     "node 'b': layers must be of the whole map, not of each of several vectors"),
    (chain(("a", CONV), ("b", Reshape((120,))),
           ("c", random_network(np.random.default_rng(1), [120, 300], frac=6))), {},
     "layer 'fc1.1': results of a strip must be at most acc_depth = 64 in each PE, not 75"),
    (chain(("a", MaxPool((2, 2), (1, 1))), ("b", MaxPool((2, 2), (1, 1)))), {},
     "a subgraph must have layers"),
    (branches(Add(), random_convolution((4, 5, 6), [1], **SAME_SIZE)), {},
     "node 'c': operands must have the same shape"),
    (chain(("a", CONV), ("b", Reshape((4, 6, 5))), ("c", MaxPool((2, 2), (2, 2)))), {},
     "node 'c': operands must have the shape of a map on the chip"),
    (broadcast(), {}, "node 'c': operands must have the same shape"),
    (branches(Concat(1), CONV), {}, "node 'c': channels must be concatenated, not axis 1"),
    (branches(Concat(0), CONV), {},
     "the result must be a single map, not concatenated ones"),
    (branches(Concat(0), CONV, ("d", random_convolution((8, 5, 6), [3], **SAME_SIZE))), {},
     "layer 'fc1.2': maps that are read together must be two, by a kernel of one row, not 2 by "
     "one of 3"),
    (branches(Concat(0), CONV, ("d", Concat(0)), ("e", random_convolution((16, 5, 6), [3]))), {},
     "layer 'fc1.2': maps that are read together must be two, by a kernel of one row, not 4 by "
     "one of 1"),
    (chain(("a", random_network(np.random.default_rng(1), [6, 2], frac=6)), shape=(4, 6)), {},
     "tensors must be images or vectors, not of shape (4, 6)"),
])
def test_what_the_machine_cannot_run_is_refused(subgraph, changes, message):
    with pytest.raises(CompileError, match=f"^{re.escape(message)}"):
        lower_subgraph(subgraph, dataclasses.replace(CONFIG, **changes))
