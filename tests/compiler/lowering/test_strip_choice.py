"""Choice of strips: cycles, memory, and the nodes that stay as they are."""

import contextlib
import dataclasses

import numpy as np
import pytest

from eie_compiler.errors import CompileError
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.loop_geometry import list_strips
from eie_compiler.lowering.loops import find_loops
from eie_compiler.lowering.strip_choice import choose_strips, estimate_cycles
from eie_compiler.lowering.strips import make_strips, uniform_strips
from eie_compiler.preprocessing import Preprocessing
from eie_hdl.config import EIEConfig
from eie_sim.cycles.model import predict_back_to_back
from support.graphs import SAME_SIZE, graph_of, grouped, random_convolution

CONFIG = EIEConfig(n_pe=16)


def test_few_rows_become_strips_and_many_rows_do_not():
    few = random_convolution((1, 6, 12), [8], **SAME_SIZE)
    many = random_convolution((8, 6, 12), [512], **SAME_SIZE)
    config = dataclasses.replace(CONFIG, spmat_depth=1 << 14, ptr_depth=1 << 13)
    assert choose_strips(graph_of(few, many), config) == {"conv0": 12}


@pytest.mark.parametrize("network", [
    random_convolution((1, 3, 12), [4], **SAME_SIZE),
    random_convolution((3, 4, 11), [24, 8], kernel=(3, 3), stride=(1, 2)),
    random_convolution((4, 5, 6), [96], kernel=(2, 2)),
])
@pytest.mark.parametrize("n_pe", [4, 32])
def test_chosen_strips_have_about_the_fewest_cycles_of_the_cycle_model(network, n_pe):
    pytest.importorskip("numba")
    config = dataclasses.replace(CONFIG, n_pe=n_pe)
    chosen = choose_strips(graph_of(network), config).get("conv0", 1)
    images = np.random.default_rng(2).integers(-20, 100, (1, *network.patches.shape))
    cycles = {}
    for n_pixels in range(1, network.patches.output_shape[1] + 1):
        build = compile_network(make_strips(network, n_pixels), config)
        words = build.patches.cut(np.maximum(images, 0))
        cycles[n_pixels] = predict_back_to_back(build, words).interval
    assert cycles[chosen] <= 1.1 * min(cycles.values())


def test_of_strips_with_as_many_in_a_row_the_shortest_are_chosen():
    # Of 34 pixels, strips of 13 to 16 are three in a row, as those of 12 are.
    network = random_convolution((1, 8, 34), [2], kernel=(3, 1))
    assert choose_strips(graph_of(network), CONFIG) == {"conv0": 12}
    assert estimate_cycles(network, CONFIG, 12) < estimate_cycles(network, CONFIG, 11)


@pytest.mark.parametrize("spmat_depth, n_loads, expected", [
    (16, 2, {"conv0": 2}), (64, 1, {"conv0": 3, "conv1": 3, "conv2": 3}),
    (256, 1, {"conv0": 12, "conv1": 12, "conv2": 12})])
def test_strips_need_no_further_load(spmat_depth, n_loads, expected):
    graph = graph_of(*(random_convolution((channels, 6, 12), [16], **SAME_SIZE)
                       for channels in (4, 16, 16)))
    config = dataclasses.replace(CONFIG, acc_depth=16, spmat_depth=spmat_depth, ptr_depth=4096)
    assert len(compile_graph(graph, config, strips={}).loads) == n_loads
    assert choose_strips(graph, config) == expected
    build = compile_graph(graph, config)
    assert len(build.loads) == n_loads
    assert {path: program.patches.pixels for path, program in build.programs.items()} == {
        path: expected.get(path, 1) for path in build.programs}


@pytest.mark.parametrize("network, n_pe, expected", [
    # Few channels leave most PEs idle: 16 pixels of 4 channels fill 64 PEs.
    (random_convolution((1, 6, 16), [4], **SAME_SIZE), 64, 16),
    # Broadcasts are the bound, and a whole row shares most.
    (random_convolution((1, 6, 12), [4], **SAME_SIZE), 16, 12),
    # From four pixels on, entries are the bound.
    (random_convolution((8, 6, 12), [16], **SAME_SIZE), 16, 4),
    # All PEs are busy with one pixel.
    (random_convolution((8, 6, 12), [512], **SAME_SIZE), 16, 1),
    # Results of strips of three would have 64 columns a pixel; these of four 16.
    (random_convolution((1, 6, 3), [16], **SAME_SIZE), 64, 4),
])
def test_strips_of_loops_are_those_of_about_the_fewest_cycles(network, n_pe, expected):
    config = dataclasses.replace(CONFIG, n_pe=n_pe, spmat_depth=1 << 14, ptr_depth=1 << 13,
                                 act_depth=1 << 13, loops=True)
    graph = find_loops(graph_of(network), config)
    assert choose_strips(graph, config) == {"conv0": expected}
    loop = graph.nodes[0].computation
    cycles = {}
    for n in list_strips(network.patches):
        with contextlib.suppress(CompileError):    # strips may be too long
            cycles[n] = estimate_cycles(loop, config, n)
    assert cycles[expected] <= 1.05 * min(cycles.values())


