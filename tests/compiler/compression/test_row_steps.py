"""Steps of rows of quantised weights."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from eie_compiler.compression.row_steps import find_steps


def quantised(seed, bits, *, n_rows=12, n_cols=40):
    """Integers, some of them 0, with a great and a least one in each row, and a scale of each."""
    rng = np.random.default_rng(seed)
    most = (1 << bits - 1) - 1
    integers = rng.integers(-most, most + 1, (n_rows, n_cols)) * (rng.random((n_rows, n_cols)) < .6)
    integers[:, 0], integers[:, 1] = most, most - 1
    return integers, np.exp(rng.normal(size=n_rows) * 3)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("convert", [np.array, csr_array])
def test_steps_are_the_scales_also_of_products_in_single_precision(bits, convert):
    integers, scales = quantised(bits, bits)
    products = integers.astype(np.float32) * scales.astype(np.float32)[:, np.newaxis]
    steps = find_steps(convert(products.astype(np.float64) * 0.0123))
    np.testing.assert_allclose(steps, scales * 0.0123, rtol=1e-6)


def test_rows_of_small_integers_fill_the_range_of_the_others():
    weight = np.array([[127.0, -3, 1], [0.5, -0.25, 0], [0, 0, 0], [0, -7.0, 0]])
    steps = find_steps(weight)
    np.testing.assert_allclose(weight / steps[:, np.newaxis],
                               [[127, -3, 1], [6, -3, 0], [0, 0, 0], [0, -3, 0]], atol=1e-9)
    assert find_steps(np.array([[-8.0, 7], [-3.0, 3]])) == pytest.approx([1, 3 / 7])


def test_magnitudes_of_binary_weights():
    signs = np.random.default_rng(1).choice([-1.0, 1], (5, 30))
    scales = np.array([0.1, 2, 3.7, 1e-3, 40])
    assert find_steps(signs * scales[:, np.newaxis]) == pytest.approx(scales)


def test_other_weights_have_no_steps_and_none_have_any():
    assert find_steps(np.random.default_rng(2).normal(size=(3, 20))) is None
    almost, _ = quantised(3, 8)
    almost = almost + 0.0
    almost[2, 5] += 0.01
    assert find_steps(almost) is None
    assert find_steps(np.zeros((2, 3))).tolist() == [1, 1]
