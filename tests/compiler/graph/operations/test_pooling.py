import math
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.pooling import AveragePool, MaxPool, Mean
from support.operations import random_words, to_words


def windows(operation, image, inside):
    """Elements of each window of a channel, and how many of them `inside` counts."""
    (height, width), (top, left, bottom, right) = image.shape, operation.padding
    rows, columns = ((top + height + bottom - operation.kernel[0]) // operation.stride[0] + 1,
                     (left + width + right - operation.kernel[1]) // operation.stride[1] + 1)
    found = np.empty((rows, columns), object)
    for i, j in np.ndindex(rows, columns):
        places = [(i * operation.stride[0] + y - top, j * operation.stride[1] + x - left)
                  for y in range(operation.kernel[0]) for x in range(operation.kernel[1])]
        found[i, j] = ([int(image[y, x]) for y, x in places if 0 <= y < height and 0 <= x < width],
                       sum(inside(y, x) for y, x in places))
    return found


GEOMETRIES = [
    {"kernel": (2, 2), "stride": (2, 2)},
    {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)},
    {"kernel": (3, 2), "stride": (1, 3), "padding": (0, 1, 2, 0)},
    {"kernel": (7, 6), "stride": (1, 1)},
    {"kernel": (1, 1), "stride": (3, 2)},
    {"kernel": (1, 3), "stride": (1, 2), "padding": (0, 2, 0, 2)},
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_maximum_is_of_the_elements_of_the_image(geometry):
    operation = MaxPool(**geometry)
    images = random_words(np.random.default_rng(4), (2, 3, 7, 6), 16)
    expected = np.array([[[[max(cell[0]) for cell in row]
                           for row in windows(operation, channel, lambda y, x: 1)]
                          for channel in image] for image in images])
    assert operation.shape((3, 7, 6)) == expected.shape[1:]
    np.testing.assert_array_equal(operation.words(images, fracs=[3], frac=3), expected)
    np.testing.assert_array_equal(operation.real(images / 8), expected / 8)
    assert operation.keeps_format
    assert operation.is_nonnegative(True)
    assert not operation.is_nonnegative(False)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("count_padding, uncounted", [(False, (0, 0)), (True, (0, 0)),
                                                      (True, (1, 1))])
def test_average_is_exact_and_rounded_once(geometry, count_padding, uncounted):
    padding = geometry.get("padding", (0, 0, 0, 0))
    uncounted = tuple(map(min, uncounted, padding[2:]))
    operation = AveragePool(**geometry, count_padding=count_padding, uncounted=uncounted)
    images = random_words(np.random.default_rng(5), (2, 3, 7, 6), 24)

    def counted(y, x):
        if not count_padding:
            return 0 <= y < 7 and 0 <= x < 6
        return y < 7 + padding[2] - uncounted[0] and x < 6 + padding[3] - uncounted[1]

    exact = np.array([[[[Fraction(sum(elements), count) for elements, count in row]
                        for row in windows(operation, channel, counted)]
                       for channel in image] for image in images])
    assert operation.shape((3, 7, 6)) == exact.shape[1:]
    for frac, to in ((3, 3), (3, 5), (3, 0), (-2, 18), (64, -64), (20, -6)):
        np.testing.assert_array_equal(
            operation.words(images, fracs=[frac], frac=to),
            to_words(exact * Fraction(2) ** (to - frac)))
    np.testing.assert_allclose(operation.real(images.astype(float)), exact.astype(float))
    assert operation.is_nonnegative(True)
    assert not operation.is_nonnegative(False)


def test_windows_are_counted_without_images_of_ones():
    tracemalloc.start()
    for operation, height, width in (
            (AveragePool((1 << 15, 1), (1 << 15, 1), ((1 << 15) - 1, 0, 0, 0)), 1, 2048),
            (AveragePool((1, 1), (1, 1)), 1 << 13, 1 << 13)):
        empty = np.zeros((0, 1, height, width), np.int64)
        shape = operation.words(empty, fracs=[0], frac=0).shape
        assert shape == (0, *operation.shape(empty.shape[1:]))
    wide = AveragePool((1 << 15, 1), (1, 1), ((1 << 15) - 1, 0, 0, 0))
    assert wide.real(np.ones((1, 1, 1, 1))).tolist() == [[[[1]]]]
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


@pytest.mark.parametrize("axes, keep, shape", [
    ((1, 2), False, (3,)), ((1, 2), True, (3, 1, 1)), ((0,), False, (5, 7)),
    ((0, 1, 2), False, ())])
def test_mean_is_exact_and_rounded_once(axes, keep, shape):
    operation = Mean(axes, keep)
    assert operation.shape((3, 5, 7)) == shape
    images = random_words(np.random.default_rng(7), (2, 3, 5, 7), 16)
    count = math.prod(images.shape[axis + 1] for axis in axes)
    exact = np.array(images, object).sum(tuple(axis + 1 for axis in axes), keepdims=keep) \
        * Fraction(1, count)
    for frac, to in ((3, 3), (0, 12), (64, -64)):
        np.testing.assert_array_equal(
            operation.words(images, fracs=[frac], frac=to),
            to_words(exact * Fraction(2) ** (to - frac)))
    np.testing.assert_allclose(operation.real(images.astype(float)), exact.astype(float))
    assert operation.is_nonnegative(True)
    assert not operation.is_nonnegative(False)


@pytest.mark.parametrize("word", [-1 << 23, (1 << 23) - 1])
def test_the_greatest_sum_fits_64_bits(word):
    words = np.full((1, 1 << 18), word)
    assert Mean((0,)).words(words, fracs=[0], frac=20).tolist() == [word << 20]


@pytest.mark.parametrize("build, message", [
    (lambda: MaxPool((2,), (1, 1)),
     "kernel must be a tuple of 2 integers of 1 or more, not (2,)"),
    (lambda: MaxPool((2, 2), (0, 1)),
     "stride must be a tuple of 2 integers of 1 or more, not (0, 1)"),
    (lambda: MaxPool((2, 2), (1, 1), (0, 0)),
     "padding must be a tuple of 4 integers of 0 or more, not (0, 0)"),
    (lambda: MaxPool((3, 2), (1, 1), (2, 1, 0, 2)),
     "padding must be less than the kernel, (3, 2), on each side, not (2, 1, 0, 2)"),
    (lambda: AveragePool((1 << 10, 1 << 9), (1, 1)),
     "kernel must have at most 262144 elements, not (1024, 512)"),
    (lambda: AveragePool((2, 2), (1, 1), (0, 0, 0, 0), 1),
     "count_padding must be true or false, not 1"),
    (lambda: AveragePool((2, 2), (1, 1), (0, 0, 1, 1), True, (1, 2)),
     "uncounted must be within the padding at the bottom and the right, (1, 1), not (1, 2)"),
    (lambda: MaxPool((2, 2), (1, 1)).shape((4, 4)),
     "operand must have 3 dimensions, not shape (4, 4)"),
    (lambda: MaxPool((3, 5), (1, 1), (0, 0, 1, 0)).shape((1, 2, 4)),
     "kernel must fit the padded image, but (3, 5) does not fit (3, 4)"),
    (lambda: AveragePool((1 << 18, 1), (1 << 18, 1), (262000, 0, 262000, 0)).shape((1, 64, 2048)),
     "padded image must have at most 67108864 elements, not shape (1, 524064, 2048): use a smaller "
     "input"),
    (lambda: Mean(()), "axes must be one or more in ascending order, not ()"),
    (lambda: Mean((1, 0)), "axes must be one or more in ascending order, not (1, 0)"),
    (lambda: Mean((-1,)), "axes must be a tuple of integers of 0 or more, not (-1,)"),
    (lambda: Mean((0,), None), "keep must be true or false, not None"),
    (lambda: Mean((2,)).shape((3, 4)), "operand must have an axis 2, not shape (3, 4)"),
    (lambda: Mean((0,)).shape((1 << 19,)),
     "mean must be of at most 262144 elements, not 524288"),
    (lambda: Mean((0,)).words(np.ones((1, 2), int), fracs=[0], frac=21),
     "result must have at most 20 fraction bits, 20 more than an operand, not 21: choose a "
     "coarser format"),
])
def test_fields_operands_and_formats_are_checked(build, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        build()
