"""Exact numbers of operations, for tests."""

from fractions import Fraction

import numpy as np

#: Round fractions to the nearest integers, halves up.
to_words = np.vectorize(lambda number: (number + Fraction(1, 2)).__floor__(), otypes=[object])


def exactly(compute, *tensors, fracs, frac):
    """Compute words by a function of fractions, element by element, rounded half up."""
    numbers = [np.vectorize(Fraction, otypes=[object])(tensor) / Fraction(2) ** one
               for tensor, one in zip(tensors, fracs)]
    return to_words(np.vectorize(compute, otypes=[object])(*numbers) * Fraction(2) ** frac)


def random_words(rng, shape, width):
    """Words of `width` bits, with the least and the greatest among them."""
    words = rng.integers(-1 << width - 1, 1 << width - 1, shape)
    words >>= rng.integers(0, width, shape)
    words.ravel()[:2] = (-1 << width - 1, (1 << width - 1) - 1)[:words.size]
    return words
