"""Tasks of networks that the examples train."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from eie_bench.networks.measure import measure
from eie_bench.networks.trained import make_trained
from eie_bench.sharing import DataError

#: Networks that are part of the repository.
TRAINED = Path(__file__).parents[3] / "examples" / "convolutional" / "trained"


def write_digits(folder):
    """Write 200 images of each class, all pixels of which are the class."""
    labels = np.repeat(np.arange(10, dtype=np.uint8), 200)
    images = np.broadcast_to(labels[:, None, None], (2000, 28, 28))
    np.savez(folder / "mnist.npz", test_images=images, test_labels=labels)
    return labels


def test_digits_are_in_random_order_with_their_labels(tmp_path):
    labels = write_digits(tmp_path)
    for name in ("residual", "lenet5", "shuffle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared.onnx").write_bytes(b"")
        np.savez(tmp_path / name / "calibration.npz", image=np.zeros((7, 1, 28, 28), np.float32))
    tasks = make_trained(tmp_path, tmp_path / "mnist.npz")
    assert [(task.name, task.n_verilog) for task in tasks] == [
        ("LeNet-5", 200), ("ResNet-8", 20), ("shuffle network", 50)]
    task = tasks[0]
    np.testing.assert_array_equal(256 * task.inputs["image"][:, 0, 5, 5], task.labels)
    assert task.labels[:20].tolist() != labels[:20].tolist() and 4 in task.shared
    quick = make_trained(tmp_path, tmp_path / "mnist.npz", quick=True)
    assert [(task.name, len(task.labels)) for task in quick] == [
        ("LeNet-5", 1000), ("ResNet-8", 1000)]


def test_committed_networks_have_recorded_accuracies(tmp_path):
    write_digits(tmp_path)
    tasks = make_trained(TRAINED, tmp_path / "mnist.npz")
    assert [(task.name, task.recorded, len(task.labels)) for task in tasks] == [
        ("LeNet-5", 0.994, 2000), ("ResNet-8", 0.9923, 2000), ("shuffle network", 0.9892, 2000)]


def test_without_digits_images_are_random_and_there_is_no_accuracy():
    task = make_trained(TRAINED, None, quick=True)[0]
    assert task.recorded is None and len(task.inputs["image"]) == 20
    row = measure(dataclasses.replace(task.first(2), n_verilog=0))
    assert row.refusal is None and row.real.accuracy is None
    assert 0 < row.words[4].error < 0.01 * row.words[4].magnitude


def test_results_without_stages_are_refused(tmp_path):
    shutil.copytree(TRAINED / "lenet5", tmp_path / "lenet5")
    write_digits(tmp_path)
    for content in ({}, {"stages": []}, {"stages": [{"test": None}]}):
        (tmp_path / "lenet5" / "results.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(DataError, match="must contain stages, the first one with its test"):
            make_trained(tmp_path, tmp_path / "mnist.npz")
