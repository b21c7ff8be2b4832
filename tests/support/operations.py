"""An operation of each kind, and their exact numbers, for tests."""

from fractions import Fraction

import numpy as np

from eie_compiler.graph.operations import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Magnitude,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Sigmoid,
    Sign,
    Slice,
    Subtract,
    Tanh,
    Transpose,
)

IMAGE = (3, 4, 4)

#: An operation of each kind, and the shapes of its operands.
CASES = [
    (Add(), [IMAGE, IMAGE]), (Affine(np.array([[[1.5]], [[-0.3]], [[2.0]]]), 0.25), [IMAGE]),
    (Affine(1.0, np.array([-0.75, 0.5]).reshape(2, 1, 1, 1)), [IMAGE]),
    (AveragePool((3, 3), (1, 1), (1, 1, 1, 1)), [IMAGE]), (Clip(-0.3, 2.0), [IMAGE]),
    (Concat(0), [IMAGE, (1, 4, 4)]), (HardSigmoid(0.2, 0.5), [IMAGE]), (HardSwish(), [IMAGE]),
    (LeakyRelu(0.1), [IMAGE]), (LeakyRelu(-0.5), [IMAGE]), (Magnitude(), [IMAGE, IMAGE]),
    (MaxPool((2, 2), (2, 2)), [IMAGE]), (Maximum(), [IMAGE, (4, 4)]),
    (Mean((1, 2)), [IMAGE]), (Multiply(), [IMAGE, (3, 1, 1)]), (Pad((0, 1, 1), (0, 1, 0)), [IMAGE]),
    (Quantise(100.0, -900, 1023), [IMAGE]),
    (Quantise(np.array([[[256.0]], [[64.0]], [[0.3]]]), -1500, 2000), [IMAGE]),
    (Quantise(np.array([[256.0, 100.0, 16.0, 3.0]]), 0, 4000), [IMAGE]),
    (Reshape((6, 8)), [IMAGE]), (Reverse(1), [IMAGE]), (Sigmoid(), [IMAGE]), (Sign(), [IMAGE]),
    (Slice(2, 1, 4, 2), [IMAGE]), (Subtract(), [IMAGE, IMAGE]), (Tanh(), [IMAGE]),
    (Transpose((2, 0, 1)), [IMAGE])]

def near_squares():
    """Words `x` and `y`, and floors of their magnitude, where float64 rounds the sum of squares.

    They are odd squares, up to 2 ** 62, or one less than an odd square.
    """
    roots = 2 * np.concatenate([np.arange(1, 50), np.arange(8000, 8400),
                                np.arange(1 << 15)[-400:]]) ** 2
    odd = np.concatenate([roots + 1, (1 << np.arange(1, 32)) - 1])
    ends = np.sqrt(2 * roots).astype(np.int64)    # r * r + 2 * r
    return (np.append(roots, odd), np.append(ends, np.zeros_like(odd)), np.append(roots, odd))


#: Round fractions to the nearest integers, halves up.
to_words = np.vectorize(lambda number: (number + Fraction(1, 2)).__floor__(), otypes=[object])


def exactly(compute, *tensors, fracs, frac):
    """Compute words by a function of fractions, element by element, rounded half up."""
    numbers = [np.vectorize(Fraction, otypes=[object])(tensor) / Fraction(2) ** one
               for tensor, one in zip(tensors, fracs)]
    return to_words(np.vectorize(compute, otypes=[object])(*numbers) * Fraction(2) ** frac)


def highest_frac(operation, fracs):
    """Most fraction bits of a result of an operation on two tensors."""
    if operation is Multiply:
        return sum(fracs) + 15
    return min(fracs) + (6 if operation is Magnitude else 20)


def random_words(rng, shape, width):
    """Words of `width` bits, with the least and the greatest among them."""
    words = rng.integers(-1 << width - 1, 1 << width - 1, shape)
    words >>= rng.integers(0, width, shape)
    words.ravel()[:2] = (-1 << width - 1, (1 << width - 1) - 1)[:words.size]
    return words
