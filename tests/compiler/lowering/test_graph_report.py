"""Report of a build (`eie_compiler.lowering.graph_report`)."""

import dataclasses
import json

from eie_compiler.graph.operations import Concat
from eie_compiler.lowering.graph import compile_graph
from eie_compiler.lowering.graph_report import describe_graph
from eie_hdl.config import PRESETS, EIEConfig
from support.graphs import (
    graph_of,
    grouped,
    random_convolution,
    recurrent_network,
    residual_network,
)
from support.recurrences import CONFIG, StepBody, compare, random_lstm

TINY = PRESETS["tiny"]


def nodes_of(graph, **strips):
    build = compile_graph(graph, TINY, strips=strips)
    report = describe_graph(TINY, build.graph, "balanced", build.programs)
    assert json.loads(json.dumps(report)) == build.report == report
    return {node["path"]: node for node in report["nodes"]}, report["total"]


def test_work_of_convolutions_is_counted_for_each_pixel():
    nodes, total = nodes_of(residual_network(TINY))
    conv = nodes["conv2"]
    assert conv["where"] == "accelerator" and conv["operation"] == "convolution 3 × 3, 36 → 4"
    assert conv["shape"] == [4, 3, 3] and conv["vectors"] == 9
    assert conv["macs"] == 9 * conv["weights"] and conv["dense_macs"] == 9 * 36 * 4
    assert nodes["fc"]["operation"] == "fully connected, 4 → 5 → 3"    # one row is dead
    # Four elements of each window; and the elements of the greatest tensor of other operations.
    assert nodes["pool"]["host_operations"] == 4 * 4 * 3 * 3
    assert nodes["sum"]["host_operations"] == nodes["mean"]["host_operations"] == 36
    assert total["accelerator_share"] == total["macs"] / (total["macs"] + total["host_operations"])
    assert total["programs"] == 3


def test_work_of_strips_is_that_of_their_pixels():
    graph = residual_network(TINY)
    plain, total = nodes_of(graph)
    nodes, of_strips = nodes_of(graph, conv1=4, conv2=2)
    assert nodes["conv1"]["operation"] == "convolution 3 × 3, 18 → 4, strips of 4"
    assert [nodes[name]["pixels"] for name in ("conv1", "conv2", "fc")] == [4, 2, 1]
    assert nodes["conv1"]["vectors"] == 6 * 2 and nodes["conv2"]["vectors"] == 3 * 2
    for name in ("weights", "macs", "dense_macs"):
        assert nodes["conv1"][name] == plain["conv1"][name] and of_strips[name] == total[name]


def test_work_of_a_loop_is_that_of_its_pixels():
    graph, config = residual_network(TINY), dataclasses.replace(TINY, loops=True)
    plain, _ = nodes_of(graph)
    report = compile_graph(graph, config, strips={"conv1": 4}).report
    (node,) = [node for node in report["nodes"] if node["path"] == "conv1"]
    assert node["operation"] == "convolution 3 × 3, 18 → 4, loop of strips of 4"
    assert (node["loop"], node["pixels"], node["vectors"]) == (True, 4, 1)
    for name in ("weights", "macs", "dense_macs"):
        assert node[name] == plain["conv1"][name]
    assert [node["loop"] for node in report["nodes"] if node["where"] == "accelerator"] \
        == [True, False, False]


def test_a_loop_in_local_mode_is_said_to_be_so():
    graph = graph_of(grouped(random_convolution((8, 6, 6), (8,), kernel=(3, 3)), 8))
    config = EIEConfig(n_pe=4, loops=True)
    for is_local, name in ((False, "loop"), (True, "local loop")):
        config = dataclasses.replace(config, local=is_local)
        (node,) = compile_graph(graph, config, strips={"conv0": 2}).report["nodes"]
        assert (node["loop"], node["local"]) == (True, is_local)
        assert node["operation"] == f"convolution 3 × 3, 72 → 8, {name} of strips of 2"


def test_work_of_a_scan_is_counted_for_each_step():
    nodes, _ = nodes_of(recurrent_network(TINY, steps=7))
    assert nodes["lstm"]["operation"] == "scan of 7 steps"
    assert nodes["lstm/gates"]["vectors"] == 7
    assert nodes["lstm/next_c"]["host_operations"] == 2 * 7
    assert nodes["lstm/joined"]["host_operations"] == 0    # moves elements


def test_a_recurrence_has_rows_of_the_nodes_of_its_step():
    for reverse in (False, True):
        scan = random_lstm(reverse=reverse)
        report = compare(scan, steps=7).report
        assert json.loads(json.dumps(report)) == report
        whole, *inside = report["nodes"]
        assert whole["operation"] == f"scan of 7 steps{', reversed' * reverse}, with states on " \
                                     "the chip"
        assert (whole["where"], whole["vectors"], whole["load"]) == ("accelerator", 7, 0)
        assert [node["path"] for node in inside] == [f"scan/{node.name}"
                                                     for node in scan.body.nodes]
        assert {node["where"] for node in inside} == {"accelerator"}
        assert {node["times"] for node in inside} == {7}
        assert report["total"]["host_operations"] == 0 and report["total"]["vectors"] == 7
        assert report["total"]["accelerator_share"] == 1


def test_work_of_a_step_is_that_of_its_layers():
    """The layer converts the input, by weights that are not its own."""
    body = StepBody(1, {"x": 5, "s": 8}, {"x": 9, "s": 10})
    joined = body.add(Concat(0), "x", "s", frac=8, size=13)
    y = body.layer([joined], 8, frac=10)
    report = compare(body.scan(y, {"s": y}), steps=7).report
    n_weights = body.nodes[1].computation.layers[0].n_nonzeros
    (node,) = [node for node in report["nodes"] if node["path"] == f"scan/{y}"]
    assert (node["weights"], node["macs"]) == (n_weights, 7 * n_weights)
    assert (node["dense_macs"], node["local"]) == (7 * 13 * 8, False)
    assert CONFIG.local and report["total"]["macs"] == node["macs"]
