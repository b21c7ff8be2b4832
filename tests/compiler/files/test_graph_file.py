import dataclasses
import json
import math
import random
import re
import tracemalloc

import numpy as np
import pytest

from eie_compiler.files import graph_file
from eie_compiler.files.graph_file import encode_graph, read_any, read_graph, write_graph
from eie_compiler.files.network_file import read_network, write_network
from eie_compiler.graph.graph import Graph, Node, Recurrence, Scan, Subgraph
from eie_compiler.graph.operations import Add, Affine, AveragePool, Clip, Reshape, Slice
from eie_compiler.graph.subgraphs import join_nodes, make_subgraph
from eie_compiler.network import NetworkError
from eie_compiler.patches import Patches
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from support.graphs import pooled_network
from support.mutations import change_json


def layers(*sizes, frac=4, patches=None):
    network = random_network(np.random.default_rng(sum(sizes)), list(sizes), v_width=2, frac=frac)
    return dataclasses.replace(network, patches=patches, act_width=12)


def body():
    return Graph({"x": (3,), "state": (3,)}, (
        Node("fc", layers(3, 3), ("state",)), Node("sum", Add(), ("fc", "x"))), ("sum",),
        dict.fromkeys(("x", "state", "fc", "sum"), 4))


def graph():
    """Graph of each kind of node, and of each kind of field."""
    nodes = (
        Node("conv", layers(18, 4, patches=Patches((2, 8, 6), (3, 3))), ("image",)),
        Node("relu", Clip(0, math.inf), ("conv",)),
        Node("scale", Affine(np.full((4, 1, 1), 1 / 3), np.full((4, 1, 1), 0.5)), ("relu",)),
        Node("pool", AveragePool((2, 2), (2, 2), count_padding=True), ("scale",)),
        Node("flat", Reshape((8, 3)), ("pool",)),
        Node("some", Slice(0, 1, 6), ("flat",)),
        Node("scan", Scan(body(), (("state", "sum"),), reverse=True), ("some", "start")))
    names = ["image", "start", *(node.name for node in nodes)]
    scaler = Preprocessing(np.array([[[1 / 3]], [[2.0]]]), np.array([[[1.0]], [[1e4]]]))
    return Graph({"image": (2, 8, 6), "start": (3,)}, nodes, ("scan", "conv"),
                 dict.fromkeys(names, 4), ("a note",), {"image": scaler})


def describe(graph):
    """Everything of a graph that numbers and text can say."""
    nodes = []
    for node in graph.nodes:
        one = node.computation
        if isinstance(one, Scan):
            content = describe(one.body), one.states, one.reverse
        elif isinstance(one, Recurrence):
            content = describe(one.scan.body), one.scan.states, one.scan.reverse, one.steps
        elif isinstance(one, Subgraph):
            content = describe(one.body)
        elif dataclasses.is_dataclass(one) and hasattr(one, "layers"):
            content = one.patches, one.input_frac, one.v_width, one.act_width, [
                (layer.name, layer.codes.toarray().tolist(), layer.codebook.tolist(),
                 layer.bias.tolist(), layer.relu, layer.output_frac) for layer in one.layers]
        else:
            content = type(one), [value.tolist() if isinstance(value, np.ndarray) else value
                                  for value in vars(one).values()]
        nodes.append((node.name, node.inputs, content))
    scalers = {name: (one.offset.tolist(), one.scale.tolist())
               for name, one in graph.preprocessing.items()}
    return graph.inputs, nodes, graph.outputs, graph.fracs, graph.notes, scalers


