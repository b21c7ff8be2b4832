"""Tasks of networks that the examples train."""

import numpy as np

from eie_bench.networks.trained import make_trained


def test_digits_are_in_random_order_with_their_labels(tmp_path):
    labels = np.repeat(np.arange(10, dtype=np.uint8), 200)
    images = np.broadcast_to(labels[:, None, None], (2000, 28, 28))
    np.savez(tmp_path / "mnist.npz", test_images=images, test_labels=labels)
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