@pytest.mark.parametrize("n_pe", [16, 64])
def test_strips_of_local_loops_are_chosen_by_the_cycles_of_local_mode(n_pe):
    network = grouped(random_convolution((64, 6, 12), [64, 64], **SAME_SIZE), 64)
    config = dataclasses.replace(CONFIG, n_pe=n_pe, acc_depth=64, spmat_depth=1 << 14,
                                 ptr_depth=1 << 13, act_depth=1 << 13, loops=True)
    local = dataclasses.replace(config, local=True)
    loop = find_loops(graph_of(network), local).nodes[0].computation
    cycles, chosen = {}, {}
    for machine in (config, local):
        cycles[machine] = {n: estimate_cycles(loop, machine, n)
                           for n in list_strips(network.patches) if 64 * n <= 64 * n_pe}
        chosen[machine] = choose_strips(graph_of(loop), machine)["conv0"]
        assert cycles[machine][chosen[machine]] <= 1.05 * min(cycles[machine].values())
    assert all(fewer < more for fewer, more in zip(cycles[local].values(),
                                                   cycles[config].values()))
    build = compile_graph(graph_of(network), local)
    assert build.programs["conv0"].patches.loop == chosen[local]


def test_loops_have_shorter_strips_where_the_memories_are_small():
    network = random_convolution((8, 6, 12), [16], **SAME_SIZE)
    found = []
    for spmat_depth in (256, 12, 8):
        config = dataclasses.replace(CONFIG, acc_depth=16, spmat_depth=spmat_depth, ptr_depth=4096,
                                     loops=True)
        graph = find_loops(graph_of(network), config)
        found.append(choose_strips(graph, config).get("conv0", 1))
    assert found == [4, 2, 1]


def test_a_loop_that_needs_strips_has_them_whatever_the_most_pixels():
    # Maps of single pixels would have 64 columns for each of them.
    network = random_convolution((1, 6, 12), [4], **SAME_SIZE)
    config = dataclasses.replace(CONFIG, n_pe=64, act_depth=4, loops=True)
    graph = find_loops(graph_of(network), config)
    assert graph.nodes[0].computation.patches.loop == 16
    assert choose_strips(graph, config, most=1) == {"conv0": 16}
    assert choose_strips(graph, config) == {"conv0": 16}


def test_strips_of_loops_need_no_further_load():
    graph = graph_of(*(random_convolution((channels, 6, 12), [16], **SAME_SIZE)
                       for channels in (4, 16, 16)))
    config = dataclasses.replace(CONFIG, acc_depth=16, spmat_depth=64, ptr_depth=4096, loops=True)
    pixels = []
    for each in (config, dataclasses.replace(config, spmat_depth=1024)):
        chosen = choose_strips(find_loops(graph, each), each)
        build = compile_graph(graph, each, strips=chosen)
        assert len(build.loads) == 1
        assert [node["pixels"] for node in build.report["nodes"] if node.get("loop")] \
            == list(chosen.values())
        pixels.append(sum(chosen.values()))
    assert pixels[0] < pixels[1]


def test_strips_that_do_not_fit_alone_are_shorter():
    graph = graph_of(random_convolution((16, 6, 12), [16], **SAME_SIZE))
    config = dataclasses.replace(CONFIG, acc_depth=16, spmat_depth=32, ptr_depth=4096)
    assert choose_strips(graph, config) == {"conv0": 3}


def test_memory_is_for_strips_of_nodes_that_are_computed_often():
    network = random_convolution((8, 6, 12), [16], **SAME_SIZE)
    body = graph_of(network)
    graph = Graph({"images": (5, *network.patches.shape), "image": network.patches.shape}, (
        Node("once", network, ("image",)), Node("scan", Scan(body, ()), ("images",))),
        ("once", "scan"), dict.fromkeys(["images", "image", "once", "scan"], 6))
    config = dataclasses.replace(CONFIG, acc_depth=16, spmat_depth=20, ptr_depth=4096)
    assert choose_strips(graph, config) == {"scan/conv0": 3}


def test_strips_and_nodes_without_patches_stay_as_they_are():
    network = random_convolution((1, 6, 12), [4], **SAME_SIZE)
    plain = dataclasses.replace(network, patches=None)
    graph = Graph({"x": (9,)}, (Node("fc", plain, ("x",)),), ("fc",), {"x": 6, "fc": 6})
    scaled = dataclasses.replace(network, preprocessing=Preprocessing(np.zeros(9), np.ones(9)))
    for each in (graph, graph_of(make_strips(network, 2)), graph_of(scaled)):
        assert choose_strips(each, CONFIG) == {} == uniform_strips(each, 2)


def test_a_network_for_another_machine_is_named():
    network = dataclasses.replace(random_convolution((1, 6, 12), [4]), act_width=8)
    with pytest.raises(CompileError, match="^network 'conv0': act_width must be 8"):
        choose_strips(graph_of(network), CONFIG)
