"""Compression with retraining in one call."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from eie_compiler.compression.decompress import decompress
from eie_compiler.errors import CompressError
from eie_compiler.training import retrain as module
from eie_compiler.training.errors import TrainingError
from eie_compiler.training.module import Module
from eie_compiler.training.retrain import compress_module, compress_with_retraining


@pytest.fixture
def model():
    return Module.new([8, 16, 4], seed=1).to_model()


def test_a_model_is_pruned_trained_and_shared(model, data):
    records, calls = [], []
    network, kept, samples = compress_with_retraining(
        model, data, density=(0.25, 0.5), v_width=3, steps=2, epochs=5, rate=0.01, batch=16,
        on_epoch=records.append, progress=lambda *call: calls.append(call))
    assert [layer.n_nonzeros for layer in network.layers] == [32, 32]
    assert all(len(np.unique(layer.codebook)) <= 8 for layer in network.layers)
    assert kept == records
    assert [record["stage"] for record in kept if "test" in record] == [
        "prune 1", "prune 2", "share"]
    assert [call for call in calls if call[1]][-1] == ("share", 15, 15)
    assert samples.shape == (300, 8)
    outputs = decompress(network)(data.test.inputs)
    error = (outputs.argmax(axis=1) != data.test.targets).mean()
    assert kept[-1]["test"] == pytest.approx(error)


def test_without_pruning_the_weights_are_only_shared(model, data):
    network, records, _ = compress_with_retraining(model, data, epochs=1)
    assert {record["stage"] for record in records} == {"share"}
    assert [layer.n_nonzeros for layer in network.layers] == [128, 64]


def test_quantiser_and_labels_reach_the_training(model, data):
    options = {"v_width": 2, "quantiser": "uniform", "rate": 0.1, "batch": 10}
    start, fixed, moved = (
        compress_with_retraining(model, data, epochs=epochs, update_labels=update, **options)[0]
        for epochs, update in ((0, False), (1, False), (1, True)))
    for layer, original in zip(start.layers, model.layers):
        np.testing.assert_allclose(layer.codebook[1:], np.linspace(
            original.weight.min(), original.weight.max(), 3), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(*(network.layers[0].codes.toarray()
                                    for network in (start, fixed)))
    assert (moved.layers[0].codes != fixed.layers[0].codes).nnz
    network = convolution()
    compress_module(network, (1, 2, 4), data, v_width=2, quantiser="uniform", epochs=0,
                    update_labels=True)
    for layer in (network[0], network[3]):
        low, middle, high = layer.weight.unique().tolist()
        assert middle == pytest.approx((low + high) / 2, abs=1e-6)


def test_formats_are_those_of_the_calibration(model, data):
    samples = np.full((2, 8), 100.0)
    network, _, used = compress_with_retraining(model, data, epochs=0, calibration=samples)
    assert network.input_frac == 8    # up to 127 in 16 bits
    assert used is samples


@pytest.mark.parametrize("options", [{"pins": {"fc9": 3}}, {"kmeans_init": "nowhere"},
                                     {"balance": 0}, {"density": (1, 1, 1)}])
def test_options_are_checked_before_training(model, data, monkeypatch, options):
    monkeypatch.setattr(module, "train", None)
    with pytest.raises(CompressError):
        compress_with_retraining(model, data, **options)


def convolution():
    torch.manual_seed(6)
    return nn.Sequential(nn.Conv2d(1, 8, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 4))


def test_a_convolution_is_pruned_trained_and_shared_in_place(data):
    network = convolution()
    records = compress_module(network, (1, 2, 4), data, density={"3": 0.25}, v_width=3, steps=2,
                              epochs=5, rate=0.02, batch=16)
    assert [record["stage"] for record in records if "test" in record] == [
        "prune 1", "prune 2", "share"]
    assert records[-1]["densities"] == [1, 0.25]
    for layer in (network[0], network[3]):
        assert 2 < len(layer.weight[layer.weight != 0].unique()) <= 7
    inputs = torch.from_numpy(data.test.inputs.reshape(-1, 1, 2, 4))
    error = float((network(inputs).argmax(axis=1).numpy() != data.test.targets).mean())
    assert records[-1]["test"] == pytest.approx(error, abs=0.01)
    assert error < 0.5 * records[0]["validation"]


def test_a_run_that_is_complete_is_restored_from_its_checkpoint(data, tmp_path):
    options = {"density": 0.5, "epochs": 1, "steps": 1, "sharing_rate": 1e-2,
               "checkpoint": tmp_path / "checkpoint.npz"}
    networks = [convolution(), convolution()]
    records = [compress_module(network, (1, 2, 4), data, resume=True, **options)
               for network in networks]
    assert records[0] == records[1]
    assert records[0][-1]["rate"] == pytest.approx(1e-2 / 3)    # before the last of three batches
    assert torch.equal(networks[0][0].weight, networks[1][0].weight)


def test_a_density_of_no_layer_is_refused(data):
    with pytest.raises(TrainingError, match="^density must be for 0, 3, not for fc$"):
        compress_module(convolution(), (1, 2, 4), data, density={"fc": 0.1})


def test_axes_of_the_data_are_those_of_the_module(data):
    with pytest.raises(TrainingError, match=r"^inputs of the data must be of shape \(n, 1, 2, 4\)"):
        compress_module(convolution(), (1, 2, 4), dataclasses.replace(data, shape=(4, 2)))
