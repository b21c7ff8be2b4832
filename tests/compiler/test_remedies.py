"""Remedies for inputs of a wrong type or shape."""

import numpy as np
import pytest

from eie_compiler.remedies import advise, same_order


@pytest.mark.parametrize("shape, expected, remedy", [
    ((5, 8, 8), (64,), "reshape them to (n, 64), with x.reshape(-1, 64)"),
    ((8, 8), (64,), "reshape them to (n, 64), with x.reshape(-1, 64)"),
    ((5, 64), (1, 8, 8), "reshape them to (n, 1, 8, 8), with x.reshape(-1, 1, 8, 8)"),
    ((5, 8, 8), (1, 8, 8), "reshape them to (n, 1, 8, 8), with x.reshape(-1, 1, 8, 8)"),
    ((5, 4, 6, 3), (3, 4, 6), "move the channels forward, with x.transpose(0, 3, 1, 2)"),
    ((64, 5), (64,), "transpose them, with x.T"),
])
def test_the_remedy_makes_inputs_of_the_shape(shape, expected, remedy):
    x = np.arange(np.prod(shape)).reshape(shape)
    assert advise(x, expected) == f": {remedy}"
    made = eval(remedy[remedy.index("x."):], {"x": x})
    assert made.shape[1:] == expected and sorted(made.ravel()) == sorted(x.ravel())


def test_types_without_numbers_are_converted():
    x = np.ones((2, 3), bool)
    for words, kind in ((False, "float32"), (True, "int64")):
        assert advise(x, (3,), words=words) == f": convert them with x.astype(np.{kind})"


@pytest.mark.parametrize("x", [
    np.ones((5, 7)), np.ones((0, 8, 8)), np.array(1.0), np.full((5, 8, 8), "a"), np.ones((5, 64)),
])
def test_no_remedy_is_guessed(x):
    assert advise(x, (64,)) == ""


def test_a_transposed_image_is_not_reshaped():
    assert advise(np.ones((3, 4, 5)), (3, 5, 4)) == advise(np.ones((2, 3, 4, 5)), (3, 5, 4)) == ""


@pytest.mark.parametrize("given, shape, same", [
    ((8, 8), (1, 8, 8), True), ((64,), (1, 8, 8), True), ((1, 8, 8), (64,), True),
    ((3, 4, 4), (4, 4, 3), False), ((8, 8), (8, 9), False)])
def test_axes_stay_where_their_lengths_do(given, shape, same):
    assert same_order(given, shape) == same
