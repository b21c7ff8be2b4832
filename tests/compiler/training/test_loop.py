import json
import re

import numpy as np
import pytest
import torch

from eie_compiler.compression.compress import densities
from eie_compiler.compression.prune import prune
from eie_compiler.errors import CompressError
from eie_compiler.model import Model, ModelLayer
from eie_compiler.training import TrainingError
from eie_compiler.training.data import Data, Part
from eie_compiler.training.loop import Stage, train
from eie_compiler.training.module import Module
from eie_compiler.training.recipes import (
    dense_stages,
    dsd_stages,
    pruning_stages,
    sharing_stage,
)

HOW = {"rate": 1e-2, "decay": 1e-3, "dropout": 0.2}

#: Everything there is, in little.
STAGES = [*dense_stages(2, **HOW), *pruning_stages(2, 1, (0.4, 0.6), **HOW),
          sharing_stage(2, v_width=3, start="linear", rate=1e-2)]


def learn(data, stages, seed=7, **options):
    module = Module.new([8, 16, 4], seed)
    return module, train(module, data, stages, seed=seed, batch=50, **options)


def bits(module):
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def test_it_learns_and_what_is_pruned_stays_zero_while_it_does(data):
    seen = {}

    def tell(record):
        seen[record["stage"], record["epoch"]] = module.kept, [weight().detach().numpy() != 0
                                                               for weight in module.weights]
    module = Module.new([8, 16, 4], 7)
    records = train(module, data, STAGES, seed=7, batch=50, tell=tell)
    assert records[0]["validation"] > 0.5 > 0.2 > records[-1]["test"]
    for kept, there in seen.values():
        for one, other in zip(kept, there):
            np.testing.assert_array_equal(one, other)
    assert [record["densities"] for record in records[2:]] == [
        [1, 1], *[[pytest.approx(0.4 ** 0.5, abs=0.01), pytest.approx(0.6 ** 0.5, abs=0.01)]] * 2,
        *[[pytest.approx(0.4, abs=0.01), pytest.approx(0.6, abs=0.01)]] * 5]
    assert all(len(np.unique(layer.weight)) <= 8 for layer in module.to_model().layers)


def test_a_record_tells_of_each_epoch_and_is_json(data):
    told = []
    _, records = learn(data, STAGES, tell=told.append)
    assert records == told
    assert json.loads(json.dumps(records)) == records
    assert [(record["stage"], record["epoch"], record["epochs"]) for record in records] == [
        ("dense", 0, 2), ("dense", 1, 2), ("dense", 2, 2), ("prune 1", 0, 1), ("prune 1", 1, 1),
        ("prune 2", 0, 1), ("prune 2", 1, 1), ("share", 0, 2), ("share", 1, 2), ("share", 2, 2)]
    for record in records:
        # The test data are looked at when a stage is over, and not before.
        assert ("test" in record) == (record["epoch"] == record["epochs"])
        assert ("loss" in record) == ("rate" in record) == (record["epoch"] > 0)
        assert {"validation", "density", "densities", "seconds"} <= set(record)


def test_a_seed_gives_the_same_bits_and_another_one_others(data):
    (one, _), (same, _), (other, _) = (learn(data, STAGES[:2], seed) for seed in (7, 7, 8))
    assert bits(one) == bits(same)
    assert bits(one) != bits(other)


@pytest.fixture(scope="module")
def whole(data):
    """A run that was never stopped."""
    return learn(data, STAGES)


@pytest.mark.parametrize("epochs", range(1, 12))
def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bits(data, whole, tmp_path, epochs):
    class Stop(Exception):
        pass

    def stop(record):
        nonlocal epochs
        epochs -= 1
        if epochs < 0:
            raise Stop

    module, expected = whole
    path = tmp_path / "checkpoint.npz"
    if epochs < len(expected):
        with pytest.raises(Stop):
            learn(data, STAGES, checkpoint=path, tell=stop)
    resumed, records = learn(data, STAGES, checkpoint=path, resume=True)
    assert bits(resumed) == bits(module)
    for record, same in zip(records, expected, strict=True):
        assert {**record, "seconds": 0} == {**same, "seconds": 0}


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    path = tmp_path / "checkpoint.npz"
    learn(data, STAGES[:1], checkpoint=path)
    with pytest.raises(TrainingError, match=f"^{re.escape(str(path))}: checkpoint must be of the "
                                            "same model, data and options, but is of others: give "
                                            f"those, or delete {re.escape(str(path))} to begin "
                                            "anew$"):
        learn(data, STAGES[:1], seed=8, checkpoint=path, resume=True)
    path.unlink()
    learn(data, STAGES[:1], seed=8, checkpoint=path, resume=True)    # which is what happens then


