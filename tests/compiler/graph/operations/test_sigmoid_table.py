import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.sigmoid_table import (
    FRAC,
    TABLE,
    interpolate,
    round_magnitude,
)


def test_entries_are_of_16_bits_without_sign():
    assert TABLE[0] == 0
    assert (TABLE[-3:] == 1 << 15).all()
    assert (np.diff(TABLE) >= 0).all()
    exact = np.tanh(np.arange(192) / 32) * 2 ** 15
    np.testing.assert_array_equal(TABLE, np.rint(exact))
    # The last digits of tanh depend on the computer; entries do not.
    assert (np.abs(exact % 1 - 0.5) > 1e-6).all()


def test_entries_are_kept_and_the_values_between_them_lie_on_a_line():
    np.testing.assert_array_equal(interpolate(np.arange(191), 5), TABLE[:-1] << 8)
    rests = interpolate(np.arange(257), 13)
    np.testing.assert_array_equal(np.diff(rests), TABLE[1])


@pytest.mark.parametrize("frac", range(-3, 17))
def test_values_are_within_their_bound(frac):
    magnitudes = np.arange(1 << 16)
    exact = np.tanh(magnitudes * 2.0 ** -frac)
    assert np.abs(interpolate(magnitudes, frac) * 2.0 ** -FRAC - exact).max() <= 2.0 ** -12.5


@pytest.mark.parametrize("frac", [-64, 3, 64])
def test_the_greatest_arguments_are_safe(frac):
    value = interpolate(np.array([0, 1 << 23]), frac).tolist()
    assert value == ([0, 0] if frac == 64 else [0, 1 << FRAC])


def test_magnitudes_are_rounded_half_up_and_take_the_sign():
    signs, magnitudes = np.array([1, 1, 0, -1, -1]), np.array([2, 3, 2, 2, 3])
    assert round_magnitude(signs, magnitudes, 2, 0).tolist() == [1, 1, 1, -1, -1]
    assert round_magnitude(signs, magnitudes, 2, 5).tolist() == [16, 24, 16, -16, -24]
    assert round_magnitude(signs, magnitudes, 23, -64).tolist() == [0, 0, 0, 0, 0]
    with pytest.raises(GraphError, match="^result must have at most 32 fraction bits, not 33: "
                                         "choose a coarser format$"):
        round_magnitude(signs, magnitudes, 2, 33)
