"""Convolutional examples on generated images, as MNIST is not part of the project."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from eie_compiler.graph.graph import Graph, Node
from eie_compiler.graph.operations.arrangement import Reshape
from eie_compiler.model import Model, ModelLayer
from eie_hdl.extras import install_command
from eie_sim.graph_inference import infer_graph

torch = pytest.importorskip("torch", reason=install_command("train"))

FOLDER = Path(__file__).parents[2] / "examples" / "convolutional"


def load(name):
    """Import a script as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))    # as Python does for a script
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def example():
    return load("convolutional")


@pytest.fixture
def mnist(tmp_path):
    rng = np.random.default_rng(41)
    path = tmp_path / "mnist.npz"
    np.savez(path, train_images=rng.integers(0, 256, (60, 28, 28), np.uint8),
             train_labels=rng.integers(0, 10, 60),
             test_images=rng.integers(0, 256, (20, 28, 28), np.uint8),
             test_labels=rng.integers(0, 9, 20))
    return path


def run_golden(build, images, *, engine, progress):
    """Run the golden model in place of any engine, with 100 cycles for each vector."""
    run = infer_graph(build, images, engine="golden", progress=progress)
    for node in run.nodes.values():
        node.sampled = node.timed = node.vectors
        node.cycles = node.net_cycles = 100 * node.vectors
    return run


@pytest.mark.parametrize("name", ["lenet5", "residual", "shuffle"])
def test_densities_are_those_of_layers(example, name):
    network = example.NETWORKS[name]()
    wrapped = example.TorchModule(network, example.SHAPE)
    assert example.OPTIONS[name][1]["density"].keys() <= set(wrapped.names)
    assert wrapped.n_outputs == 10


def test_a_network_is_trained_compressed_exported_and_run(example, mnist, tmp_path, monkeypatch):
    """Exports to an own small model, as exporters take several seconds, and runs no Verilog."""
    exported = {}
    rng = np.random.default_rng(43)
    layer = ModelLayer("fc", rng.integers(-7, 8, (10, 784)) / 16)
    model = Graph({"image": example.SHAPE}, (
        Node("flat", Reshape((784,)), ("image",)), Node("fc", Model((layer,)), ("flat",))), ("fc",))
    dense, sparse = example.OPTIONS["shuffle"]
    monkeypatch.setitem(example.OPTIONS, "shuffle", (
        {**dense, "epochs": 1}, {**sparse, "epochs": 1, "steps": 1}))
    monkeypatch.setattr(example, "export", lambda network, path: exported.update(
        {path.name: network}))
    measure = sys.modules["measure"]
    monkeypatch.setattr(measure, "read_model", lambda path: model)
    monkeypatch.setattr(measure, "infer_graph", run_golden)
    monkeypatch.setattr(sys, "argv", ["convolutional.py", str(mnist), "--network", "shuffle",
                                      "--images", "15", "-o", str(tmp_path)])
    assert example.main() == 0
    results = json.loads((tmp_path / "shuffle" / "results.json").read_text(encoding="utf-8"))
    assert results["schema_version"] == 1
    assert [record["stage"] for record in results["stages"]] == ["dense", "prune 1", "share"]
    assert (results["images"], results["verilog"]["images"]) == (15, 15)
    assert results["verilog"]["error"] == results["error"]
    assert results["verilog"]["cycles"] == 100
    assert (tmp_path / "results.md").read_text(encoding="utf-8").count("\n") == 3
    with np.load(tmp_path / "shuffle" / "calibration.npz") as samples:
        assert samples["image"].shape == (55, 1, 28, 28)
    assert list(exported) == ["float.onnx", "shared.onnx"]
    assert exported["shared.onnx"](torch.rand(3, *example.SHAPE)).shape == (3, 10)
    for layer in exported["shared.onnx"].modules():
        assert not isinstance(layer, torch.nn.BatchNorm2d)
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            assert len(layer.weight[layer.weight != 0].unique()) <= 15


def test_dsd_is_compared_with_a_control_and_resumes(mnist, tmp_path, monkeypatch, capsys):
    dsd = load("dsd")
    monkeypatch.setitem(dsd.OPTIONS, "residual", {**dsd.OPTIONS["residual"], "epochs": 1})
    monkeypatch.setattr(dsd, "SEEDS", (1, 2))
    monkeypatch.setattr(sys, "argv", ["dsd.py", str(mnist), "--network", "residual",
                                      "-o", str(tmp_path)])
    dsd.main()
    first = (tmp_path / "residual" / "dsd.json").read_bytes()
    assert "residual, seed 2, dsd:\n  sparse 0/1: " in capsys.readouterr().out
    for row in json.loads(first)["rows"]:
        control, sparse = row["stages"]["control"], row["stages"]["dsd"]
        assert control[0] == sparse[0]    # one first phase
        assert [record["density"] for record in control] == [1, 1, 1]
        assert sparse[1]["density"] == pytest.approx(1 - dsd.SHARE, abs=1e-3)
        assert (row["dsd"], row["control"]) == (sparse[2]["test"], control[2]["test"])
    dsd.main()    # from the checkpoints, with the times of the first run
    assert (tmp_path / "residual" / "dsd.json").read_bytes() == first


def test_quantisers_are_compared_with_and_without_training(mnist, tmp_path, monkeypatch):
    quantisers = load("quantisers")
    dense, sparse = quantisers.OPTIONS["lenet5"]
    monkeypatch.setitem(quantisers.OPTIONS, "lenet5", (
        {**dense, "epochs": 1}, {**sparse, "epochs": 0, "steps": 1}))
    monkeypatch.setattr(quantisers, "V_WIDTHS", (2,))
    stages = []
    train = quantisers.train

    def run(module, data, chosen, **options):
        records = train(module, data, chosen, **options)
        stages.append((chosen, [weight().unique().detach() for weight in module.weights]))
        return records

    monkeypatch.setattr(quantisers, "train", run)
    monkeypatch.setattr(sys, "argv", ["quantisers.py", str(mnist), "-o", str(tmp_path)])
    quantisers.main()
    results = json.loads((tmp_path / "quantisers.json").read_text(encoding="utf-8"))
    ways = [("kmeans", "none"), ("kmeans", "c"), ("kmeans", "c+l"),
            ("uniform", "none"), ("uniform", "c"), ("uniform", "c+l")]
    assert [(row["quantiser"], row["update"]) for row in results["rows"]] == ways
    assert results["density"] == pytest.approx(0.084, abs=1e-3)
    for ((stage,), values), (quantiser, update) in zip(stages[1:], ways, strict=True):
        assert stage.change.quantiser == quantiser
        assert (stage.epochs, stage.change.update_labels) == (update != "none", update == "c+l")
        assert all(len(each) <= 4 for each in values)
    errors = [row["error"] for row in results["rows"]]
    assert (tmp_path / "quantisers.md").read_text(encoding="utf-8").splitlines()[2:] == [
        "| bits | uniform | uniform, c | uniform, c+l | kmeans | kmeans, c | kmeans, c+l |",
        "|---|---|---|---|---|---|---|",
        f"| 2 | {' | '.join(f'{error:.2%}' for error in (*errors[3:], *errors[:3]))} |"]
