import dataclasses

from eie_compiler.graph.layers import all_fracs, find_layers, replace_layers
from eie_compiler.model import Model
from eie_compiler.network import CompressedNetwork
from support.graphs import layers_and_scan


def test_layers_of_a_kind_are_found_in_bodies_too():
    graph = layers_and_scan()
    found = find_layers(graph, CompressedNetwork)
    assert list(found) == ["fc", "scan/step"]
    assert found["fc"] is graph.nodes[0].computation
    assert found["scan/step"] is graph.nodes[1].computation.body.nodes[0].computation
    assert find_layers(graph, Model) == {}


def test_layers_are_replaced_in_bodies_too_and_formats_set():
    seen = []

    def replace(path, found):
        seen.append((path, found))
        return dataclasses.replace(found, input_frac=4)

    replaced = replace_layers(layers_and_scan(), replace, lambda path: 4)
    assert [path for path, _ in seen] == ["fc", "scan/step"]
    assert replaced.fracs == {"x": 4, "fc": 4, "scan": 4}
    assert replaced.nodes[1].computation.body.fracs == {"x": 4, "s": 4, "step": 4}
    assert replaced.nodes[1].computation.states == (("s", "step"),)
    assert all_fracs(replaced) == dict.fromkeys(
        ["x", "fc", "scan", "scan/x", "scan/s", "scan/step"], 4)
