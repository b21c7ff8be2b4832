"""Fixed-point functions against their definitions in exact arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from eie_hdl.numeric import limits, relu, round_shift, saturate, wrap

#: Beyond the range of an accumulator plus a bias in the widest machine.
NUMBERS = st.integers(-1 << 61, (1 << 61) - 1)
WIDTHS = st.integers(1, 60)

EXAMPLES = settings(max_examples=60)


def both(function, value, *args):
    """Return the result for an integer, after checking that it is the same for an array."""
    result = function(value, *args)
    assert type(result) is int
    array = function(np.array([value, value]), *args)
    assert array.dtype == np.int64
    assert array.tolist() == [result, result]
    return result


@pytest.mark.parametrize("width, low, high", [(1, -1, 0), (4, -8, 7), (16, -32768, 32767)])
def test_limits_are_those_of_twos_complement(width, low, high):
    assert limits(width) == (low, high)


@EXAMPLES
@given(NUMBERS, WIDTHS)
def test_wrapped_number_fits_and_differs_by_a_multiple(value, width):
    result = both(wrap, value, width)
    assert -(2 ** (width - 1)) <= result < 2 ** (width - 1)
    assert (result - value) % 2 ** width == 0


@EXAMPLES
@given(NUMBERS, st.integers(0, 59))
def test_shift_rounds_halves_up(value, shift):
    exact = Fraction(value, 2 ** shift)
    assert both(round_shift, value, shift) == floor(exact + Fraction(1, 2))


@pytest.mark.parametrize("value, shift, expected", [
    (5, 1, 3), (-5, 1, -2), (6, 2, 2), (-6, 2, -1), (-7, 2, -2), (5, 0, 5), (-5, 0, -5)])
def test_half_is_rounded_towards_positive_infinity(value, shift, expected):
    assert both(round_shift, value, shift) == expected


@EXAMPLES
@given(NUMBERS)
def test_relu_keeps_nonnegative_numbers(value):
    assert both(relu, value) == (value if value > 0 else 0)


@EXAMPLES
@given(NUMBERS, WIDTHS)
def test_saturated_number_is_the_nearest_that_fits(value, width):
    result = both(saturate, value, width)
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    assert result == (value if low <= value <= high else low if value < low else high)


@pytest.mark.parametrize("value", range(-40, 41))
def test_small_numbers_meet_every_edge_of_four_bits(value):
    assert both(saturate, value, 4) == sorted([-8, value, 7])[1]
    assert both(relu, value) == sorted([0, value, 40])[1]
    assert both(wrap, value, 4) == next(n for n in range(-8, 8) if (n - value) % 16 == 0)


def test_arrays_keep_their_shape():
    values = np.arange(-12, 12).reshape(2, 3, 4)
    for result in (wrap(values, 4), round_shift(values, 2), relu(values), saturate(values, 4)):
        assert result.shape == (2, 3, 4)
