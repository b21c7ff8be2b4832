"""Feature maps in bands of rows, on machines with too little memory for all of them."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    MaxPool,
    Quantise,
    Tanh,
)
from eie_compiler.lowering.bands import BANDS, make_bands
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph
from support.graphs import SAME_SIZE, graph_of, random_convolution

CONFIG = EIEConfig(n_pe=4, act_depth=128, spmat_depth=4096, ptr_depth=4096, loops=True, local=True,
                   maximum=True)


def chain(network, *operations, frac=6, outputs=None):
    """Graph of a convolution and operations one after another."""
    names = ["conv", *(f"node{number}" for number in range(len(operations)))]
    nodes = [Node(name, computation, (before,)) for name, computation, before
             in zip(names, (network, *operations), ["x", *names])]
    fracs = {"x": network.input_frac, "conv": network.layers[-1].output_frac}
    for name, computation in zip(names[1:], operations):
        keeps = getattr(computation, "keeps_format", False)
        fracs[name] = list(fracs.values())[-1] if keeps else frac
    return Graph({"x": network.patches.shape}, tuple(nodes), outputs or (names[-1],), fracs)


def inside(graph):
    """Nodes of the bands of a graph."""
    return [[node.name for node in each.computation.body.nodes] for each in graph.nodes
            if isinstance(each.computation, Scan)]


def check(graph, config, *, n_images=2):
    """Compile a graph, and compare it with the arithmetic of whole maps; return its build."""
    build = compile_graph(graph, config)
    (source, shape), = graph.inputs.items()
    x = np.random.default_rng(1).normal(size=(n_images, *shape))
    found = infer_graph(build, {source: x}, engine="golden")
    whole, banded = (IntegerGraph(each, config).run({source: x}) for each in (graph, build.graph))
    for name, words in found.outputs.items():
        np.testing.assert_array_equal(words, whole[name])
        np.testing.assert_array_equal(words, banded[name])
        assert np.ptp(words) > 0
    return build


@pytest.mark.parametrize("options", [
    SAME_SIZE, {"kernel": (1, 1)}, {"kernel": (5, 3), "padding": (2, 1, 2, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 0, 1, 1)},
    {"kernel": (3, 2), "stride": (4, 1)}, {"kernel": (3, 3), "dilation": (2, 1)},
    {"kernel": (2, 2), "padding": (1, 0, 0, 0)}], ids=str)
@pytest.mark.parametrize("height", [23, 24])
def test_bands_compute_the_words_of_the_whole_map(options, height):
    # Strips of the host need fewer cycles for some sizes.
    graph, config = next(
        (graph, config) for n_rows in (16, 24, 40) for depth in (256, 192, 128, 96, 64, 48)
        if inside(make_bands(
            graph := chain(random_convolution((8, height, 13), [n_rows], **options)),
            config := dataclasses.replace(CONFIG, act_depth=depth))))
    build = check(graph, config)
    assert inside(build.graph) == [["conv"]] and list(build.programs) == ["conv.bands/conv"]
    assert build.report["total"]["host_operations"] == 0
    (note,) = [note for note in build.report["notes"] if note.startswith(BANDS)]
    scan, = (node for node in build.graph.nodes if isinstance(node.computation, Scan))
    n_bands, *band = build.graph.shapes[scan.inputs[0]]
    rows = build.graph.shapes[scan.name][2]
    assert note == (
        f"{BANDS}node 'conv': {n_bands} bands of {rows} rows; the host sends "
        f"{n_bands * np.prod(band):,} words of an inference, and takes "
        f"{np.prod(build.graph.shapes[scan.name]):,}")


@pytest.mark.parametrize("operations", [
    [MaxPool((2, 2), (2, 2))], [MaxPool((3, 3), (2, 1)), Clip(0.0, np.inf)],
    [Clip(0.0, np.inf), AveragePool((2, 2), (2, 2)), MaxPool((1, 2), (1, 2))]], ids=str)
def test_a_band_contains_what_follows_without_padding(operations):
    build = check(chain(random_convolution((4, 21, 12), [6], **SAME_SIZE), *operations), CONFIG)
    last = f"node{len(operations) - 1}"
    assert inside(build.graph) in ([["conv", *(f"node{n}" for n in range(len(operations)))]],
                                   [[last]])    # joined
    assert list(build.programs) == [f"{last}.bands/{last}"]


def test_a_second_convolution_has_no_padding_above_and_below():
    first, config = random_convolution((8, 24, 9), [16], **SAME_SIZE), dataclasses.replace(
        CONFIG, act_depth=192)
    for padding, n_nodes in (((0, 1, 0, 1), 2), ((1, 1, 1, 1), 1)):
        second = random_convolution((16, 24, 9), [12], 2, kernel=(3, 3), padding=padding)
        graph = chain(first, second)
        assert len(inside(make_bands(graph, config))[0]) == n_nodes
        check(graph, config)


@pytest.mark.parametrize("graph", [
    chain(random_convolution((4, 20, 12), [6], **SAME_SIZE), MaxPool((3, 3), (1, 1), (1, 1, 1, 1))),
    chain(random_convolution((4, 20, 12), [6], **SAME_SIZE), Tanh()),
    chain(random_convolution((4, 20, 12), [6], **SAME_SIZE), Clip(0.0, np.inf),
          outputs=("node0", "conv")),
    chain(random_convolution((4, 20, 12), [6], **SAME_SIZE),
          Affine(np.arange(20.0)[:, np.newaxis], 0.0))],
    ids=["padded pool", "function", "output", "rows"])
def test_what_bands_do_not_contain(graph):
    assert inside(check(graph, CONFIG).graph) == [["conv"]]


def test_a_map_that_others_read_ends_a_band():
    graph = chain(random_convolution((8, 23, 13), [16], **SAME_SIZE), Clip(0.0, np.inf))
    graph = Graph(graph.inputs, (*graph.nodes, Node("sum", Add(), ("conv", "node0"))), ("sum",),
                  {**graph.fracs, "sum": 5})
    assert inside(check(graph, dataclasses.replace(CONFIG, act_depth=256)).graph) == [["conv"]]


def test_quantised_maps_in_bands():
    config = dataclasses.replace(CONFIG, scales=True)
    graph = chain(random_convolution((4, 20, 12), [6], **SAME_SIZE), Quantise(3.0, -128, 127),
                  MaxPool((2, 2), (2, 2)), frac=7)
    build = compile_graph(graph, config)
    x = np.random.default_rng(1).normal(size=(2, 4, 20, 12))
    found = infer_graph(build, {"x": x}, engine="golden").outputs["node1"]
    np.testing.assert_array_equal(found, IntegerGraph(build.graph, config).run({"x": x})["node1"])
    assert list(build.programs) == ["node1.bands/node1"] and not (found % 128).any()


def test_names_are_not_taken():
    graph = chain(random_convolution((4, 20, 12), [6], **SAME_SIZE))
    before = Node("conv.bands", Clip(-3.0, 3.0), ("x",))
    graph = Graph(graph.inputs, (before, dataclasses.replace(graph.nodes[0], inputs=(
        "conv.bands",))), ("conv",), {**graph.fracs, "conv.bands": graph.fracs["x"]})
    check(graph, CONFIG)


def test_a_map_that_fits_stays_whole_and_so_does_one_that_never_does():
    graph = graph_of(random_convolution((4, 20, 12), [6], **SAME_SIZE))
    for changes in ({"act_depth": 1024}, {"loops": False, "local": False, "maximum": False},
                    {"act_depth": 8}):
        assert make_bands(graph, dataclasses.replace(CONFIG, **changes)) is graph


def test_a_build_that_is_compiled_again_keeps_its_bands():
    graph = chain(random_convolution((4, 20, 12), [6], **SAME_SIZE))
    build = compile_graph(graph, CONFIG)
    again = compile_graph(build.graph, dataclasses.replace(CONFIG, n_pe=8))
    assert inside(again.graph) == inside(build.graph)
