import math
from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.arithmetic import (
    add,
    constants_error,
    divide,
    divide_sum,
    fix_constants,
    fix_limit,
    magnitude,
    multiply,
)
from eie_hdl.config import EIEConfig
from support.operations import exactly, near_squares


def test_words_of_the_widest_configuration_have_24_bits():
    EIEConfig(act_width=24)
    with pytest.raises(ValueError, match="act_width"):
        EIEConfig(act_width=25)


@pytest.mark.parametrize("function, compute", [(add, lambda x, y: x + y),
                                               (multiply, lambda x, y: x * y)])
def test_sums_and_products_of_all_small_words_are_exact(function, compute):
    x, y = np.meshgrid(np.arange(-8, 8), np.arange(-8, 8))
    for fracs in ((0, 0), (3, 1), (1, 3), (-2, 4), (9, -9)):
        for frac in (-4, 0, 2, 5):
            np.testing.assert_array_equal(function(x, y, fracs=fracs, frac=frac),
                                          exactly(compute, x, y, fracs=fracs, frac=frac))


def test_magnitudes_are_exact_where_float64_rounds_the_squares():
    x, y, floors = near_squares()
    assert all(math.isqrt(a * a + b * b) == root
               for a, b, root in zip(x.tolist(), y.tolist(), floors.tolist()))
    np.testing.assert_array_equal(magnitude(x, y, fracs=(0, 0), frac=-1), floors + 1 >> 1)
    parts = np.arange(100, 363)    # the root is less than a half above a word
    np.testing.assert_array_equal(magnitude(64 * parts ** 2, parts, fracs=(0, 0), frac=6),
                                  4096 * parts ** 2)


def test_halves_are_rounded_up():
    assert divide(np.array([-3, -1, 1, 3]), 2).tolist() == [-1, 0, 1, 2]
    assert divide(np.array([-5, -4, 4, 5]), 3).tolist() == [-2, -1, 1, 2]
    assert divide_sum(np.array([-6, 6]), 4, frac=3, to=3).tolist() == [-1, 2]
    assert divide_sum(np.array([-6, 6]), 4, frac=3, to=4).tolist() == [-3, 3]
    assert divide_sum(np.array([-6, 6]), 3, frac=3, to=1).tolist() == [0, 1]


@pytest.mark.parametrize("number, frac, word", [
    (0.5, 0, 1), (-0.5, 0, 0), (6, 12, 6 << 12), (1.49, -1, 1), (np.nextafter(0.5, 0), 0, 0),
    (float("inf"), -64, 1 << 61), (float("-inf"), 5, -1 << 61), (1e300, 0, 1 << 61)])
def test_limits_are_rounded_half_up(number, frac, word):
    assert fix_limit(number, frac) == word


@pytest.mark.parametrize("seed", range(30))
def test_constants_are_within_their_bound(seed):
    rng = np.random.default_rng(seed)
    frac, to = (int(number) for number in rng.integers(-8, 24, 2))
    scale = float(rng.normal() * 2.0 ** rng.integers(-40, 12) * 2.0 ** (frac - to))
    shift = float(rng.normal() * 2.0 ** rng.integers(-20, 22 - to))
    scaling = fix_constants(scale, shift, frac=frac, to=to)
    right = int(scaling.shift)
    assert 1 <= right <= 37
    assert abs(int(scaling.multiplier)) < 1 << 15
    assert right in (1, 37) or abs(int(scaling.multiplier)) >= 1 << 14
    ratio = Fraction(scale) * Fraction(2) ** (to - frac)
    words = [-1 << 23, -12345, -1, 0, 1, 999, (1 << 23) - 1]
    bounds = constants_error(scale, shift, np.ldexp(np.array(words, float), -frac), frac=frac,
                             to=to)
    for word, found, bound in zip(words, scaling(np.array(words)).tolist(), bounds):
        exact = word * ratio + Fraction(shift) * Fraction(2) ** to
        error = abs(found - exact)
        assert error <= Fraction(float(bound)) * Fraction(2) ** to
        assert error <= Fraction(1, 2) + Fraction(abs(word) + 1, 2 << right)
        if right < 37:
            assert error <= Fraction(1, 2) + abs(word * ratio) / 2 ** 15 + Fraction(1, 2 << right)


@pytest.mark.parametrize("scale, shift, expected", [
    (1.0, 0.0, (1 << 14, 1 << 13, 14)),
    (-0.75, 0.0, (-3 << 13, 1 << 14, 15)),
    (0.0, 2.0, (0, (2 << 12 + 15) + (1 << 14), 15)),
    # Rounded to 2 ** 15, hence halved.
    (1 - 2.0 ** -17, 0.0, (1 << 14, 1 << 13, 14)),
    (2.0 ** 13 - 1, 0.0, ((1 << 15) - 4, 1 << 1, 2)),
    (2.0 ** -60, 0.0, (0, 1 << 36, 37)),
    (2.0 ** -60, 1e30, (0, (1 << 61) + (1 << 36), 37)),
])
def test_constants_are_chosen_by_the_rule(scale, shift, expected):
    scaling = fix_constants(scale, shift, frac=12, to=12)
    assert (int(scaling.multiplier), int(scaling.addend), int(scaling.shift)) == expected


def test_constants_have_a_shift_for_each_element():
    scaling = fix_constants(np.array([[1.0], [0.3]]), np.array([0.0, 1.0, 2.0]), frac=3, to=3)
    assert scaling.multiplier.shape == scaling.addend.shape == scaling.shift.shape == (2, 3)
    assert scaling(np.full((1, 2, 3), 80)).tolist() == [[[80, 88, 96], [24, 32, 40]]]


def test_a_saturated_addend_saturates_its_results():
    for shift, word in ((1e9, (1 << 23) - 1), (-1e9, -1 << 23)):
        scaling = fix_constants(2.0 ** -40, shift, frac=0, to=12)
        for x in (-1 << 23, (1 << 23) - 1):
            assert np.clip(scaling(np.array(x)), -1 << 23, (1 << 23) - 1) == word
    scaling = fix_constants(2.0 ** -40, 1e30, frac=0, to=12)
    error = abs(np.ldexp(float(scaling(np.array(0))), -12) - 1e30)
    assert error <= constants_error(2.0 ** -40, 1e30, np.zeros(1), frac=0, to=12) < 1.001e30


def test_scales_that_are_too_great_are_refused():
    with pytest.raises(GraphError, match="^scale must be less than 1024 for 9 fraction bits of the "
                                         "operand and 12 of the result, not 1024: choose a coarser "
                                         "format of the result$"):
        fix_constants(np.array([0.0, -1024.0]), 0.0, frac=9, to=12)
    fix_constants(np.array([0.0, -1023.9]), 0.0, frac=9, to=12)
    fix_constants(0.0, 1.0, frac=0, to=60)
