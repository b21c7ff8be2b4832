"""LeNet-300-100 and its images, by a small model in its place."""

import numpy as np

from eie_bench.lenet import prepare_lenet


def test_images_are_in_random_order_and_some_calibrate(tmp_path):
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "model.npz", **{"a.weight": rng.normal(size=(4, 9)), "a.bias": np.zeros(4)})
    arrays = {"train_images": rng.integers(0, 256, (90, 3, 3), np.uint8),
              "test_images": np.repeat(np.arange(50, dtype=np.uint8), 9).reshape(50, 3, 3)}
    lenet = prepare_lenet(tmp_path / "model.npz", arrays, 1)
    assert lenet.network.layers[0].n_rows == 4
    np.testing.assert_array_equal(lenet.calibration * 256, arrays["train_images"][::20]
                                  .reshape(5, 9))
    np.testing.assert_array_equal(lenet.images[:, 0] * 256, lenet.order)
    assert sorted(lenet.order) == list(range(50)) != lenet.order.tolist()
    assert prepare_lenet(tmp_path / "model.npz", arrays, 2).order.tolist() != lenet.order.tolist()
