"""`eie compress` of models that are graphs: `eie_cli.compress_graph` and `eie_cli.graph_tables`."""

import json
import re

import numpy as np
import pytest

import eie_compiler.frontends
from eie_compiler.compression.graph import compress_graph
from eie_compiler.files.graph_file import read_graph, write_graph
from eie_compiler.graph.evaluation import evaluate_real
from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations import Add, Reshape
from eie_compiler.model import Model, ModelLayer
from eie_compiler.patches import Patches
from support.graphs import random_layer, recurrent_model


def recurrent():
    return recurrent_model(
        Node("flat", Reshape((8,)), ("last",)), Node("end", random_layer(4, 8, 3), ("flat",)),
        outputs=("end",), notes=("a note",))


X = np.random.default_rng(4).normal(size=(200, 5, 6))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of a model, which is replaced by a graph, of samples, labels and the network."""
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: recurrent())
    found = {name: tmp_path / name for name in ("m.onnx", "x.npy", "x.npz", "y.npy", "net.npz")}
    found["m.onnx"].write_bytes(b"model")
    np.save(found["x.npy"], X)
    np.savez(found["x.npz"], x=X)
    np.save(found["y.npy"], evaluate_real(recurrent(), {"x": X})["end"].argmax(axis=1))
    return found


@pytest.fixture
def compress(files, eie):
    """Run `eie compress` with options, in which files stand for their paths."""
    def run(*options):
        return eie("compress", files["m.onnx"], "-o", files["net.npz"],
                   *(files.get(option, option) for option in options))
    return run


def test_a_graph_is_compressed_measured_and_described(files, compress, eie):
    code, text = compress("--calibrate", "x.npy", "--labels", "y.npy", "--v-width", 8)
    assert code == 0
    assert text.startswith(f"{files['net.npz']}: a graph of x 5 × 6\n")
    assert re.search(r"^x +input +5 × 6 +12 +0\.000% +0\.\d\d\d% +0\.\d\d\d%$", text, re.M)
    assert re.search(r"^scan/of_h +8 × 8 +8 +64 +100\.0% +64 +\d+ +0\.000% ", text, re.M)
    assert re.search(r"^scan +Scan +5 × 8 +\d+ +– +– +–$", text, re.M)
    assert re.search(r"^all +144 +100\.0% +64", text, re.M)
    assert text.splitlines()[-1].startswith("Good: accuracy ")
    network = read_graph(files["net.npz"])
    assert network.notes == ("a note",)
    assert network.nodes[0].computation.body.nodes[0].computation.v_width == 8
    code, described = eie("info", files["net.npz"])
    assert code == 0
    assert re.search(r"^scan/of_h +8 × 8 +8 +64 +100\.0% +64 +\d+$", described, re.M)


def test_options_by_node_take_effect(files, compress):
    code, _ = compress("--calibrate", "x.npz", "--density", "scan/of_h=0.5,end=0.25", "--values",
                       "scan/of_x=3", "--accept-loss")
    assert code == 0
    layers = {path: node.computation.layers[0] for path, node in read_graph(files["net.npz"]).walk()
              if hasattr(node.computation, "layers")}
    assert layers["scan/of_h"].n_nonzeros <= 32
    assert layers["end"].n_nonzeros <= 8
    assert np.count_nonzero(layers["scan/of_x"].codebook) <= 3


def test_json_describes_nodes_and_costs(files, compress, eie):
    code, text = compress("--calibrate", "x.npy", "--values", 1, "--json")
    result = json.loads(text[:text.rindex("}") + 1])
    assert code == 3
    assert result["notes"] == ["a note"]
    assert result["nodes"][1] == {
        "path": "scan/of_x", "kind": "layers", "inputs": ["x"], "shape": [8],
        "frac": result["nodes"][1]["frac"], "layers": [{
            "name": "fc", "shape": [8, 6], "weights": 48, "relu": False, "values": 1,
            "nonzeros": result["nodes"][1]["layers"][0]["nonzeros"]}]}
    assert result["file"]["bytes"] == files["net.npz"].stat().st_size
    assert (result["check"]["verdict"], result["check"]["cause"]) == ("bad", "sharing")
    assert "The main cause is sharing of weights: raise --v-width, up to 8." in text
    code, text = eie("info", files["net.npz"], "--json")
    described = json.loads(text)
    assert described["nodes"] == result["nodes"]


@pytest.mark.parametrize("options, message", [
    ([], "eie: --calibrate must be given for a graph, as an array of samples for each input: 'x' "
         "of shape (samples, 5, 6)"),
    (["--calibrate", "x.npy", "--quality", "1"],
     "--quality must not be given for a graph: give --density"),
    (["--calibrate", "x.npy", "--balance-pes", "4"], "--balance-pes must not be given for a graph"),
    (["--calibrate", "x.npy", "--pin", "end=3"], "--pin must not be given for a graph"),
    (["--calibrate", "x.npy", "--nonnegative-inputs"],
     "--nonnegative-inputs must not be given for a graph"),
    (["--retrain", "x.npz"], "--retrain must not be given for a graph: retrain with PyTorch"),
    (["--calibrate", "x.npy", "--density", "end=half"],
     "must be a number, or NODE=NUMBER for each, separated by commas, not 'end=half'"),
    (["--calibrate", "x.npy", "--values", "many"],
     "must be an integer, or NODE=INTEGER for each, separated by commas, not 'many'"),
    (["--calibrate", "x.npy", "--values", "scan=3"],
     "eie: --values must be for scan/of_x, scan/of_h, end, not 'scan'"),
    (["--calibrate", "x.npy", "--values", "16"],
     "eie: --values must be integers from 1 to 15, as v_width = 4, not 16"),
    (["--calibrate", "y.npy"], "eie: --calibrate must be numbers of shape (samples, 5, 6) for 'x'"),
])
def test_wrong_options_are_refused(files, compress, options, message):
    code, text = compress(*options)
    assert code == 2
    assert message in text
    assert not files["net.npz"].exists()


def test_several_densities_without_nodes_are_refused(compress):
    code, text = compress("--calibrate", "x.npy", "--density", "0.5,0.5")
    assert code == 2
    assert ("eie: --density must be one number for all nodes of a graph, or a number by path of a "
            "node, not 2 numbers" in text)


@pytest.mark.parametrize("options", [("--values", 3), ("--density", "a=0.5")])
def test_options_of_graphs_are_refused_for_chains(tmp_path, weights, eie, options):
    code, text = eie("compress", weights, "-o", tmp_path / "net.npz", *options)
    assert code == 2
    assert "is for graphs, and the model is a chain of layers" in text


def test_several_inputs_need_names(files, compress, monkeypatch):
    nodes = Node("y", Add(), ("a", "b")), Node("end", random_layer(4, 6, 1), ("y",))
    graph = Graph({"a": (6,), "b": (6,)}, nodes, ("y", "end"))
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: graph)
    code, text = compress("--calibrate", "x.npy")
    assert code == 2
    assert ("eie: --calibrate must be an .npz file with an array for each input, a, b, as the "
            "graph has 2" in text)
    np.savez(files["x.npz"], a=X[:, 0], b=X[:, 1])
    code, text = compress("--calibrate", "x.npz", "--v-width", 8)
    assert code == 0
    assert text.splitlines()[-1].startswith("Good: output y: the greatest output is ")


def test_zeros_between_groups_of_a_convolution_are_no_weights(tmp_path, eie):
    weight = np.zeros((4, 18))
    weight[:2, :9], weight[2:, 9:] = 1.0, -1.0
    patches = Patches((2, 5, 5), (3, 3))
    graph = Graph({"x": (2, 5, 5)}, (
        Node("conv", Model((ModelLayer("a", weight),), patches), ("x",)),), ("conv",))
    write_graph(tmp_path / "net.npz", compress_graph(graph, {"x": np.ones((1, 2, 5, 5))}))
    _, text = eie("info", tmp_path / "net.npz")
    assert re.search(r"^conv +4 × 18 +4 × 3 × 3 +36 +100\.0% +2 ", text, re.M)
