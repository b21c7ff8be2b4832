import numpy as np
import pytest

from eie_compiler.compression.graph_calibration import calibrate_graph, find_operands
from eie_compiler.errors import CompressError
from eie_compiler.graph.graph import Graph, Node, Scan
from eie_compiler.graph.operations import Add
from eie_compiler.network import CompressedNetwork
from eie_compiler.random_networks import make_layer


def layers(*codebooks):
    """Layers of one weight each."""
    return CompressedNetwork(tuple(
        make_layer(np.array([[1]], np.uint8), name=f"fc{number}", codebook=[0, weight, 0, 0])
        for number, weight in enumerate(codebooks)), 0, 2)


def scan():
    body = Graph({"x": (1,), "h": (1,)}, (
        Node("fc", layers(0.5), ("h",)), Node("sum", Add(), ("fc", "x"))), ("sum",))
    return Graph({"x": (3, 1)}, (Node("scan", Scan(body, (("h", "sum"),)), ("x",)),
                                 Node("end", layers(4.0, 0.25), ("scan",))), ("end",))


def calibrate(graph, x):
    steps = []
    return calibrate_graph(graph, {"x": np.array(x, float)}, 8, steps.append)


def test_formats_hold_the_numbers_of_all_samples_steps_and_layers():
    network = calibrate(scan(), [[[1], [1], [1]], [[-0.5], [0], [0]]])
    body, end = (node.computation for node in network.nodes)
    # States 1, 1.5, 1.75; in the body halved; at the end four times as great.
    assert network.fracs == {"x": 6, "scan": 6, "end": 6}
    assert body.body.fracs == {"x": 6, "h": 6, "fc": 7, "sum": 6}
    assert [end.input_frac, *(layer.output_frac for layer in end.layers)] == [6, 4, 6]
    assert body.body.nodes[0].computation.input_frac == 6


def test_results_that_are_not_finite_are_refused():
    with pytest.raises(CompressError, match="^node 'end': results must be finite, but exceed "):
        calibrate(scan(), [[[1e308], [0], [0]]])


def test_operands_are_found_by_path():
    assert find_operands(scan()) == {"scan": "x", "scan/fc": "scan/h", "scan/sum": "scan/fc",
                                     "end": "scan"}
