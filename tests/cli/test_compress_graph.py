"""`eie compress` of models that are graphs: `eie_cli.compress_graph` and `eie_cli.graph_tables`."""

import dataclasses
import importlib.util
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
from eie_compiler.preprocessing import Preprocessing
from support.graphs import random_layer, recurrent_model


def recurrent():
    return recurrent_model(
        Node("flat", Reshape((8,)), ("last",)), Node("end", random_layer(4, 8, 3), ("flat",)),
        outputs=("end",), notes=("a note",))


X = np.random.default_rng(4).normal(size=(200, 5, 6))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of a model, which is replaced by a graph, of samples, labels and the network."""
    if importlib.util.find_spec("torch"):
        importlib.import_module("eie_compiler.training.teacher")    # which keeps the function
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


def test_rows_of_different_magnitudes_are_scaled_by_the_host(files, compress, monkeypatch):
    layer = random_layer(9, 30, 1)
    layer.layers[0].weight[0] *= 1000
    model = Graph({"x": (5, 6)}, (
        Node("flat", Reshape((30,)), ("x",)), Node("fc", layer, ("flat",)),
        Node("end", random_layer(4, 9, 3), ("fc",))), ("end",))
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: model)
    code, text = compress("--calibrate", "x.npy", "--v-width", 4, "--accept-loss", "--json")
    assert code == 0
    result = json.loads(text[:text.rindex("}") + 1])
    check = {node["path"]: node for node in result["check"]["nodes"]}
    assert list(check) == ["x", "flat", "fc", "fc_scaled", "end"]
    assert check["fc_scaled"]["error"] < 0.3 and check["fc"]["error"] < 0.3


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


def test_preprocessing_of_an_input_is_described(files, compress, eie, monkeypatch):
    scaler = Preprocessing(np.full(6, 0.5), np.array([1, 2, 4, 1, 2, 4.0]))
    model = dataclasses.replace(recurrent(), preprocessing={"x": scaler})
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: model)
    code, text = compress("--calibrate", "x.npy", "--v-width", 8)
    assert code == 0
    assert text.startswith(f"{files['net.npz']}: a graph of x 5 × 6: the host subtracts an offset "
                           "from x, and scales it\n")
    assert re.search(r"^x +input, preprocessed +5 × 6 ", text, re.M)
    described = json.loads(eie("info", files["net.npz"], "--json")[1])
    assert described["inputs"][0]["preprocessing"] == {
        "offset": [0.5] * 6, "scale": [1, 2, 4, 1, 2, 4]}


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
    assert "sharing of weights: raise --v-width, up to 8, or give --retrain DATA.npz." in text
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
    (["--retrain", "x.npz", "--dropout", "0.5"],
     "--dropout must not be given for a graph: leave it out"),
    (["--calibrate", "x.npy", "--density", "end=half"],
     "must be a number, or NODE=NUMBER for each, separated by commas, not 'end=half'"),
    (["--calibrate", "x.npy", "--values", "many"],
     "must be an integer, or NODE=INTEGER for each, separated by commas, not 'many'"),
    (("--calibrate", "x.npy", "--density", "end=0.5,end=0.1"),
     "must name each one once: leave out all but one value for each"),
    (("--calibrate", "x.npy", "--values", "end=4,scan=3,end=4"),
     "must name each one once: leave out all but one value for each"),
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


@pytest.fixture
def data(files, torch):
    """Sequences with the class that the model finds, for retraining."""
    x = np.random.default_rng(5).normal(size=(600, 5, 6))
    labels = evaluate_real(recurrent(), {"x": x})["end"].argmax(axis=1)
    files["data.npz"] = files["m.onnx"].with_name("data.npz")
    arrays = {"inputs": x, "labels": labels}    # of the shape of --calibrate
    np.savez(files["data.npz"], **{f"{part}_{name}": array[some] for name, array in arrays.items()
                                   for part, some in (("train", slice(400)),
                                                      ("test", slice(400, 600)))})
    return files["data.npz"]


@pytest.mark.usefixtures("data")
def test_a_graph_is_retrained_and_judged_by_held_out_labels(files, compress):
    options = ("--retrain", "data.npz", "--steps", 2, "--batch", 16, "--density",
               "scan/of_h=0.5,end=0.25", "--accept-loss")
    code, untrained = compress(*options, "--epochs", 0)
    assert code == 0
    assert "on 40 validation inputs, 100.0% in floating point. The main cause is compression in " \
        "spite of retraining: raise --density, --v-width or --epochs." in untrained
    code, text = compress(*options, "--epochs", 6, "--rate", 0.03, "--log", files["y.npy"])
    assert code == 0
    assert re.findall(r"^(prune \d|share) +6 +(\S+)% ", text, re.M) == [
        ("prune 1", "75.7"), ("prune 2", "61.1"), ("share", "61.1")]
    # Nodes are not compared with those of the model, which others were trained from.
    assert re.search(r"^scan/of_h +8 × 8 +8 +32 +50\.0% +\d+ +\d+ .* 0\.\d+% +–$", text, re.M)
    before, after = (float(line[line.index("accuracy ") + 9:line.index("%")])
                     for line in (untrained.splitlines()[-1], text.splitlines()[-1]))
    assert after > before + 10
    layers = [layer for _, node in read_graph(files["net.npz"]).walk()
              for layer in getattr(node.computation, "layers", ())]
    assert all(np.count_nonzero(layer.codebook) <= 15 for layer in layers)
    assert len(files["y.npy"].read_text(encoding="utf-8").splitlines()) == 21


def test_retraining_of_graphs_learns_from_a_teacher_and_labels_are_those_of_samples(
        files, compress, data):
    teacher = files["m.onnx"].with_name("teacher.npz")
    np.savez(teacher, **{"a.weight": np.random.default_rng(6).normal(size=(4, 30))})
    code, text = compress("--retrain", "data.npz", "--epochs", 1, "--teacher", teacher,
                          "--calibrate", "x.npy", "--labels", "y.npy", "--accept-loss", "--json")
    assert code == 0
    result = json.loads(text[:text.rindex("}") + 1])
    assert [stage["stage"] for stage in result["stages"]] == ["share", "share"]
    assert (result["check"]["data"], result["check"]["samples"]) == ("inputs", 200)
    assert result["check"]["labels"]["judge"]
    without = compress("--retrain", "data.npz", "--epochs", 1, "--accept-loss", "--json")[1]
    assert json.loads(without[:without.rindex("}") + 1])["stages"][-1]["loss"] \
        != result["stages"][-1]["loss"]


@pytest.mark.parametrize("options, message", [
    (["--values", "3"], "--values must not be given with --retrain: give --v-width"),
    (["--values", "3", "--retrain", "y.npy"],    # before the data are read
     "--values must not be given with --retrain: give --v-width"),
    (["--density", "scan=0.5"], "eie: --density must be for scan/of_x, scan/of_h, end, not 'scan'"),
    (["--act-width", "99"], "eie: --act-width must be an integer from 4 to 24, not 99"),
    (["--calibrate", "y.npy"], "eie: --calibrate must be numbers of shape (samples, 5, 6) for 'x'"),
])
def test_wrong_options_of_retraining_are_refused(files, compress, data, monkeypatch, options,
                                                 message):
    import eie_compiler.training.retrain_graph

    monkeypatch.setattr(eie_compiler.training.retrain_graph, "train", None)
    code, text = compress("--retrain", "data.npz", *options)
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


def test_what_is_removed_is_said_and_left_out_of_the_file(files, compress, monkeypatch, eie):
    first, second = random_layer(6, 6, 1), random_layer(3, 6, 2)
    second.layers[0].weight[:, 4] = 0
    graph = Graph({"x": (6,)}, (Node("one", first, ("x",)), Node("two", second, ("one",))),
                  ("two",))
    monkeypatch.setattr(eie_compiler.frontends, "read_model", lambda path, **options: graph)
    np.savez(files["x.npz"], x=np.random.default_rng(1).normal(size=(50, 6)))
    code, text = compress("--calibrate", "x.npz", "--v-width", 8, "--json")
    assert code == 0
    found = json.loads(text)
    assert found["removed"] == [
        {"path": "one", "layer": "fc", "rows": 6, "unread": 1, "constant": 0}]
    note = "filters and neurons removed without changing results: 1 of 6 of one fc"
    assert found["notes"] == [note]
    assert read_graph(files["net.npz"]).shapes["one"] == (5,)
    # The ratio counts all 6 × 6 and 3 × 6 weights and 9 biases of the model.
    assert found["file"]["ratio"] == 4 * 63 / found["file"]["bytes"]
    assert f"note: {note}" in eie("info", files["net.npz"])[1]
