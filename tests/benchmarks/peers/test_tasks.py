"""Networks that are compared, and their form in ONNX."""

import numpy as np
import pytest

from eie_bench.peers.tasks import make_digits, make_lenet, write_onnx
from eie_bench.sharing import DataError
from eie_hdl.extras import install_command


def test_the_digits_are_those_of_the_demo():
    pytest.importorskip("sklearn", reason=install_command("demo"))
    task = make_digits()
    assert (task.n_weights, task.n_nonzeros) == (17024, 3269)
    assert task.accuracy(task.model(task.images)) == task.accuracy(task.dense(task.images)) \
        == 353 / 360


@pytest.fixture
def files(tmp_path):
    """A pruned network, and images grouped by class."""
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(4, 9)) * (rng.random((4, 9)) < 0.5)
    labels = np.repeat(np.arange(4), 10)
    np.savez(tmp_path / "model.npz", **{"a.weight": weight, "a.bias": np.zeros(4)})
    np.savez(tmp_path / "data.npz", train_images=rng.integers(0, 256, (40, 3, 3), np.uint8),
             test_images=labels[:, np.newaxis, np.newaxis] * np.ones((1, 3, 3), np.uint8),
             test_labels=labels)
    return tmp_path / "model.npz", tmp_path / "data.npz"


def test_images_of_a_file_are_in_random_order(files):
    task = make_lenet(*files, seed=1)
    np.testing.assert_array_equal(task.images[:, 0] * 256, task.labels)
    assert (np.diff(task.labels) < 0).any()
    assert task.n_weights == 36 and task.n_nonzeros < 36 and task.dense is None


def test_images_without_labels_are_rejected(files):
    np.savez(files[1], train_images=np.zeros((2, 9)), test_images=np.zeros((2, 9)))
    with pytest.raises(DataError, match="data.npz must contain train_images, test_images, "
                                        "test_labels, not train_images, test_images$"):
        make_lenet(*files, seed=1)


def test_a_model_in_onnx_computes_the_same(task, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason=install_command("peers"))
    write_onnx(task.model, tmp_path / "new" / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "new" / "model.onnx")
    for image in task.images[:4]:
        (scores,) = session.run(None, {"input": image[np.newaxis].astype(np.float32)})
        np.testing.assert_allclose(scores, task.model(image[np.newaxis]), atol=1e-5)
