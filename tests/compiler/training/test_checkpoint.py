"""`eie_compiler.training.checkpoint`: interrupted and resumed runs."""

import re

import numpy as np
import pytest

from eie_compiler.training import TrainingError
from eie_compiler.training.loop import train
from eie_compiler.training.module import Module
from support.training_runs import STAGES, bits, learn


@pytest.fixture(scope="module")
def whole(data):
    """An uninterrupted run."""
    return learn(data, STAGES)


@pytest.mark.parametrize("epochs", range(1, 12))
def test_a_stopped_run_resumes_and_ends_with_the_same_bits(data, whole, tmp_path, epochs):
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
            learn(data, STAGES, checkpoint=path, on_epoch=stop)
    resumed, records = learn(data, STAGES, checkpoint=path, resume=True)
    assert bits(resumed) == bits(module)
    for record, same in zip(records, expected, strict=True):
        assert {**record, "seconds": 0} == {**same, "seconds": 0}


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    path = tmp_path / "checkpoint.npz"
    learn(data, STAGES[:1], checkpoint=path)
    with pytest.raises(TrainingError, match=f"^{re.escape(str(path))}: checkpoint must be of the "
                                            "same model, data and options: give those, or "
                                            f"delete {re.escape(str(path))} to start over$"):
        learn(data, STAGES[:1], seed=8, checkpoint=path, resume=True)
    path.unlink()
    learn(data, STAGES[:1], seed=8, checkpoint=path, resume=True)    # starts over


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
    with pytest.raises(TrainingError, match=r"(?s)checkpoint\.npz: checkpoint must be complete, "
                                            r"but .*: delete .*checkpoint\.npz to start over$"):
        learn(data, STAGES[:1], checkpoint=path, resume=True)
    path.write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"checkpoint\.npz: File must be an intact.*: delete "):
        learn(data, STAGES[:1], checkpoint=path, resume=True)