def read(path):
    """Read header and data of a file."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["header"].tobytes()), file["data"]


def write(path, header, data):
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8),
             data=np.frombuffer(bytes(data), np.uint8))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "graph.npz"
    write_graph(path, graph())
    return path


def test_what_is_read_is_what_was_written(saved):
    found = read_graph(saved)
    assert describe(found) == describe(graph())
    assert encode_graph(found) == saved.read_bytes()
    assert list(found.inputs) == ["image", "start"]
    assert found.nodes[2].computation.scale.dtype == np.float64


def test_files_without_preprocessing_are_as_before():
    plain = dataclasses.replace(graph(), preprocessing={})
    assert b"preprocessing" not in encode_graph(plain)


def test_any_kind_of_network_is_read(saved, tmp_path):
    assert describe(read_any(saved)) == describe(graph())
    write_network(tmp_path / "chain.npz", layers(3, 4))
    assert read_any(tmp_path / "chain.npz").layers[0].n_cols == 3
    with pytest.raises(NetworkError, match="chain.npz: network must be a graph, version 3 of the "
                                           "file, not a chain of layers$"):
        read_graph(tmp_path / "chain.npz")
    with pytest.raises(NetworkError, match="graph.npz: network must be a chain of layers, version "
                                           "2 of the file, not a graph$"):
        read_network(saved)


@pytest.mark.parametrize("made, message", [
    (dataclasses.replace(graph(), fracs=None), "a graph must have formats to be written: compress "
                                               "it"),
    (Graph({"a/b": (3,)}, (Node("y", Clip(0, 1), ("a/b",)),), ("y",), {"a/b": 0, "y": 0}),
     "name must be printable text without slashes that does not begin with a dot, not 'a/b'"),
])
def test_what_no_file_can_hold_is_not_written(made, message):
    with pytest.raises(NetworkError, match=f"^{re.escape(message)}$"):
        encode_graph(made)


@pytest.mark.parametrize("path, value, message", [
    (["version"], 3.0, "version must be an integer from 3 to 3, not 3.0"),
    (["notes"], [1], "header.notes must be a list of text, not [1]"),
    (["inputs", 0], {}, "header.inputs[0] must be an object with the fields name, shape, frac, not "
                        "[]"),
    (["inputs", 0, "shape"], [1 << 20] * 2, "header.inputs[0].shape must be at most 8 integers of "
     "1 or more, whose product is at most 67108864, not [1048576, 1048576]"),
    (["inputs", 1, "name"], "image", "header.inputs[1].name must be unique, not 'image'"),
    (["inputs", 1, "name"], "../x", "name must be printable text without slashes that"),
    (["inputs", 0, "frac"], 65, "header: frac of 'image' must be an integer from -64 to 64, not "
                                "65"),
    (["inputs", 0, "preprocessing"], {"offset": {}}, "header.inputs[0].preprocessing must be an "
     "object with the fields offset, scale, not ['offset']"),
    (["inputs", 0, "preprocessing", "scale", "type"], "float16", "header.inputs[0].preprocessing."
     "scale must be 'float32' or 'float64', not 'float16'"),
    (["inputs", 0, "preprocessing", "scale"], 1, "header.inputs[0].preprocessing.scale must be an "
     "object, not 1"),
    (["inputs", 0, "preprocessing", "scale", "shape"], [2], "header.inputs[0].preprocessing: scale "
     "must be an array of float64 of one or more dimensions, of the shape of the other, not "),
    (["inputs", 0, "shape"], [3, 8, 6], "preprocessing of 'image' must have a shape that is "
     "broadcast to (3, 8, 6), not (2, 1, 1)"),
    (["outputs"], ["x"], "output 'x' must be a node"),
    (["nodes", 0, "name"], "a/b", "name must be printable text without slashes that does not"),
    (["nodes", 0, "name"], "image", "node 'image': name must be unique"),
    (["nodes", 0, "inputs"], ["conv"], "node 'conv': operand 'conv' must be an input or a node "
                                       "before this one"),
    (["nodes", 0, "scan"], {}, "node 'conv': must have one of the fields layers, scan, operation, "
                               "subgraph, recurrence, not layers, scan"),
    (["nodes", 0, "layers", "v_width"], 9,
     "node 'conv': v_width must be an integer from 2 to 8, not 9"),
    (["nodes", 0, "layers", "patches", "kernel"], [0, 3],
     "node 'conv': patches: kernel must be 2 integers of 1 or more, not (0, 3)"),
    (["nodes", 0, "layers", "input_frac"], 3,
     "node 'conv': operands and result must have [3] and 4 fraction bits, not [4] and 4"),
    (["nodes", 1, "operation", "kind"], "Cheese",
     "node 'relu': operation.kind must be one of Add, Affine, "),
    (["nodes", 1, "operation", "low"], "nan",
     "node 'relu': operation.low must be a number, not 'nan'"),
    (["nodes", 1, "operation", "low"], 10 ** 400, "node 'relu': low must be at most 2 ** 53 if it "
     "is an integer, not 1000000000"),
    (["nodes", 1, "operation", "low"], True,
     "node 'relu': operation.low must be a number, not True"),
    (["nodes", 1, "operation", "low"], None,
     "node 'relu': operation.low must be an integer or a number or "),
    (["nodes", 2, "operation", "scale", "shape"], [10 ** 6],
     "node 'scale': data must contain 8000000 bytes for operation.scale from byte "),
    (["nodes", 3, "operation", "count_padding"], 1,
     "node 'pool': operation.count_padding must be true or false, not 1"),
    (["nodes", 4, "operation", "to"], [8, 4],
     "node 'flat': operand must have as many elements as (8, 4), not shape (4, 3, 2)"),
    (["nodes", 4, "operation", "to"], [1] * 100,
     "node 'flat': result must have at most 8 dimensions, not 100"),
    (["nodes", 6, "inputs"], [], "node 'scan': a scan must have operands: a sequence, then states, "
                                 "if there are any"),
    (["nodes", 6, "scan", "states"], [["state"]],
     "node 'scan': scan.states must be pairs of names"),
    (["nodes", 6, "scan", "states"], [],
     "node 'scan': states must be state, the inputs of the body after the first, not []"),
    (["nodes", 6, "scan", "body", "outputs"], 3,
     "graph 'scan'.outputs must be a list, not 3"),
    (["nodes", 6, "scan", "body", "nodes", 0, "layers", "layers", 0, "relu"], 3,
     "node 'scan/fc': layers[0].relu must be true or false, not 3"),
    (["nodes", 6, "scan", "body", "nodes", 1, "inputs"], ["fc"],
     "graph 'scan': node 'sum': "),
])
def test_a_wrong_field_is_refused(saved, path, value, message):
    header, data = read(saved)
    place = header
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write(saved, header, data)
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{saved}: {message}')}"):
        read_graph(saved)


@pytest.fixture
def joined():
    """Graph whose only node is a subgraph."""
    whole = pooled_network()
    return join_nodes(whole, make_subgraph(whole, next(iter(whole.inputs)), whole.nodes))


def test_subgraphs_are_read_as_they_were_written(joined, tmp_path):
    write_graph(tmp_path / "joined.npz", joined)
    found = read_graph(tmp_path / "joined.npz")
    assert isinstance(found.nodes[0].computation, Subgraph)
    assert describe(found) == describe(joined)
    assert encode_graph(found) == encode_graph(joined)


@pytest.mark.parametrize("path, value, message", [
    (["subgraph"], [], "header.nodes[0].subgraph must be an object, not []"),
    (["subgraph"], {}, "graph 'fc' must be an object with the fields inputs, nodes, outputs, "
                       "notes, not []"),
    (["name"], "other", "node 'other': operand and name must be those of its nodes, 'image' and "
                        "'fc'"),
    (["frac"], 5, "node 'fc': operands and result must have [6] and 6 fraction bits, not [6] and "
                  "5"),
    (["subgraph", "inputs", 0, "shape"], [1, 13, 13],
     "graph 'fc': node 'conv1': operand must have shape (1, 13, 12), not (1, 13, 13)"),
    (["subgraph", "inputs", 0, "frac"], 5,
     "graph 'fc': node 'conv1': operands and result must have [6] and 6 fraction bits, not [5] "
     "and 6"),
    (["subgraph", "outputs"], ["flat"],
     "node 'fc': body must have one input, and its last node as the only output"),
    (["subgraph", "nodes", 2, "inputs"], ["conv1"],
     "graph 'fc': node 'conv2': operand must have shape (6, 5, 5), not (6, 11, 10)"),
    (["subgraph", "nodes", 1, "operation", "kernel"], [3],
     "node 'fc/pool1': kernel must be a tuple of 2 integers of 1 or more, not (3,)"),
    (["subgraph", "nodes", 3, "name"], "conv1", "graph 'fc': node 'conv1': name must be unique"),
    (["subgraph", "nodes", 3, "name"], "image", "graph 'fc': node 'image': name must be unique"),
])
def test_a_wrong_field_of_a_subgraph_is_refused(joined, tmp_path, path, value, message):
    file = tmp_path / "joined.npz"
    write_graph(file, joined)
    header, data = read(file)
    place = header["nodes"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write(file, header, data)
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{file}: {message}')}"):
        read_graph(file)


@pytest.fixture
def kept(tmp_path):
    """File of a graph whose only node is a recurrence."""
    path = tmp_path / "kept.npz"
    write_graph(path, Graph({"x": (5, 3)}, (Node("scan", Recurrence(
        Scan(body(), (("state", "sum"),), reverse=True), 5), ("x",)),), ("scan",),
        {"x": 4, "scan": 4}))
    return path


def test_recurrences_are_read_as_they_were_written(kept):
    found = read_graph(kept)
    assert isinstance(found.nodes[0].computation, Recurrence)
    assert found.nodes[0].computation.steps == 5 and found.nodes[0].computation.scan.reverse
    assert encode_graph(found) == kept.read_bytes()


@pytest.mark.parametrize("path, value, message", [
    (["recurrence"], [], "header.nodes[0].recurrence must be an object, not []"),
    (["recurrence"], {"steps": 5}, "node 'scan': recurrence must be an object with the fields "
                                   "scan, steps, not ['steps']"),
    (["recurrence", "steps"], True, "node 'scan': recurrence.steps must be an integer, not True"),
    (["recurrence", "steps"], 4, "node 'scan': steps must be those of the sequence, 5, not 4"),
    (["recurrence", "scan"], 3, "node 'scan': recurrence.scan must be an object, not 3"),
    (["recurrence", "scan"], {}, "node 'scan': scan must be an object with the fields body, "
                                 "states, reverse, not []"),
    (["recurrence", "scan", "states"], [],
     "node 'scan': states must be state, the inputs of the body after the first, not []"),
    (["recurrence", "scan", "body", "inputs", 0, "shape"], [1, 3],
     "node 'scan': state 'state' must have the shape of 'sum', its next value, (1, 3), not (3,)"),
    (["recurrence", "scan", "body", "nodes", 0, "layers", "layers", 0, "relu"], 3,
     "node 'scan/fc': layers[0].relu must be true or false, not 3"),
    (["inputs"], [], "node 'scan': a recurrence must have one operand, a sequence, not 0"),
    (["frac"], 5, "node 'scan': operands and result must have [4] and 4 fraction bits, not [4] "
                  "and 5"),
])
def test_a_wrong_field_of_a_recurrence_is_refused(kept, path, value, message):
    header, data = read(kept)
    place = header["nodes"][0]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    write(kept, header, data)
    with pytest.raises(NetworkError, match=f"^{re.escape(f'{kept}: {message}')}"):
        read_graph(kept)


@pytest.mark.parametrize("shape", [[], [1], [5, 3, 1]])
def test_a_recurrence_of_another_sequence_is_refused(kept, shape):
    header, data = read(kept)
    header["inputs"][0]["shape"] = shape
    write(kept, header, data)
    with pytest.raises(NetworkError, match="kept.npz: "):
        read_graph(kept)


def test_a_result_of_a_scan_has_few_dimensions(tmp_path):
    body = Graph({"x": (3,)}, (Node("wide", Reshape((1,) * 7 + (3,)), ("x",)),), ("wide",),
                 {"x": 4, "wide": 4})
    write_graph(tmp_path / "scan.npz", Graph(
        {"x": (2, 3)}, (Node("scan", Scan(body, ()), ("x",)),), ("scan",), {"x": 4, "scan": 4}))
    with pytest.raises(NetworkError, match="scan.npz: header: 'scan' must have at most 8 "
                                           "dimensions and 67108864 elements, not shape \\(2, 1, "):
        read_graph(tmp_path / "scan.npz")


def test_bytes_after_the_last_number_are_refused(saved):
    header, data = read(saved)
    write(saved, header, data.tobytes() + b"\0")
    with pytest.raises(NetworkError, match=f"data must end at byte {len(data)}, after all numbers"):
        read_graph(saved)


def test_columns_of_many_nodes_take_no_memory(saved, monkeypatch):
    monkeypatch.setattr(graph_file, "MAX_SIDE", 1 << 20)
    header, data = read(saved)
    del header["inputs"][0]["preprocessing"]
    empty = {"bits": 0, "lengths": []}
    wide = {"v_width": 2, "input_frac": 4, "patches": None, "layers": [{
        "name": "a", "shape": [1, 1 << 19], "relu": False, "output_frac": 4, "codebook": "float32",
        "bias": "float32", "run_width": 1, "entries": 0, "codes": empty, "runs": empty}]}
    header["nodes"] = [{"name": f"n{number}", "inputs": ["image"], "frac": 4, "layers": wide}
                       for number in range(9)]
    write(saved, header, bytes(20 * 9))
    tracemalloc.start()
    with pytest.raises(NetworkError, match="node 'n1': layers of all nodes must have at most "
                                           "1048576 rows and columns together, not 1048578$"):
        read_graph(saved)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000    # two nodes, not nine
    tracemalloc.stop()


def test_changed_headers_are_refused_or_another_graph(saved):
    header, data = read(saved)
    rng, n_refused = random.Random(2), 0
    for _ in range(150):
        write(saved, change_json(rng, header), data)
        try:
            found = read_any(saved)
        except NetworkError:
            n_refused += 1
        else:
            if isinstance(found, Graph):
                encode_graph(found)
    assert n_refused > 75


def test_changed_bytes_are_refused_or_another_graph(saved):
    content, rng = saved.read_bytes(), np.random.default_rng(3)
    for at in rng.integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        saved.write_bytes(flipped)
        try:
            assert describe(read_graph(saved)) == describe(graph())
        except NetworkError:
            pass
