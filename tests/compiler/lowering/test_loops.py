"""Graphs whose convolutions are loops: the results of graphs without loops, bit for bit."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.loops import find_loops, set_loops
from eie_compiler.lowering.strips import set_strips
from eie_compiler.patches import Patches
from eie_hdl.config import PRESETS, EIEConfig
from eie_hdl.format import Layouts
from eie_hdl.packing import unpack
from eie_sim.graph_inference import infer_graph
from support.graphs import (
    SAME_SIZE,
    convolution,
    graph_of,
    grouped,
    random_convolution,
    residual_network,
)
from support.pruned_graphs import pruned_graph
from support.random_graphs import random_graph

ROOMY = EIEConfig(n_pe=4, acc_depth=32, act_depth=1024, spmat_depth=4096, ptr_depth=4096,
                  loops=True)
#: Machine of which some convolutions do not fit.
TIGHT = dataclasses.replace(ROOMY, n_pe=16, acc_depth=4, act_depth=7)
TINY = dataclasses.replace(PRESETS["tiny"], loops=True)


def loops_of(build):
    """Pixels of the strips of all loops, by the name of their node."""
    return {node["path"].rpartition("/")[2]: node["pixels"] for node in build.report["nodes"]
            if node.get("loop")}


def assert_same(graph, build, seed=1, batch=2):
    """Compare a build with the graph in integers, and with a build without loops."""
    rng = np.random.default_rng(seed)
    inputs = {name: rng.normal(size=(batch, *shape)) for name, shape in graph.inputs.items()}
    found = infer_graph(build, inputs, engine="golden")
    simpler = dataclasses.replace(build.config, loops=False, local=False)
    plain = infer_graph(compile_graph(graph, simpler), inputs, engine="golden")
    exact = IntegerGraph(graph, build.config).run(inputs)
    for name in graph.outputs:
        np.testing.assert_array_equal(found.outputs[name], plain.outputs[name])
        np.testing.assert_array_equal(found.outputs[name], exact[name])
    for path, program in build.programs.items():
        node = found.nodes[path]
        assert node.planned == node.vectors
        if node.operation.startswith("subgraph") or program.patches and program.patches.loop:
            assert node.vectors == batch


@pytest.mark.parametrize("config", [ROOMY, TIGHT], ids=["roomy", "tight"])
@pytest.mark.parametrize("seed", range(12))
def test_pruned_graphs_have_the_same_results(seed, config):
    graph = pruned_graph(seed)
    build = compile_graph(graph, config)
    assert_same(graph, build, seed)
    convolutions = [row for row in build.report["nodes"] if "convolution" in row["operation"]]
    notes = [note for note in build.report["notes"] if note.startswith("no loop")]
    assert len(notes) == len(convolutions) - len(loops_of(build))
    assert config is TIGHT or all(" need fewer cycles, about " in note for note in notes)


def test_some_convolutions_of_the_tight_machine_are_loops():
    builds = [compile_graph(pruned_graph(seed), TIGHT) for seed in range(12)]
    loops = sum(len(loops_of(build)) for build in builds)
    notes = sum(note.startswith("no loop") for build in builds for note in build.report["notes"])
    assert loops > 10 and notes > 3


@pytest.mark.parametrize("seed", range(4))
def test_graphs_without_convolutions_are_as_before(seed):
    graph = random_graph(seed)
    builds = [compile_graph(graph, dataclasses.replace(ROOMY, act_width=16, loops=loops))
              for loops in (False, True)]
    assert builds[0].report["nodes"] == builds[1].report["nodes"]
    assert_same(graph, builds[1], seed)


@pytest.mark.parametrize("strips", [None, {"conv1": 2, "conv2": 1}, {"conv2": 3}, {}])
def test_strips_of_loops_are_chosen_or_set(strips):
    graph = residual_network(TINY)
    build = compile_graph(graph, TINY, strips=strips)
    assert strips is None or loops_of(build) == strips
    assert len(loops_of(build)) == (2 if strips is None else len(strips))
    assert_same(graph, build)


def test_convolutions_in_a_scan_are_loops_in_each_step():
    network = convolution(np.random.default_rng(3), TINY, (2, 4, 4), 4)
    body = Graph({"image": (2, 4, 4)}, (Node("conv", network, ("image",)),), ("conv",),
                 {"image": 4, "conv": 4})
    graph = Graph({"images": (5, 2, 4, 4)}, (Node("scan", Scan(body, ()), ("images",)),),
                  ("scan",), {"images": 4, "scan": 4})
    build = compile_graph(graph, TINY)
    (row,) = [node for node in build.report["nodes"] if node["path"] == "scan/conv"]
    assert row["loop"] and row["vectors"] == 5 and row["macs"] == 5 * 16 * row["weights"]
    images = np.random.default_rng(4).normal(size=(2, 5, 2, 4, 4))
    np.testing.assert_array_equal(infer_graph(build, images, engine="golden").outputs["scan"],
                                  IntegerGraph(graph, TINY).run({"images": images})["scan"])


@pytest.mark.parametrize("n_pe", [1, 4, 16])
@pytest.mark.parametrize("mapping", ["balanced", "interleaved"])
def test_depthwise_convolutions_are_local_loops(n_pe, mapping):
    config = dataclasses.replace(ROOMY, n_pe=n_pe, ptr_depth=8192, act_depth=4096, local=True)
    graph = graph_of(
        random_convolution((3, 9, 8), [16], **SAME_SIZE),
        *(grouped(random_convolution((channels, 9, 8), rows, **SAME_SIZE), n_groups)
          for channels, rows, n_groups in ((16, [16, 16], 16), (16, [16, 9], 8))),
        grouped(random_convolution((9, 9, 8), [18, 5], kernel=(3, 3), stride=(2, 1),
                                   padding=(1, 0, 1, 2)), 9))
    build = compile_graph(graph, config, mapping=mapping)
    assert len(loops_of(build)) == 4 or n_pe == 1
    local: list[bool] = []
    for program in build.programs.values():
        fields = unpack(Layouts.of(config).descriptor, program.program)
        local += (fields["loop"]["local"][fields["start"]["send"] == 0] == 1).tolist()
        assert local[-len(program.layers):] == [layer["local"] for layer
                                                in program.report["layers"]]
    # Of each node after the first, the first layer is local. One PE has nothing to gain.
    assert local == [False, True, False, True, False, True, False] if n_pe > 1 else not any(local)
    assert_same(graph, build)


def node_of(seed=1, shape=(3, 6, 8), n_out=4, **geometry):
    """Graph of one convolution."""
    patches = Patches(shape, **geometry)
    network = convolution(np.random.default_rng(seed), TINY, shape, n_out)
    if geometry:
        rows = np.arange(patches.n_inputs) % network.layers[0].n_cols
        layer = network.layers[0]
        network = dataclasses.replace(network, patches=patches, layers=(
            dataclasses.replace(layer, codes=layer.codes[:, rows]),))
    return Graph({"image": shape}, (Node("conv", network, ("image",)),), ("conv",),
                 {"image": 4, "conv": 4})


@pytest.mark.parametrize("graph, config, message", [
    # 6 · 8 pixels of three channels are nine rows of four elements in four PEs, those of four
    # channels twelve; strips of fewer pixels than four would have more.
    (node_of(), dataclasses.replace(TINY, act_depth=21),
     "activation SRAM must have 22 words (1 of biases, 21 of inputs and outputs of layer 'fc1'), "
     "not 21"),
    (node_of(n_out=65), TINY,
     "layer 'fc1': results of a strip must be at most acc_depth = 16 in each PE, not 17"),
    (node_of(shape=(1, 18, 3), kernel=(17, 1)), TINY,
     "layer 'fc1': kernel must have at most 16 rows, not 17"),
])
def test_a_note_says_why_a_node_is_no_loop(graph, config, message):
    build = compile_graph(graph, config)
    assert not loops_of(build)
    assert build.report["notes"][-1].startswith(f"no loop of the machine: node 'conv': {message}")
    assert_same(graph, build)


def test_strips_that_are_too_long_for_a_loop_are_strips_of_the_host():
    graph, config = node_of(n_out=20), dataclasses.replace(TINY, act_depth=128)
    build = compile_graph(graph, config, strips={"conv": 4})
    assert build.programs["conv"].patches.pixels == 4 and not loops_of(build)
    assert len(build.graph.notes) == 1
    assert loops_of(compile_graph(graph, config)) in ({"conv": 1}, {"conv": 2})


def test_loops_of_another_machine_are_removed():
    graph = node_of()
    loops = find_loops(find_loops(graph, dataclasses.replace(TINY, act_depth=21)), TINY)
    assert loops.notes == () and loops.nodes[0].computation.patches.loop == 1
    assert find_loops(loops, dataclasses.replace(TINY, loops=False)).nodes[0].computation \
        is not loops.nodes[0].computation
    plain = compile_graph(loops, dataclasses.replace(TINY, loops=False), strips={"conv": 2})
    assert plain.programs["conv"].patches.pixels == 2 and not loops_of(plain)
    tensors = {"image": np.random.default_rng(2).normal(size=(2, 3, 6, 8))}
    assert IntegerGraph(loops, TINY).run(tensors)["conv"].tolist() \
        == IntegerGraph(graph, TINY).run(tensors)["conv"].tolist()


def test_strips_of_a_loop_change_only_its_length():
    graph = set_loops(node_of(), {"conv": 1})
    longer = set_strips(graph, {"conv": 4}).nodes[0].computation
    assert longer.patches == Patches((3, 6, 8), (3, 3), padding=(1, 1, 1, 1), loop=4)
    assert longer.layers is graph.nodes[0].computation.layers
