import re

import numpy as np
import pytest

from eie_compiler.preprocessing import FixedPreprocessing, Preprocessing, PreprocessingError
from eie_compiler.vectors import VectorError, dequantise
from eie_hdl.numeric import limits

#: Scalers of features of many magnitudes, of both signs.
MIXED = Preprocessing(np.array([0, 746.9, -0.003, 1e6, 12.9, -273.15]),
                      np.array([1, 1 / 314, 4e4, 1e-4, -1.23, 0.07]))


def test_numbers_are_shifted_then_scaled():
    found = Preprocessing(np.array([1.0, -2]), np.array([2.0, 0.5]))(np.array([[3.0, 4], [1, 0]]))
    assert found.tolist() == [[4, 3], [0, 1]]


@pytest.mark.parametrize("frac, width", [(12, 16), (4, 8), (-3, 12), (20, 24), (0, 4)])
def test_integers_compute_the_nearest_words(frac, width):
    fixed = MIXED.fixed(frac, width)
    low, high = limits(width)
    words = np.random.default_rng(1).uniform(1.2 * low, 1.2 * high, (400, 6))
    x = words / 2.0 ** frac / MIXED.scale + MIXED.offset
    found = fixed.quantise(x, width)
    # Half a step of the word, of the raw input, of its offset and of the multiplier.
    step = 2.0 ** -fixed.raw_frac * np.abs(MIXED.scale) * 2.0 ** frac
    reach = 2.0 ** (width - 1) * 2.0 ** -29
    assert (np.abs(found - np.clip(words, low, high)) <= 0.501 + step + reach).all()
    assert (step < 1).all()
    np.testing.assert_array_equal(found.min(axis=0), low)
    np.testing.assert_array_equal(found.max(axis=0), high)


def test_zero_without_an_offset_stays_zero():
    fixed = Preprocessing(np.zeros(4), np.array([1e-6, 0.3, -7.1, 1e5])).fixed(10, 16)
    assert fixed.quantise(np.zeros(4), 16).tolist() == [0] * 4


def test_halves_are_rounded_up():
    fixed = Preprocessing(np.zeros(2), np.array([0.5, -0.5])).fixed(0, 8)
    assert fixed.quantise([[3, 3], [-3, -3]], 8).tolist() == [[2, -1], [-1, 2]]


def test_inputs_of_any_magnitude_saturate():
    fixed = MIXED.fixed(12, 16)
    low, high = limits(16)
    expected = np.where(MIXED.scale > 0, high, low)
    for x in (1e15, 1e308, np.finfo(np.float64).max):
        assert fixed.quantise(np.full(6, x), 16).tolist() == expected.tolist()
        assert fixed.quantise(np.full(6, -x), 16).tolist() == (-1 - expected).tolist()


def test_products_stay_within_64_bits():
    extreme = FixedPreprocessing(*(np.array([number] * 2) for number in
                                   (0, -2 ** 31, 2 ** 30, 62)))
    assert extreme.quantise([2.0 ** 40, -2.0 ** 40], 16).tolist() == [1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_must_be_finite(value):
    with pytest.raises(VectorError, match=r"^Inputs must be finite, but element \[1, 2\] is "):
        x = np.ones((3, 6))
        x[1, 2] = value
        MIXED.fixed(8, 16).quantise(x, 16)


def test_every_input_has_its_own_integers():
    with pytest.raises(VectorError, match=r"^Input must have 6 elements, not shape \(2, 5\)$"):
        MIXED.fixed(8, 16).quantise(np.ones((2, 5)), 16)


@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 3), (5, 3)])
def test_elements_of_images_are_broadcast(shape):
    rng = np.random.default_rng(3)
    compact = Preprocessing(rng.normal(size=shape), rng.normal(size=shape))
    whole = Preprocessing(*(np.broadcast_to(numbers, (2, 5, 3)).copy()
                            for numbers in (compact.offset, compact.scale)))
    x = rng.normal(size=(20, 2, 5, 3))
    assert compact(x).tolist() == whole(x).tolist()
    fixed = compact.fixed(10, 16)
    assert fixed.shift.shape == shape
    assert fixed.quantise(x, 16).tolist() == whole.fixed(10, 16).quantise(x, 16).tolist()
    with pytest.raises(VectorError, match="^Input must have "):
        fixed.quantise(x[0, 0, 0], 16)


def test_words_are_those_of_the_preprocessed_numbers_to_a_step():
    x = np.random.default_rng(2).normal(MIXED.offset, 1 / np.abs(MIXED.scale), (300, 6))
    found = dequantise(MIXED.fixed(12, 16).quantise(x, 16), 12)
    np.testing.assert_allclose(found, MIXED(x), atol=0.51 / 2 ** 12)


@pytest.mark.parametrize("offset, scale, message", [
    (np.zeros(2), np.ones(3), "scale must be an array of float64 of one or more dimensions, of the "
                              "shape of the other, not float64 of shape (3,)"),
    (np.array(0.0), np.array(1.0), "offset must be an array of float64 of one or more dimensions, "
                                   "of the shape of the other, not float64 of shape ()"),
    ([0.0], np.ones(1), "offset must be an array of float64 of one or more dimensions, of the "
                        "shape of the other, not list of shape ()"),
    (np.zeros((1, 2)), np.array([[1, 0.0]]), "scale[0, 1] must not be 0"),
    (np.array([[0, np.inf]]), np.ones((1, 2)), "offset[0, 1] must be finite, not inf"),
    (np.zeros(2), np.array([1, np.inf]), "scale[1] must be finite, not inf"),
    (np.array([np.nan, 0]), np.ones(2), "offset[0] must be finite, not nan"),
    (np.zeros(2), np.array([1.0, 0]), "scale[1] must not be 0"),
])
def test_wrong_fields_are_named(offset, scale, message):
    with pytest.raises(PreprocessingError, match=f"^{re.escape(message)}$"):
        Preprocessing(offset, scale)


def test_an_offset_beyond_the_resolution_of_an_input_is_refused():
    message = ("offset of element 1 must be at most 2 ** 31 steps of 0.000244141, the input's "
               "resolution, not 1e+12: subtract it before inference")
    with pytest.raises(PreprocessingError, match=f"^{re.escape(message)}$"):
        Preprocessing(np.array([0, 1e12]), np.array([2.0, 1])).fixed(12, 16)


@pytest.mark.parametrize("scale", [1e-308, 1e308])
def test_a_scale_beyond_all_formats_is_refused(scale):
    with pytest.raises(PreprocessingError, match="^scale of element 0 must suit 12 fraction bits, "
                                                 f"not be {re.escape(str(scale))}$"):
        Preprocessing(np.zeros(1), np.array([scale])).fixed(12, 16)


@pytest.mark.parametrize("field, value", [("raw_frac", 1001), ("offset", 2 ** 31),
                                          ("multiplier", 2 ** 30 + 1), ("shift", 0),
                                          ("shift", 63), ("shift", None)])
def test_integers_out_of_range_are_refused(field, value):
    numbers = {"raw_frac": 3, "offset": 0, "multiplier": 1, "shift": 5} | {field: value}
    arrays = {name: np.array([number]) if number is not None else np.zeros(0, np.int64)
              for name, number in numbers.items()}
    with pytest.raises(PreprocessingError, match=f"^{field} must be integers from .*, one for each "
                                                 "input$"):
        FixedPreprocessing(**arrays)
