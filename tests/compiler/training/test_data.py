import re

import numpy as np
import pytest

from eie_compiler.training import TrainingError
from eie_compiler.training.data import Data, Part, read_data


def test_validation_data_are_taken_from_the_training_data_by_seed(data_file, blobs):
    one, same, other = (read_data(data_file, validation=0.25, seed=seed) for seed in (1, 1, 2))
    assert (len(one.train), len(one.validation), len(one.test)) == (300, 100, 200)
    both = np.concatenate([one.train.inputs, one.validation.inputs])
    np.testing.assert_array_equal(np.sort(both, axis=0),
                                  np.sort(blobs["train_inputs"].astype(np.float32), axis=0))
    np.testing.assert_array_equal(one.validation.inputs, same.validation.inputs)
    assert not np.array_equal(one.validation.inputs, other.validation.inputs)
    np.testing.assert_array_equal(one.test.inputs, blobs["test_inputs"].astype(np.float32))


@pytest.mark.parametrize("validation, name", [(0.25, "validation"), (0, "test")])
def test_held_out_data_are_those_of_validation_or_else_of_test(data_file, validation, name):
    data = read_data(data_file, validation=validation)
    assert data.held_out == (name, getattr(data, name))


@pytest.mark.parametrize("seed", range(5))
def test_a_class_that_is_held_out_is_counted(tmp_path, seed):
    inputs, labels = np.eye(4), np.array([0, 1, 0, 2])
    np.savez(tmp_path / "d.npz", train_inputs=inputs, train_labels=labels,
             test_inputs=inputs, test_labels=labels)
    assert read_data(tmp_path / "d.npz", validation=0.5, seed=seed).n_outputs == 3


def test_targets_stay_with_their_inputs(data_file, blobs):
    data = read_data(data_file, seed=5)
    label = {row.tobytes(): target for row, target
             in zip(blobs["train_inputs"].astype(np.float32), blobs["train_labels"])}
    for part in (data.train, data.validation):
        assert [label[row.tobytes()] for row in part.inputs] == part.targets.tolist()


def test_pixels_are_flattened_and_divided_by_256(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    np.savez(tmp_path / "d.npz", train_images=images, train_labels=np.arange(4, dtype=np.uint8),
             test_images=images[:1], test_labels=np.zeros(1, np.uint8))
    data = read_data(tmp_path / "d.npz", validation=0)
    assert data.classifies and data.n_inputs == 6 and data.n_outputs == 4
    assert len(data.validation) == 0
    np.testing.assert_array_equal(data.test.inputs, images[:1].reshape(1, 6) / 256)


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (64,)])
def test_inputs_of_any_shape_are_flattened(tmp_path, shape):
    inputs = np.random.default_rng(3).normal(size=(20, *shape)).astype(np.float32)
    np.savez(tmp_path / "d.npz", train_inputs=inputs, train_labels=np.arange(20),
             test_inputs=inputs[:5], test_labels=np.arange(5))
    data = read_data(tmp_path / "d.npz", validation=0)
    assert data.shape == shape
    np.testing.assert_array_equal(data.test.inputs, inputs[:5].reshape(5, 64))
    for wanted in ((1, 8, 8), (8, 8), (64,)):
        data.check_shape(wanted)


@pytest.mark.parametrize("given, wanted, found, remedy", [
    ((8, 8, 3), (3, 8, 8), "3, 8, 8), or rows of 192 numbers, not of shape (n, 8, 8, 3)",
     ": move the channels forward, with x.transpose(0, 3, 1, 2)"),
    ((4, 8), (8, 4), "8, 4), or rows of 32 numbers, not of shape (n, 4, 8)", ""),
    ((1, 8, 4), (64,), "64), or rows of 64 numbers, not of shape (n, 1, 8, 4)", "")])
def test_axes_in_another_order_are_refused(given, wanted, found, remedy):
    part = Part(np.zeros((6, int(np.prod(given))), np.float32), np.arange(6))
    data = Data(part, part, part, given)
    message = f"inputs of the data must be of shape (n, {found}{remedy}"
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        data.check_shape(wanted)
    Data(part, part, part).check_shape(wanted)


