import json

import numpy as np
import pytest
import torch

from eie_compiler.model import Model, ModelLayer
from eie_compiler.training import TrainingError
from eie_compiler.training.data import Data, Part
from eie_compiler.training.loop import Stage, train
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import (
    dense_stages,
)
from support.training_runs import STAGES, bits, learn


def test_it_learns_and_what_is_pruned_stays_zero_while_it_does(data):
    seen = {}

    def look(record):
        seen[record["stage"], record["epoch"]] = module.kept, [weight().detach().numpy() != 0
                                                               for weight in module.weights]
    module = Module.new([8, 16, 4], 7)
    records = train(module, data, STAGES, seed=7, batch=50, on_epoch=look)
    assert records[0]["validation"] > 0.5 > 0.2 > records[-1]["test"]
    for kept, there in seen.values():
        for one, other in zip(kept, there):
            np.testing.assert_array_equal(one, other)
    assert [record["densities"] for record in records[2:]] == [
        [1, 1], *[[pytest.approx(0.4 ** 0.5, abs=0.01), pytest.approx(0.6 ** 0.5, abs=0.01)]] * 2,
        *[[pytest.approx(0.4, abs=0.01), pytest.approx(0.6, abs=0.01)]] * 5]
    assert all(len(np.unique(layer.weight)) <= 8 for layer in module.to_model().layers)


def test_each_epoch_has_a_record_in_json(data):
    seen = []
    _, records = learn(data, STAGES, on_epoch=seen.append)
    assert records == seen
    assert json.loads(json.dumps(records)) == records
    assert [(record["stage"], record["epoch"], record["epochs"]) for record in records] == [
        ("dense", 0, 2), ("dense", 1, 2), ("dense", 2, 2), ("prune 1", 0, 1), ("prune 1", 1, 1),
        ("prune 2", 0, 1), ("prune 2", 1, 1), ("share", 0, 2), ("share", 1, 2), ("share", 2, 2)]
    for record in records:
        # Test data are evaluated at the end of a stage only.
        assert ("test" in record) == (record["epoch"] == record["epochs"])
        assert ("loss" in record) == ("rate" in record) == (record["epoch"] > 0)
        assert {"validation", "density", "densities", "seconds"} <= set(record)


def test_a_seed_gives_the_same_bits_and_another_one_others(data):
    (one, _), (same, _), (other, _) = (learn(data, STAGES[:2], seed) for seed in (7, 7, 8))
    assert bits(one) == bits(same)
    assert bits(one) != bits(other)


def test_regression_approaches_its_targets():
    rng = np.random.default_rng(53)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 2))).astype(np.float32)
    part = Part(x, y)
    module = Module.new([5, 2], 1)
    records = train(module, Data(part, part, part), dense_stages(60, rate=3e-2, decay=0, dropout=0))
    assert records[-1]["test"] < 1e-4 < 0.1 < records[0]["validation"]


def test_a_single_output_learns_two_classes():
    rng = np.random.default_rng(54)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    part = Part(x, (x[:, 0] > 0.2).astype(np.int64))
    module = Module.new([5, 1], 1)
    records = train(module, Data(part, part, part), dense_stages(60, rate=3e-2, decay=0, dropout=0))
    assert records[-1]["test"] < 0.03 < 0.2 < records[0]["validation"]
    # Its sign is the class, as in inference.
    scores = module(torch.from_numpy(x)).detach().numpy()[:, 0]
    assert ((scores > 0) != part.targets).mean() == records[-1]["test"]


def test_without_validation_data_there_is_no_such_error(data):
    nothing = Part(data.train.inputs[:0], data.train.targets[:0])
    _, records = learn(Data(data.train, nothing, data.test), STAGES[:1])
    assert records[-1]["validation"] is None


def test_threads_and_determinism_are_as_before_when_it_is_done(data):
    torch.use_deterministic_algorithms(False)
    before = torch.get_num_threads()
    learn(data, STAGES[:1], threads=1)
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("shape, message", [
    ((4, 9), "data must have 9 numbers per input, as the network has, not 8"),
    ((3, 8), "data must have at most 3 classes for the 3 outputs of the network, not 4"),
    ((1, 8), "data must have at most 2 classes for the 1 output of the network, not 4"),
])
def test_data_must_fit_the_module(data, shape, message):
    module = Module.from_model(Model((ModelLayer("a", np.ones(shape)),)))
    with pytest.raises(TrainingError, match=f"^{message}$"):
        train(module, data, STAGES[:1])


def test_a_loss_that_diverges_is_reported(data):
    message = "loss must stay finite, but in stage 'dense', epoch 1, it is (inf|nan): choose a"
    with pytest.raises(TrainingError, match=f"^{message} lower rate$"):
        learn(data, dense_stages(1, rate=1e30, decay=0, dropout=0))


@pytest.mark.parametrize("options, message", [
    ({"epochs": -1}, "epochs must be 0 or more and finite, not -1"),
    ({"rate": float("nan")}, "rate must be 0 or more and finite, not nan"),
    ({"decay": -0.5}, "decay must be 0 or more and finite, not -0.5"),
    ({"dropout": 1.0}, "dropout must be below 1, not 1.0"),
])
def test_wrong_options_are_refused(options, message):
    with pytest.raises(TrainingError, match=f"^{message}$"):
        Stage("dense", **{"epochs": 1, "rate": 1e-3, **options})
