"""Tasks of published networks, with small files in their place."""

import numpy as np

from eie_bench.networks.published import make_keyword_spotting, make_squeezenet


def test_squeezenet_gets_pictures_less_the_mean(tmp_path):
    pictures = np.random.default_rng(1).integers(0, 256, (2, 3, 227, 227), np.uint8)
    np.savez(tmp_path / "pictures.npz", pictures=pictures, logits=np.zeros((2, 1000), np.float32))
    task = make_squeezenet(tmp_path)
    np.testing.assert_array_equal(
        task.inputs["data"] + np.reshape([104, 117, 123], (3, 1, 1)), pictures)
    assert task.v_widths == (8,) and task.config.n_pe == 16


def test_recurrent_networks_with_a_stride_of_40_ms_get_every_other_frame(tmp_path):
    features = np.arange(1300 * 49 * 10, dtype=np.int16).reshape(1300, 49, 10)
    np.savez(tmp_path / "features_49x10.npz", features=features, scale=np.float32(1 / 64),
             labels=np.zeros(1300, np.uint8))
    np.savez(tmp_path / "reference_logits.npz", lstm_s=np.zeros((4, 12), np.float32))
    cnn, basic, lstm, gru = make_keyword_spotting(tmp_path)
    assert [task.inputs["features"].shape for task in (cnn, basic, lstm, gru)] == [
        (1300, 1, 49, 10), (1300, 49, 10), (1300, 25, 10), (1300, 25, 10)]
    np.testing.assert_array_equal(64 * lstm.inputs["features"], features[:, ::2])
    assert len(lstm.calibration["features"]) == 204 and len(lstm.expected[0]) == 4
    (quick,) = make_keyword_spotting(tmp_path, quick=True)
    assert quick.name == "LSTM_S" and len(quick.labels) == 996
