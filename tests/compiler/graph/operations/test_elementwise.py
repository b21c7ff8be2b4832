import re
from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.elementwise import (
    Add,
    Affine,
    Magnitude,
    Maximum,
    Multiply,
    Subtract,
)
from support.operations import exactly, highest_frac, random_words

PAIRS = {Add: lambda x, y: x + y, Subtract: lambda x, y: x - y, Multiply: lambda x, y: x * y,
         Maximum: max}


@pytest.mark.parametrize("operation", PAIRS)
@pytest.mark.parametrize("seed", range(25))
def test_words_are_the_exact_numbers_rounded_once(operation, seed):
    rng = np.random.default_rng(seed)
    width = int(rng.choice([4, 8, 16, 24]))
    x, y = (random_words(rng, (2, 40), width) for _ in range(2))
    fracs = rng.integers(-64, 65, 2) if seed % 2 else rng.integers(-5, 20) + rng.integers(-8, 9, 2)
    highest = highest_frac(operation, fracs)
    frac = highest if seed % 3 == 0 else rng.integers(min(-64, highest), highest + 1)
    fracs, frac = fracs.tolist(), int(frac)
    np.testing.assert_array_equal(operation().words(x, y, fracs=fracs, frac=frac),
                                  exactly(PAIRS[operation], x, y, fracs=fracs, frac=frac))


@pytest.mark.parametrize("operation", PAIRS)
def test_extreme_words_stay_within_64_bits(operation):
    x, y = map(np.ravel, np.meshgrid([-1 << 23, -1, 0, 1, (1 << 23) - 1],
                                     [-1 << 23, -1, 0, 1, (1 << 23) - 1]))
    for fracs, frac in (([0, 0], 15), ([0, 20], 20), ([64, -64], -44), ([3, 4], -64)):
        np.testing.assert_array_equal(
            operation().words(x, y, fracs=fracs, frac=frac),
            exactly(PAIRS[operation], x, y, fracs=fracs, frac=frac))


def check_magnitudes(x, y, fracs, frac):
    """Check that no result is half a step or more from the root, but for halves rounded up."""
    found = Magnitude().words(x, y, fracs=fracs, frac=frac)
    for word, one, other in zip(found.ravel().tolist(), x.ravel().tolist(), y.ravel().tolist()):
        square = sum(Fraction(each) ** 2 * Fraction(2) ** (2 * (frac - own))
                     for each, own in zip((one, other), fracs))
        assert word >= 0
        assert square < (word + Fraction(1, 2)) ** 2
        assert word == 0 or square >= (word - Fraction(1, 2)) ** 2


@pytest.mark.parametrize("seed", range(25))
def test_magnitudes_are_the_exact_roots_rounded_once(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.choice([4, 8, 16, 24]))
    x, y = (random_words(rng, (2, 40), width) for _ in range(2))
    fracs = (rng.integers(-5, 20) + rng.integers(-8, 9, 2)).tolist()
    check_magnitudes(x, y, fracs, min(fracs) + (6 if seed % 3 == 0 else int(rng.integers(-30, 7))))


def test_magnitudes_of_extreme_words_and_formats():
    extremes = np.array([-1 << 23, 1 - (1 << 23), -1, 0, 1, 3, (1 << 23) - 1])
    x, y = map(np.ravel, np.meshgrid(extremes, extremes))
    for fracs, frac in (([0, 0], 6), ([0, 20], 6), ([64, -64], -58), ([3, 4], -64), ([64, 64], -64),
                        ([0, 1], -1), ([40, 0], -24), ([8, 8], 8)):
        check_magnitudes(x, y, fracs, frac)
    assert Magnitude().words(np.array([3, 1]), np.array([4, 0]), fracs=[0, 0],
                             frac=-1).tolist() == [3, 1]


@pytest.mark.parametrize("operation", PAIRS)
@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3, 4)), ((3, 1), (1, 4)),
                                    ((2, 3, 4), (3, 1)), ((), (3,))])
def test_operands_are_broadcast_without_the_batch(operation, shapes):
    rng = np.random.default_rng(3)
    x, y = (rng.integers(-99, 99, (5, *shape)) for shape in shapes)
    expected = np.stack([np.vectorize(PAIRS[operation])(one, other) for one, other in zip(x, y)])
    assert operation().shape(*shapes) == expected.shape[1:]
    np.testing.assert_array_equal(operation().real(x.astype(float), y.astype(float)), expected)
    np.testing.assert_array_equal(operation().words(x, y, fracs=[0, 0], frac=0), expected)


@pytest.mark.parametrize("operation, both, one", [
    (Add, True, False), (Subtract, False, False), (Multiply, True, False), (Maximum, True, True)])
