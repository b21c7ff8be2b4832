import numpy as np
import pytest

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.offsets import fold_offsets
from eie_compiler.model import Model, ModelLayer
from eie_compiler.preprocessing import Preprocessing

OFFSET, SCALE = np.array([2.0, 50, 0.5, 0]), np.array([0.5, 1, 2, 3])

#: Of the first and the third input, half the samples are zeros.
X = np.random.default_rng(3).uniform(0, 4, (64, 4)) + np.array([0, 48, 0, -2])
X[::2, [0, 2]] = 0


def network():
    weight = np.random.default_rng(4).normal(size=(5, 4))
    return compress(Model((ModelLayer("a", weight, np.ones(5)),),
                          preprocessing=Preprocessing(OFFSET, SCALE)), v_width=2)


def test_offsets_of_inputs_that_are_often_zero_are_folded():
    folded = fold_offsets(network(), X)
    assert folded.preprocessing.offset.tolist() == [0, 50, 0, 0]
    assert folded.preprocessing.scale.tolist() == SCALE.tolist()
    np.testing.assert_allclose(decompress(folded)(X), decompress(network())(X), atol=1e-12)


def test_offsets_that_would_cost_resolution_are_kept():
    x = X.copy()
    x[::2, 1] = 0    # 50 deviations from the others
    x[1::2, 1] += 150
    assert fold_offsets(network(), x).preprocessing.offset.tolist() == [0, 0, 0, 0]
    one = Model((ModelLayer("a", np.eye(1)),),
                preprocessing=Preprocessing(np.array([50.0]), np.ones(1)))
    x = np.array([[0.0], *[[90.0]] * 9])
    assert fold_offsets(compress(one), x).preprocessing.offset.tolist() == [0]
    assert fold_offsets(compress(one), x + 20).preprocessing.offset.tolist() == [50]
    x = np.array([[0.0], [200]])
    assert fold_offsets(compress(one), x).preprocessing.offset.tolist() == [0]


def test_networks_without_preprocessing_stay_unchanged():
    plain = compress(Model((ModelLayer("a", np.eye(4)),)))
    assert fold_offsets(plain, X) is plain


def test_formats_without_samples_hold_standardised_inputs():
    assert network().input_frac == 16 - 1 - 4    # up to 8, included


@pytest.mark.parametrize("samples", [None, X])
def test_compression_keeps_the_preprocessing(samples):
    model = Model((ModelLayer("a", np.eye(4)),), preprocessing=Preprocessing(OFFSET, SCALE))
    compressed = compress(model, calibration=samples)
    np.testing.assert_allclose(decompress(compressed)(X), model(X), atol=1e-12)
    assert compressed.preprocessing.offset[1] == 50
