import re

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.quantisation import Quantise
from support.operations import exactly, random_words


def of_bits(scale, bits, zero, *, signed=True):
    """Quantisation to numbers of some bits with a zero point."""
    low = -1 << bits - 1 if signed else 0
    return Quantise(scale, low - zero, low + (1 << bits) - 1 - zero)


@pytest.mark.parametrize("operation, numbers, integers", [
    # Halves become even.
    (of_bits(1.0, 8, 0), [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.49], [-2, -2, 0, 0, 2, 2, 3]),
    (of_bits(2.0, 8, 0), [-64.1, -64.0, -63.9, 63.4, 63.5, 99.0],
     [-128, -128, -128, 127, 127, 127]),
    # The ReLU is in the zero point.
    (of_bits(4.0, 8, -128), [-3.0, -0.1, 0.0, 0.125, 0.2, 63.75, 64.0], [0, 0, 0, 0, 1, 255, 255]),
    (of_bits(1.0, 8, 94), [-300.0, -222.0, -221.5, 0.0, 33.0, 34.0],
     [-222, -222, -222, 0, 33, 33]),
    (of_bits(10.0, 4, 0), [-0.9, -0.75, 0.05, 0.65, 0.75, 1.0], [-8, -8, 0, 6, 7, 7]),
    (of_bits(10.0, 4, 3, signed=False), [-9.0, -0.3, 0.0, 1.1, 1.2, 9.0], [-3, -3, 0, 11, 12, 12]),
])
def test_numbers_become_integers_from_their_zero_on(operation, numbers, integers):
    assert operation.real(np.array([numbers])).tolist() == [integers]


def test_words_with_halves_are_rounded_up():
    operation = Quantise(1.0, -2, 3)
    words = np.array([[-9, -5, -3, -2, -1, 1, 2, 3, 5, 7, 9]])    # of halves
    assert operation.words(words, fracs=[1], frac=0).tolist() == [
        [-2, -2, -1, -1, 0, 1, 1, 2, 3, 3, 3]]
    assert operation.words(words, fracs=[1], frac=4)[0, 0] == -2 << 4


@pytest.mark.parametrize("frac, to", [(12, 0), (9, 5), (0, 0), (-2, 32)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 64.0])
def test_words_are_exact_if_the_scale_is_a_power_of_two(frac, to, scale):
    words = random_words(np.random.default_rng(1), (2, 300), 16)
    found = Quantise(scale, -100, 155).words(words, fracs=[frac], frac=to)
    expected = exactly(lambda x: x * int(scale * 4) / 4, words, fracs=[frac], frac=0)
    np.testing.assert_array_equal(found, np.clip(expected.astype(float), -100, 155) * 2.0 ** to)


def test_channels_have_scales_of_their_own():
    operation = Quantise(np.array([[1.0], [10.0]]), -100, 100)
    assert operation.shape((2, 3)) == (2, 3)
    x = np.array([[[0.0, 1.2, 40.0], [0.0, 1.2, 40.0]]])
    assert operation.real(x).tolist() == [[[0, 1, 40], [0, 12, 100]]]


@pytest.mark.parametrize("low, high, positive, other", [
    (-128, 127, True, False), (0, 255, True, True), (-9, -3, False, False)])
def test_results_that_are_never_negative_are_known(low, high, positive, other):
    operation = Quantise(1.0, low, high)
    assert operation.is_nonnegative(True) == positive
    assert operation.is_nonnegative(False) == other


@pytest.mark.parametrize("build, message", [
    (lambda: Quantise(0.0, 0, 1), "scale must be above 0, not 0"),
    (lambda: Quantise(np.array([1.0, -2.0]), 0, 1), "scale must be above 0, not -2"),
    (lambda: Quantise(float("nan"), 0, 1), "scale must be a finite number, not nan"),
    (lambda: Quantise(1.0, 0.0, 1), "low must be an integer from -8388608 to 8388608, not 0.0"),
    (lambda: Quantise(1.0, 0, 1 << 24),
     "high must be an integer from -8388608 to 8388608, not 16777216"),
    (lambda: Quantise(1.0, 3, 3), "low must be less than high, 3, not 3"),
    (lambda: Quantise(np.ones((3, 1)), 0, 1).shape((4,)),
     "scale must have a shape that is broadcast to (4,), not (3, 1)"),
    (lambda: Quantise(1.0, 0, 1).words(np.zeros((1, 2), int), fracs=[3], frac=-1),
     "result must have 0 to 32 fraction bits, as it is an integer, not -1: quantise to fewer bits, "
     "or widen words"),
])
def test_fields_operands_and_formats_are_checked(build, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        build()