def test_integer_inputs_are_numbers(tmp_path):
    inputs = np.arange(24).reshape(8, 3)
    for kind in (np.uint8, np.int64, np.float64):
        np.savez(tmp_path / "d.npz", train_inputs=inputs.astype(kind), train_labels=np.arange(8),
                 test_inputs=inputs.astype(kind), test_labels=np.arange(8))
        assert read_data(tmp_path / "d.npz", validation=0).test.inputs.tolist() == inputs.tolist()


def test_floating_point_targets_are_for_regression(tmp_path):
    np.savez(tmp_path / "d.npz", train_inputs=np.ones((9, 2)), train_labels=np.ones((9, 3)),
             test_inputs=np.ones((2, 2)), test_labels=np.ones((2, 3)))
    data = read_data(tmp_path / "d.npz")
    assert not data.classifies and data.n_outputs == 3


@pytest.mark.parametrize("changes, message", [
    ({"test_labels": None}, "arrays must be test_labels and either test_inputs or test_images, "
                            "not train_inputs, train_labels, test_inputs"),
    ({"train_images": np.zeros((400, 8), np.uint8)},
     "arrays must be train_labels and either train_inputs or train_images, not train_inputs, "
     "train_labels, test_inputs, test_labels, train_images"),
    ({"train_inputs": None, "train_images": np.zeros((400, 8))},
     "train_images must be one or more images of uint8, not float64 of shape (400, 8)"),
    ({"train_inputs": np.full((400, 8), np.inf)},
     "train_inputs must be one or more rows of finite numbers, not float64 of shape (400, 8)"),
    ({"train_inputs": np.zeros(400)},
     "train_inputs must be one or more rows of finite numbers, not float64 of shape (400,): "
     "reshape them to (n, 1), with x.reshape(-1, 1)"),
    ({"test_inputs": np.zeros((200, 2, 4))},
     "training and test data must be of the same kind and size"),
    ({"train_labels": np.full(400, -1)},
     "train_labels must be classes from 0 to 1048575, not -1"
     ": map their values -1 to the classes "
     "from 0, such as by np.unique(labels, return_inverse=True)[1] if every class occurs"),
    ({"train_labels": np.full(400, "cat")},
     "train_labels must be numbers, not <U3 of shape (400,)"
     ": map their values cat to the classes "
     "from 0, such as by np.unique(labels, return_inverse=True)[1] if every class occurs"),
    ({"train_labels": np.full(400, 10 ** 12)},
     "train_labels must be classes from 0 to 1048575, not 1000000000000"
     ": map their values 1000000000000 to the classes "
     "from 0, such as by np.unique(labels, return_inverse=True)[1] if every class occurs"),
    ({"test_labels": np.full(200, 2 ** 64 - 1, np.uint64)},
     "test_labels must be classes from 0 to 1048575, not 18446744073709551615"
     ": map their values 18446744073709551615 to the classes "
     "from 0, such as by np.unique(labels, return_inverse=True)[1] if every class occurs"),
    ({"train_labels": np.zeros(300, int)},
     "train_labels must be classes from 0 or rows of finite floating-point numbers, one for each "
     "of 400 inputs, not int64 of shape (300,)"),
    ({"train_labels": np.zeros(400)},
     "train_labels must be classes from 0 or rows of finite floating-point numbers, one for each "
     "of 400 inputs, not float64 of shape (400,): convert classes to integers, or reshape numbers "
     "to (400, 1)"),
    ({"test_inputs": np.zeros((200, 9))},
     "training and test data must be of the same kind and size"),
    ({"test_labels": np.full(200, 7)},
     "test_labels must be classes of train_labels, 0 to 3, not 7"),
])
def test_wrong_data_are_refused(tmp_path, blobs, changes, message):
    arrays = {name: array for name, array in {**blobs, **changes}.items() if array is not None}
    path = tmp_path / "d.npz"
    np.savez(path, **arrays)
    with pytest.raises(TrainingError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read_data(path)


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "d.npz").write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"d\.npz: File must be an intact \.npz archive"):
        read_data(tmp_path / "d.npz")


@pytest.mark.parametrize("share, message", [
    (1.0, "validation must be a share from 0 to below 1, not 1.0"),
    (0.999, "validation must leave training data, but 0.999 of 400 leaves none"),
])
def test_validation_must_leave_training_data(data_file, share, message):
    with pytest.raises(TrainingError, match=f"{re.escape(message)}$"):
        read_data(data_file, validation=share)
