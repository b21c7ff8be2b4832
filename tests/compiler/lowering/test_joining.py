"""`eie_compiler.lowering.joining`: nodes that become one program."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Add, AveragePool, MaxPool, Mean, Tanh
from eie_compiler.graph.subgraphs import join_nodes, make_subgraph
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.integer_graph import IntegerGraph
from eie_compiler.lowering.joining import (
    APART,
    JOINED,
    ON_HOST,
    ROUNDED,
    estimate_graph,
    join_programs,
)
from eie_compiler.lowering.loop_choice import choose_loops
from eie_compiler.lowering.loops import set_loops
from eie_compiler.lowering.strip_choice import estimate_cycles
from eie_compiler.lowering.subgraphs import lower_subgraph
from eie_hdl.config import EIEConfig
from eie_sim.graph_inference import infer_graph
from support.graphs import SAME_SIZE, graph_of, pooled_network, random_convolution
from support.pruned_graphs import pruned_graph

CONFIG = EIEConfig(n_pe=4, act_depth=1024, spmat_depth=4096, ptr_depth=4096, loops=True,
                   local=True, maximum=True)


def programs_of(graph, **changes):
    """Programs of a graph, each with its nodes."""
    build = compile_graph(graph, dataclasses.replace(CONFIG, **changes))
    nodes = [row["path"] for row in build.report["nodes"]]
    return {path: [node.rpartition("/")[2] for node in nodes if node.startswith(f"{path}/")]
            for path in build.programs}


def test_a_whole_network_is_one_program_if_the_machine_computes_all_of_it():
    graph = pooled_network()
    assert programs_of(graph) == {"fc": ["conv1", "pool1", "conv2", "pool2", "flat", "fc"]}
    assert programs_of(graph, maximum=False) == {"conv1": [], "conv2": [], "fc": []}
    # Fully connected layers are no longer than one tile in a program of loops.
    assert programs_of(graph, n_pe=2, acc_depth=4) == {
        "flat": ["conv1", "pool1", "conv2", "pool2", "flat"], "fc": []}
    assert programs_of(graph, loops=False, local=False, maximum=False) == {
        "conv1": [], "conv2": [], "fc": []}


def with_nodes(graph, *nodes, outputs):
    """Graph with further nodes, all of one format."""
    return Graph(graph.inputs, (*graph.nodes, *nodes), outputs,
                 {**graph.fracs, **{node.name: 6 for node in nodes}})


def test_a_result_that_others_read_ends_a_program():
    graph = pooled_network()
    assert programs_of(dataclasses.replace(graph, outputs=("fc", "pool1"))) == {
        "pool1": ["conv1", "pool1"], "fc": ["conv2", "pool2", "flat", "fc"]}
    sums = with_nodes(graph, Node("sum", Add(), ("conv2", "conv2")), outputs=("fc", "sum"))
    assert programs_of(sums) == {
        "conv2": ["conv1", "pool1", "conv2"], "fc": ["pool2", "flat", "fc"]}
    assert programs_of(with_nodes(graph, Node("end", Tanh(), ("fc",)), outputs=("end",))) == {
        "fc": ["conv1", "pool1", "conv2", "pool2", "flat", "fc"]}


@pytest.mark.parametrize("keep", [False, True])
def test_means_are_layers_in_local_mode(keep):
    graph = graph_of(random_convolution((8, 12, 12), [8], **SAME_SIZE))
    both = with_nodes(graph, Node("mean", Mean((1, 2), keep), ("conv0",)), outputs=("mean",))
    assert programs_of(both) == {"mean": ["conv0", "mean"]}
    assert programs_of(both, local=False) == {"conv0": []}
    build = compile_graph(both, CONFIG)
    assert build.report["notes"][0].startswith(
        f"{ROUNDED}node 'mean': the machine multiplies sums of 144 numbers by 0.00694")
    # A machine that cannot compute them gets the means themselves.
    again = compile_graph(build.graph, EIEConfig(n_pe=4))
    assert isinstance(again.graph.nodes[1].computation, Mean) and not again.report["notes"]
    assert [layer["local"] for layer in build.programs["mean"].report["layers"]] == [False, True]
    # Means of windows with padding are of different numbers of elements.
    other = AveragePool((3, 3), (1, 1), (1, 1, 1, 1))
    assert programs_of(with_nodes(graph, Node("mean", other, ("conv0",)), outputs=("mean",))) \
        == {"conv0": []}


def test_pooling_alone_is_left_to_the_host():
    graph = graph_of(random_convolution((3, 6, 6), [4], **SAME_SIZE))
    both = with_nodes(graph, Node("bounded", Tanh(), ("conv0",)),
                      Node("pool", MaxPool((2, 2), (2, 2)), ("bounded",)), outputs=("pool",))
    assert programs_of(both) == {"conv0": []}


def test_nodes_stay_apart_if_they_would_not_fit_together():
    graph = graph_of(*(random_convolution((6, 8, 8), [6], seed, **SAME_SIZE)
                       for seed in range(4)))
    together = programs_of(graph)
    assert together == {"conv3": ["conv0", "conv1", "conv2", "conv3"]}
    # Of four codebooks, a load holds two: the first of two loads ends with the second node.
    assert programs_of(graph, n_codebooks=2) == {"conv1": ["conv0", "conv1"],
                                                 "conv3": ["conv2", "conv3"]}


def notes_of(graph, **changes):
    """Notes of what the host computes."""
    build = compile_graph(graph, dataclasses.replace(CONFIG, **changes))
    return [note.removeprefix(ON_HOST) for note in build.report["notes"]
            if note.startswith((ON_HOST, APART))]


def test_notes_say_why_the_host_computes_an_operation():
    graph = pooled_network()
    assert notes_of(graph) == []
    assert notes_of(graph, maximum=False) == [
        f"node {name!r}: layer {name!r}: maximum must be true for maxima of activations"
        for name in ("pool1", "pool2")]
    (note,) = notes_of(graph, act_depth=54)
    assert note.startswith("node 'pool1': activation SRAM must have 59 words (")
    tanh = with_nodes(graph_of(random_convolution((3, 12, 12), [8], **SAME_SIZE)),
                      Node("sum", Add(), ("conv0", "conv0")), outputs=("sum",))
    assert notes_of(tanh, local=False) == [
        "node 'sum': local must be true for sums and means, or they would be too slow"]
    assert notes_of(tanh) == ["node 'sum': layer 'sum': maps that are read together must be two, "
                              "by a kernel of one row, not 2 by one of 1"]


def test_nodes_stay_apart_if_they_would_need_more_loads(monkeypatch):
    graph = graph_of(*(random_convolution((6, 8, 8), [6], seed, **SAME_SIZE)
                       for seed in range(3)))
    monkeypatch.setattr("eie_compiler.lowering.graph.count_loads",
                        lambda graph, *_, mapping: 3 - len(graph.nodes))
    assert programs_of(graph) == {"conv0": [], "conv1": [], "conv2": []}
    assert notes_of(graph) == [f"{APART}programs of several would need 2 loads of the memories, "
                               "not 0: raise their depths"]


@pytest.mark.parametrize("cycles, notes", [
    ((900.0, 1000.0), [f"{JOINED}programs of several take about 1,000 cycles; those of single "
                       "nodes would take 900, and more operations and transfers of the host"]),
    ((1000.0, 900.0), [])])
def test_a_note_says_what_it_costs_to_join_nodes(cycles, notes, monkeypatch):
    estimates = iter(cycles)
    monkeypatch.setattr("eie_compiler.lowering.graph.estimate_graph",
                        lambda *_, mapping: next(estimates))
    build = compile_graph(pooled_network(), CONFIG)
    assert list(build.programs) == ["fc"]
    assert [note for note in build.report["notes"] if note.startswith(JOINED)] == notes
    # Notes are of one machine.
    monkeypatch.undo()
    again = compile_graph(build.graph, EIEConfig(n_pe=4))
    assert len(again.programs) == 3 and not again.report["notes"]


def test_cycles_of_a_graph_are_those_of_its_programs():
    body = pooled_network()
    graph = Graph({"images": (3, 1, 13, 12)}, (Node("scan", Scan(body, ()), ("images",)),),
                  ("scan",), {"images": 6, "scan": 6})
    strips = {"conv1": 2, "conv2": 2}
    one, steps = (estimate_graph(each, named, CONFIG, mapping="balanced") for each, named in (
        (body, strips), (graph, {f"scan/{name}": n for name, n in strips.items()})))
    assert steps == 3 * one > 0
    networks = {node.name: node.computation for node in body.nodes}
    assert one == sum(estimate_cycles(networks[name], CONFIG, strips.get(name, 1))
                      for name in ("conv1", "conv2", "fc"))
    nodes = list(set_loops(body, strips).nodes)
    whole = make_subgraph(body, "image", nodes)
    assert estimate_graph(join_nodes(body, whole), {}, CONFIG, mapping="balanced") \
        == lower_subgraph(whole, CONFIG).loop_cycles


def test_loads_are_counted_also_if_a_program_only_gets_pooling_before_it(monkeypatch):
    conv = random_convolution((6, 6, 6), [8], **SAME_SIZE)
    graph = Graph({"image": (6, 12, 12)}, (
        Node("pool", MaxPool((2, 2), (2, 2)), ("image",)), Node("conv", conv, ("pool",))),
        ("conv",), {"image": 6, "pool": 6, "conv": 6})
    assert programs_of(graph) == {"conv": ["pool", "conv"]}
    monkeypatch.setattr("eie_compiler.lowering.graph.count_loads",
                        lambda graph, *_, mapping: 3 - len(graph.nodes))
    assert programs_of(graph) == {"conv": []}


def test_programs_are_chosen_once_if_none_are_joined(monkeypatch):
    calls = []

    def count(graph, *options, **named):
        calls.append(graph)
        return choose_loops(graph, *options, **named)

    monkeypatch.setattr("eie_compiler.lowering.graph.choose_loops", count)
    compile_graph(pooled_network(), EIEConfig(n_pe=4))
    assert len(calls) == 1


def test_nodes_in_the_body_of_a_scan_are_joined():
    body = pooled_network()
    graph = Graph({"images": (3, 1, 13, 12)}, (Node("scan", Scan(body, ()), ("images",)),),
                  ("scan",), {"images": 6, "scan": 6})
    build = compile_graph(graph, CONFIG)
    assert list(build.programs) == ["scan/fc"]
    row = next(row for row in build.report["nodes"] if row["path"] == "scan/fc")
    assert row["vectors"] == row["times"] == 3
    images = np.random.default_rng(2).normal(size=(2, 3, 1, 13, 12))
    np.testing.assert_array_equal(infer_graph(build, images, engine="golden").outputs["scan"],
                                  IntegerGraph(graph, CONFIG).run({"images": images})["scan"])


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_have_the_same_results(seed):
    graph = pruned_graph(seed)
    build = compile_graph(graph, CONFIG)
    images = np.random.default_rng(seed).normal(size=(2, *graph.inputs["image"]))
    found = infer_graph(build, images, engine="golden").outputs
    # Means may differ from those of the host.
    exact = IntegerGraph(build.graph, CONFIG).run({"image": images})
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], exact[name])


def test_a_machine_without_loops_has_no_subgraphs():
    graph = pooled_network()
    assert join_programs(graph, EIEConfig(n_pe=4)) is graph
