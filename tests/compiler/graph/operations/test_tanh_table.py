import numpy as np
import pytest

from eie_compiler.graph.operations.tanh_table import FRAC, TABLE, interpolate, tanh


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
    words = np.array([-96, -32, 0, 32, 96])
    magnitudes = TABLE[[96, 32, 0, 32, 96]]
    for to in (-64, 3, 15, 20):
        rounded = np.floor(magnitudes * 2.0 ** (to - 15) + 0.5)
        np.testing.assert_array_equal(tanh(words, 5, to), np.sign(words) * rounded)