def test_results_that_are_never_negative_are_known(operation, both, one):
    assert operation().is_nonnegative(True, True) == both
    assert operation().is_nonnegative(True, False) == one
    assert not operation().is_nonnegative(False, False)
    assert Magnitude().is_nonnegative(False, False)


@pytest.mark.parametrize("seed", range(20))
def test_affine_is_within_its_bound(seed):
    rng = np.random.default_rng(seed)
    scale = rng.normal(size=(3, 1, 1)) * 2.0 ** rng.integers(-12, 8, (3, 1, 1))
    shift = rng.normal(size=(3, 1, 1)) * 2.0 ** rng.integers(-3, 9, (3, 1, 1))
    operation = Affine(scale, shift)
    x = random_words(rng, (2, 3, 4, 5), 16)
    fracs, frac = [int(rng.integers(0, 16))], int(rng.integers(0, 16))
    if (np.abs(scale) * 2.0 ** (frac - fracs[0]) >= 1 << 13).any():
        frac = fracs[0]
    exact = (x * 2.0 ** -fracs[0] * scale + shift) * 2.0 ** frac
    error = np.abs(operation.words(x, fracs=fracs, frac=frac) - exact)
    product = np.abs(x * scale * 2.0 ** (frac - fracs[0]))
    assert (error <= 0.5 + product * 2.0 ** -15 + 0.25).all()
    np.testing.assert_allclose(operation.real(x / 8), x / 8 * scale + shift)


def test_affine_is_broadcast_without_the_batch():
    operation = Affine(np.ones((3, 1)), np.arange(4.0))
    assert operation.shape((2, 1, 4)) == (2, 3, 4)
    assert operation.shape((4,)) == (3, 4)
    x = np.arange(8).reshape(2, 4)
    expected = np.repeat((x + np.arange(4))[:, None], 3, 1)
    np.testing.assert_array_equal(operation.words(x, fracs=[0], frac=0), expected)
    np.testing.assert_array_equal(operation.real(x.astype(float)), expected)
    assert Affine(2.0, 1).shape((5,)) == (5,)
    assert Affine(2.0, 1).words(np.array([[3]]), fracs=[0], frac=0).tolist() == [[7]]


def test_affine_with_constants_that_are_not_negative_keeps_the_sign():
    assert Affine(np.array([0.0, 2]), 1.0).is_nonnegative(True)
    assert not Affine(2.0, 1.0).is_nonnegative(False)
    assert not Affine(np.array([-1.0, 2]), 1.0).is_nonnegative(True)
    assert not Affine(2.0, -1.0).is_nonnegative(True)


@pytest.mark.parametrize("build, message", [
    (lambda: Affine("2", 0.0), "scale must be a finite number, not '2'"),
    (lambda: Affine(2.0, float("inf")), "shift must be a finite number, not inf"),
    (lambda: Affine(True, 0.0), "scale must be a finite number, not True"),
    (lambda: Affine(np.ones(3, np.float32), 0.0),
     "scale must be an array of float64, not of float32"),
    (lambda: Affine(1.0, np.array([[0.0, np.nan]])),
     "shift must be finite, but element [0, 1] is nan"),
    (lambda: Affine(np.ones(3), np.ones(2)),
     "operands must have shapes that broadcast together, not (3,) and (2,)"),
    (lambda: Affine(np.ones(3), np.ones(3)).shape((2, 4)),
     "operands must have shapes that broadcast together, not (2, 4) and (3,) and (3,)"),
    (lambda: Add().shape((2,)), "there must be two operands, not 1"),
    (lambda: Maximum().shape((2,), (2,), (2,)), "there must be two operands, not 3"),
    (lambda: Multiply().shape((1 << 14, 1), (1, 1 << 14)),
     "result must have at most 67108864 elements, not shape (16384, 16384): use a smaller input"),
    (lambda: Add().words(np.ones(2, int), np.ones(2, int), fracs=[3, 9], frac=24),
     "result must have at most 23 fraction bits, 20 more than an operand, not 24: choose a "
     "coarser format"),
    (lambda: Multiply().words(np.ones(2, int), np.ones(2, int), fracs=[3, 9], frac=28),
     "result must have at most 27 fraction bits, 15 more than the operands together, not 28: "
     "choose a coarser format"),
    (lambda: Magnitude().words(np.ones(2, int), np.ones(2, int), fracs=[9, 3], frac=10),
     "result must have at most 9 fraction bits, 6 more than an operand, not 10: choose a coarser "
     "format"),
])
def test_fields_operands_and_formats_are_checked(build, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        build()
