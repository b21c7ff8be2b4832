import re
from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.activation import (
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Sigmoid,
    Sign,
    Tanh,
)
from support.operations import exactly, random_words

INF = float("inf")
ALL_WORDS = np.arange(-1 << 15, 1 << 15)[None]


def clipped(low, high):
    """Exact clip of a fraction."""
    def clip(x):
        x = x if low == -INF else max(x, Fraction(low))
        return x if high == INF else min(x, Fraction(high))
    return clip


@pytest.mark.parametrize("low, high", [(0, INF), (0, 6), (-1.3, 0.7), (-INF, INF), (-INF, -0.1),
                                       (0.1, 1e300)])
@pytest.mark.parametrize("frac, to", [(12, 12), (12, 3), (0, 20), (14, -1), (64, -64), (-10, -10)])
def test_clip_is_exact_and_rounded_once(low, high, frac, to):
    operation = Clip(low, high)
    words = random_words(np.random.default_rng(1), (3, 100), 16)
    found = operation.words(words, fracs=[frac], frac=to)
    expected = exactly(clipped(low, high), words, fracs=[frac], frac=to)
    # Limits that no word reaches are not exact.
    np.testing.assert_array_equal(np.clip(found, -1 << 40, 1 << 40),
                                  np.clip(expected, -1 << 40, 1 << 40))
    np.testing.assert_array_equal(operation.real(words / 64), np.clip(words / 64, low, high))


@pytest.mark.parametrize("frac, to", [(15, 15), (12, 12), (12, 4), (12, 18), (20, 15), (0, 3),
                                      (-1, 2), (-2, 0), (-3, 17), (32, 40), (32, -64), (14, -2)])
def test_hard_swish_is_exact_and_rounded_once(frac, to):
    words = random_words(np.random.default_rng(2), (1, 300), 24)
    words[0, :30] = np.clip((3 << max(frac, 0)) >> max(-frac, 0), 0, 1 << 22) + np.arange(-15, 15)
    words[0, 30:60] = -words[0, :30]
    words[0, 60:80] = np.arange(-10, 10)
    found = HardSwish().words(words, fracs=[frac], frac=to)
    expected = exactly(lambda x: x * min(max(x + 3, 0), 6) / 6, words, fracs=[frac], frac=to)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("slope", [0.01, 0.2, -0.5, 1.7, np.array([[0.25], [-0.001], [0.0]])])
@pytest.mark.parametrize("frac, to", [(12, 12), (9, 14), (14, 3)])
def test_leaky_relu_is_within_its_bound(slope, frac, to):
    operation = LeakyRelu(slope)
    words = random_words(np.random.default_rng(3), (2, 3, 80), 16)
    assert operation.shape((3, 80)) == (3, 80)
    exact = np.where(words < 0, words * slope, words) * 2.0 ** (to - frac)
    error = np.abs(operation.words(words, fracs=[frac], frac=to) - exact)
    assert (error <= 0.5 + (words < 0) * (np.abs(exact) * 2.0 ** -15 + 2.0 ** -10)).all()
    np.testing.assert_allclose(operation.real(words / 64),
                               np.where(words < 0, words * slope, words) / 64)


@pytest.mark.parametrize("alpha, beta", [(0.2, 0.5), (1 / 6, 0.5), (-1.5, 0.1)])
@pytest.mark.parametrize("frac, to", [(12, 15), (12, 3), (3, 12), (0, -2)])
def test_hard_sigmoid_is_within_its_bound(alpha, beta, frac, to):
    operation = HardSigmoid(alpha, beta)
    words = ALL_WORDS[:, ::13]
    exact = np.clip(words * 2.0 ** -frac * alpha + beta, 0, 1) * 2.0 ** to
    found = operation.words(words, fracs=[frac], frac=to)
    product = np.minimum(np.abs(words * 2.0 ** -frac * alpha), 1) * 2.0 ** to
    assert (np.abs(found - exact) <= 0.5 + product * 2.0 ** -15 + 0.01).all()
    assert found.min() == 0
    assert found.max() == np.floor(2.0 ** to + 0.5)
    np.testing.assert_allclose(operation.real(words / 64), np.clip(words / 64 * alpha + beta, 0, 1))


def test_sign_has_three_values():
    words = np.array([[-32768, -1, 0, 1, 32767]])
    assert Sign().words(words, fracs=[-3], frac=4).tolist() == [[-16, -16, 0, 16, 16]]
    # Halves are rounded up.
    assert Sign().words(words, fracs=[9], frac=-1).tolist() == [[0, 0, 0, 1, 1]]
    assert Sign().real(words / 8).tolist() == [[-1, -1, 0, 1, 1]]


