"""Operations of subgraphs as layers."""

from eie_compiler.graph.graph import Graph, Node, Scan, Subgraph
from eie_compiler.graph.operations import Affine, Mean, Quantise, Reshape
from eie_compiler.graph.subgraphs import join_nodes, make_subgraph
from eie_compiler.lowering.operation_layers import lower_graph_operations, lower_operations
from eie_compiler.lowering.scaled_layer import ScaledLayer
from eie_compiler.network import CompressedNetwork
from eie_hdl.config import EIEConfig
from support.graphs import SAME_SIZE, random_convolution

CONFIG = EIEConfig(n_pe=4, loops=True, local=True, scales=True)


def make_body():
    network = random_convolution((4, 6, 6), [6], **SAME_SIZE)
    nodes = (Node("conv", network, ("x",)), Node("q", Quantise(0.5, 0, 255), ("conv",)),
             Node("mean", Mean((1, 2), keep=True), ("q",)),
             Node("again", Mean((1, 2), keep=True), ("mean",)),
             Node("y", Affine(0.25, 1.0), ("again",)))
    return Graph({"x": (4, 6, 6)}, nodes, ("y",), {
        "x": network.input_frac, "conv": 6, "q": 7, "mean": 7, "again": 7, "y": 5})


def kinds(graph):
    return {node.name: "scaled" if isinstance(node.computation.layers[-1], ScaledLayer)
            else "layers" for node in graph.nodes
            if isinstance(node.computation, CompressedNetwork)}


def test_scales_are_folded_and_other_means_are_layers():
    body = make_body()
    lowered = lower_operations(make_subgraph(body, "x", body.nodes), CONFIG).body
    assert kinds(lowered) == {"conv": "scaled", "mean": "layers", "again": "scaled"}
    assert isinstance(lowered.nodes[1].computation, Reshape)
    assert {name: lowered.fracs[name] for name in ("conv", "again")} == {"conv": 7, "again": 5}
    assert lowered.shapes == {**body.shapes}


def test_subgraphs_of_a_graph_and_of_bodies_of_scans():
    body = make_body()
    joined = join_nodes(body, make_subgraph(body, "x", body.nodes))
    scan = Graph({"s": (2, 4, 6, 6)}, (Node("scan", Scan(joined, ()), ("s",)),), ("scan",),
                 {"s": body.fracs["x"], "scan": 5})
    inside = lower_graph_operations(scan, CONFIG).nodes[0].computation.body
    for graph in (lower_graph_operations(joined, CONFIG), inside):
        (node,) = graph.nodes
        assert isinstance(node.computation, Subgraph)
        assert kinds(node.computation.body)["conv"] == "scaled"