@pytest.mark.parametrize("field, other", [("names", ["a", "fc2"]), ("relus", [False, False])])
def test_a_checkpoint_of_layers_that_differ_in_name_or_relu_is_refused(data, tmp_path, field,
                                                                       other):
    path = tmp_path / "checkpoint.npz"
    learn(data, STAGES[:1], checkpoint=path)
    module = Module.new([8, 16, 4], 7)
    setattr(module, field, other)
    with pytest.raises(TrainingError, match="must be of the same model, data and options"):
        train(module, data, STAGES[:1], seed=7, batch=50, checkpoint=path, resume=True)


def test_a_broken_checkpoint_is_refused(data, tmp_path):
    path = tmp_path / "checkpoint.npz"
    learn(data, STAGES[:1], checkpoint=path)
    with np.load(path) as arrays:
        part = {name: array for name, array in arrays.items() if name != "module.biases.0"}
    np.savez(path, **part)
    with pytest.raises(TrainingError, match=r"(?s)checkpoint\.npz: checkpoint must be whole, but "
                                            r".*: delete .*checkpoint\.npz to begin anew$"):
        learn(data, STAGES[:1], checkpoint=path, resume=True)
    path.write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"checkpoint\.npz: File must be a whole.*: delete "):
        learn(data, STAGES[:1], checkpoint=path, resume=True)


def test_dsd_makes_weights_sparse_and_dense_again(data):
    stages = dsd_stages(2, 0.5, 2, **HOW)
    _, records = learn(data, stages)
    assert [(record["stage"], record["density"]) for record in records if "test" in record] == [
        ("dense", 1), ("sparse", 0.5), ("dense again", 1)]


def test_the_control_of_dsd_differs_in_nothing_but_its_density(data):
    stages, control = dsd_stages(2, 0.5, 2, **HOW), dsd_stages(2, 0.0, 2, **HOW)
    assert [(stage.name, stage.epochs, stage.rate) for stage in stages] \
        == [(stage.name, stage.epochs, stage.rate) for stage in control]
    _, records = learn(data, control)
    assert {record["density"] for record in records} == {1}


def test_density_falls_by_the_same_factor_to_its_end():
    stages = pruning_stages(3, 1, (0.729, 1.0), balance=4, **HOW)
    assert [stage.change.densities for stage in stages] == [
        pytest.approx((0.9, 1)), pytest.approx((0.81, 1)), (0.729, 1)]
    assert {stage.change.balance for stage in stages} == {4}


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_quality_leaves_the_same_in_however_many_steps(steps):
    module = Module.new([60, 50, 40], 9)
    model = module.to_model()
    for stage in pruning_stages(steps, 0, densities(model, quality=(1.5, 0.5)), **HOW):
        stage.change(module)
    for after, before, quality in zip(module.to_model().layers, model.layers, (1.5, 0.5)):
        np.testing.assert_array_equal(after.weight, prune(before.weight, quality=quality).toarray())


@pytest.mark.parametrize("make, error, message", [
    (lambda: dsd_stages(1, 1.0, 2, **HOW), TrainingError,
     "dsd must be a share from 0 to below 1, not 1.0"),
    (lambda: dsd_stages(1, float("nan"), 2, **HOW), TrainingError,
     "dsd must be a share from 0 to below 1, not nan"),
    (lambda: pruning_stages(1, 1, (0.5, 2.0), **HOW), CompressError,
     "density must be above 0 and at most 1, not 2.0"),
    (lambda: pruning_stages(1, 1, (0.5,), balance=0, **HOW), CompressError,
     "balance must be a number of PEs, 1 or more, not 0"),
    (lambda: sharing_stage(1, v_width=4, start="nowhere", rate=1e-2), CompressError,
     "start must be exact, linear, density or random, not 'nowhere'"),
    (lambda: sharing_stage(1, v_width=9, start="exact", rate=1e-2), CompressError,
     "v_width must be an integer from 2 to 8, not 9"),
])
def test_stages_that_cannot_be_are_refused_before_any_training(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


def test_regression_comes_near_to_its_targets():
    rng = np.random.default_rng(53)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 2))).astype(np.float32)
    part = Part(x, y)
    module = Module.new([5, 2], 1)
    records = train(module, Data(part, part, part), dense_stages(60, rate=3e-2, decay=0, dropout=0))
    assert records[-1]["test"] < 1e-4 < 0.1 < records[0]["validation"]


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
    ((4, 9), "data must have 9 numbers an input, as layer 'a' has columns, not 8"),
    ((3, 8), "data must have 3 classes or fewer, as layer 'a' has rows, not 4"),
])
def test_data_must_fit_the_module(data, shape, message):
    module = Module.from_model(Model((ModelLayer("a", np.ones(shape)),)))
    with pytest.raises(TrainingError, match=f"^{message}$"):
        train(module, data, STAGES[:1])


def test_a_loss_beyond_all_bounds_is_told(data):
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