@pytest.mark.parametrize("frac", [-64, -3, 0, 4, 8, 11, 12, 13, 14, 15, 20, 64])
@pytest.mark.parametrize("to", [2, 7, 11, 15, 23])
def test_sigmoid_of_all_words(frac, to):
    words = Sigmoid().words(ALL_WORDS, fracs=[frac], frac=to)[0]
    one = 1 << to
    exact = Sigmoid().real(ALL_WORDS * 2.0 ** -frac)[0]
    error = np.abs(words / one - exact).max()
    assert error <= 2.0 ** -13.5 + 0.5 / one
    assert to < 11 or error <= 2.0 ** -11
    assert (np.diff(words) >= 0).all()
    assert (words[1:] + words[:0:-1] == one).all()    # sigmoid(x) + sigmoid(-x)
    assert words[1 << 15] == one // 2
    assert 0 <= words.min() <= words.max() <= one
    assert frac > 11 or (words[0], words[-1]) == (0, one)    # arguments of 12 or more


@pytest.mark.parametrize("frac", [-64, -3, 0, 4, 8, 11, 12, 13, 14, 15, 20, 64])
@pytest.mark.parametrize("to", [-2, 0, 2, 7, 11, 15, 23])
def test_tanh_of_all_words(frac, to):
    words = Tanh().words(ALL_WORDS, fracs=[frac], frac=to)[0]
    exact = Tanh().real(ALL_WORDS * 2.0 ** -frac)[0]
    error = np.abs(words * 2.0 ** -to - exact).max()
    assert error <= 2.0 ** -12.5 + 2.0 ** (-to - 1)
    assert to < 11 or error <= 2.0 ** -11
    assert (np.diff(words) >= 0).all()
    assert (words[1:] == -words[:0:-1]).all()
    assert words[1 << 15] == 0
    assert frac > 12 or to < 0 or (words[0], words[-1]) == (-1 << to, 1 << to)    # 6 or more


def test_real_activations():
    x = np.linspace(-9, 9, 50)[None]
    np.testing.assert_allclose(Sigmoid().real(x), 1 / (1 + np.exp(-x)), rtol=0, atol=1e-15)
    np.testing.assert_allclose(Tanh().real(x), np.tanh(x))
    np.testing.assert_allclose(HardSwish().real(x), x * np.clip(x + 3, 0, 6) / 6)
    for operation in (Clip(0, 1), HardSigmoid(1, 1), HardSwish(), Sigmoid(), Sign(), Tanh(),
                      LeakyRelu(0.5)):
        assert operation.shape((3, 4)) == (3, 4)


@pytest.mark.parametrize("operation, positive, other", [
    (Clip(0, INF), True, True), (Clip(-1, 1), True, False), (Clip(-3, -1), False, False),
    (LeakyRelu(0.1), True, False), (LeakyRelu(np.array([-0.1, 0.0])), True, True),
    (HardSigmoid(0.2, 0.5), True, True), (HardSwish(), True, False), (Sign(), True, False),
    (Sigmoid(), True, True), (Tanh(), True, False)])
def test_results_that_are_never_negative_are_known(operation, positive, other):
    assert operation.is_nonnegative(True) == positive
    assert operation.is_nonnegative(False) == other


@pytest.mark.parametrize("build, message", [
    (lambda: Clip(1, 0), "low must be at most high, 0, not 1"),
    (lambda: Clip(0, float("nan")), "high must be a number, not nan"),
    (lambda: Clip(None, 0), "low must be a number, not None"),
    (lambda: LeakyRelu(INF), "slope must be a finite number, not inf"),
    (lambda: LeakyRelu(np.ones((3, 1))).shape((2, 4)),
     "operands must have shapes that broadcast together, not (2, 4) and (3, 1)"),
    (lambda: LeakyRelu(np.ones((3, 1))).shape((4,)),
     "slope must have a shape that is broadcast to (4,), not (3, 1)"),
    (lambda: HardSigmoid("1", 0), "alpha must be a finite number, not '1'"),
    (lambda: HardSigmoid(1, None), "beta must be a finite number, not None"),
    (lambda: Tanh().shape((2,), (2,)), "there must be one operand, not 2"),
    (lambda: Sigmoid().words(ALL_WORDS, fracs=[3], frac=0),
     "result of a sigmoid must have from 1 to 32 fraction bits, not 0: choose another format"),
    (lambda: Tanh().words(ALL_WORDS, fracs=[3], frac=33),
     "result of a tanh must have from -64 to 32 fraction bits, not 33: choose another format"),
    (lambda: HardSwish().words(ALL_WORDS, fracs=[33], frac=3),
     "operand of a hard swish must have at most 32 fraction bits, not 33: choose a coarser format"),
    (lambda: HardSwish().words(ALL_WORDS, fracs=[3], frac=24),
     "result must have at most 23 fraction bits, 20 more than an operand, not 24: choose a "
     "coarser format"),
])
def test_fields_operands_and_formats_are_checked(build, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        build()
