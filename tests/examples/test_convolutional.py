"""Convolutional examples on generated images, as MNIST is not part of the project."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from eie_hdl.extras import install_command

torch = pytest.importorskip("torch", reason=install_command("train"))

FOLDER = Path(__file__).parents[2] / "examples" / "convolutional"


@pytest.fixture(scope="module")
def example():
    """The script as a module."""
    sys.path.insert(0, str(FOLDER))    # as Python does for a script
    try:
        spec = importlib.util.spec_from_file_location("convolutional",
                                                      FOLDER / "convolutional.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.fixture
def mnist(tmp_path):
    rng = np.random.default_rng(41)
    path = tmp_path / "mnist.npz"
    np.savez(path, train_images=rng.integers(0, 256, (60, 28, 28), np.uint8),
             train_labels=rng.integers(0, 10, 60),
             test_images=rng.integers(0, 256, (20, 28, 28), np.uint8),
             test_labels=rng.integers(0, 9, 20))
    return path


@pytest.mark.parametrize("name", ["lenet5", "residual", "shuffle"])
def test_densities_are_those_of_layers(example, name):
    network = example.NETWORKS[name]()
    wrapped = example.TorchModule(network, example.SHAPE)
    assert example.OPTIONS[name][1]["density"].keys() <= set(wrapped.names)
    assert wrapped.n_outputs == 10


def test_a_network_is_trained_compressed_and_exported(example, mnist, tmp_path, monkeypatch):
    exported = {}
    monkeypatch.setattr(example, "export", lambda network, path: exported.update(
        {path.name: network}))    # exporters take several seconds
    dense, sparse = example.OPTIONS["shuffle"]
    monkeypatch.setitem(example.OPTIONS, "shuffle", (
        {**dense, "epochs": 1}, {**sparse, "epochs": 1, "steps": 1}))
    monkeypatch.setattr(sys, "argv", ["convolutional.py", str(mnist), "--network", "shuffle",
                                      "-o", str(tmp_path)])
    example.main()
    results = json.loads((tmp_path / "shuffle" / "results.json").read_text(encoding="utf-8"))
    assert results["schema_version"] == 1
    assert [record["stage"] for record in results["stages"]] == ["dense", "prune 1", "share"]
    with np.load(tmp_path / "shuffle" / "calibration.npz") as samples:
        assert samples["image"].shape == (55, 1, 28, 28)
    assert list(exported) == ["float.onnx", "shared.onnx"]
    assert exported["shared.onnx"](torch.rand(3, *example.SHAPE)).shape == (3, 10)
    for layer in exported["shared.onnx"].modules():
        assert not isinstance(layer, torch.nn.BatchNorm2d)
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            assert len(layer.weight[layer.weight != 0].unique()) <= 15
