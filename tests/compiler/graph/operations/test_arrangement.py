import re

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.arrangement import Concat, Pad, Reshape, Slice, Transpose
from support.operations import exactly, random_words


@pytest.mark.parametrize("operation, shape, expected", [
    (Reshape((6,)), (2, 3), lambda x: x.reshape(4, 6)),
    (Reshape((3, 1, 2)), (6,), lambda x: x.reshape(4, 3, 1, 2)),
    (Transpose((1, 2, 0)), (2, 3, 5), lambda x: np.moveaxis(x, 1, 3)),
    (Transpose(()), (), lambda x: x),
    (Slice(0, 1, 3), (5, 2), lambda x: x[:, 1:3]),
    (Slice(1, 0, 5, 2), (2, 5), lambda x: x[:, :, ::2]),
    (Pad((0, 1), (2, 0)), (2, 3), lambda x: np.stack(
        [np.vstack([np.hstack([np.zeros((2, 1)), one]), np.zeros((2, 4))]) for one in x])),
])
def test_moves_numbers_and_words_alike(operation, shape, expected):
    x = np.random.default_rng(1).integers(-100, 100, (4, *shape))
    assert operation.shape(shape) == expected(x).shape[1:]
    np.testing.assert_array_equal(operation.real(x.astype(float)), expected(x))
    np.testing.assert_array_equal(operation.words(x, fracs=[3], frac=3), expected(x))
    assert operation.keeps_format
    assert operation.is_nonnegative(True)
    assert not operation.is_nonnegative(False)


def test_channels_are_shuffled_by_two_reshapes_and_a_transpose():
    x = np.arange(6).reshape(1, 6)
    for operation in (Reshape((2, 3)), Transpose((1, 0)), Reshape((6,))):
        x = operation.words(x, fracs=[0], frac=0)
    assert x.tolist() == [[0, 3, 1, 4, 2, 5]]


def test_concat_converts_each_operand_exactly():
    rng = np.random.default_rng(2)
    operation = Concat(1)
    tensors = [random_words(rng, (2, 3, n), 16) for n in (1, 4, 2)]
    assert operation.shape((3, 1), (3, 4), (3, 2)) == (3, 7)
    for fracs, frac in (([0, 3, -2], 1), ([64, 5, 5], 5), ([10, 12, 30], 30), ([64] * 3, -64)):
        found = operation.words(*tensors, fracs=fracs, frac=frac)
        expected = [exactly(lambda x: x, tensor, fracs=[one], frac=frac)
                    for tensor, one in zip(tensors, fracs)]
        np.testing.assert_array_equal(found, np.concatenate(expected, 2))
    np.testing.assert_array_equal(operation.real(*tensors), np.concatenate(tensors, 2))
    assert operation.is_nonnegative(True, True)
    assert not operation.is_nonnegative(True, False)


@pytest.mark.parametrize("build, message", [
    (lambda: Reshape([6]), "to must be a tuple of integers of 1 or more, not [6]"),
    (lambda: Reshape((-1, 2)), "to must be a tuple of integers of 1 or more, not (-1, 2)"),
    (lambda: Transpose((0, 2)), "order must have each axis once, not be (0, 2)"),
    (lambda: Slice(-1, 0, 1), "axis must be an integer of 0 or more, not -1"),
    (lambda: Slice(0, -2, 1), "start must be an integer of 0 or more, not -2"),
    (lambda: Slice(0, 2, 2), "stop must be an integer of 3 or more, not 2"),
    (lambda: Slice(0, 0, 2, 0), "step must be an integer of 1 or more, not 0"),
    (lambda: Slice(0, True, 2), "start must be an integer of 0 or more, not True"),
    (lambda: Pad((1, -1), (0, 0)),
     "before must be a tuple of integers of 0 or more, not (1, -1)"),
    (lambda: Pad((1, 1), (0,)), "after must be a tuple of 2 integers of 0 or more, not (0,)"),
    (lambda: Concat(1.0), "axis must be an integer of 0 or more, not 1.0"),
    (lambda: Reshape((6,)).shape((5,)),
     "operand must have as many elements as (6,), not shape (5,)"),
    (lambda: Reshape((6,)).shape((6,), (6,)), "there must be one operand, not 2"),
    (lambda: Transpose((1, 0)).shape((5,)), "operand must have 2 dimensions, not shape (5,)"),
    (lambda: Slice(1, 0, 4).shape((5, 3)),
     "operand must have 4 or more elements along axis 1, not shape (5, 3)"),
    (lambda: Slice(1, 0, 4).shape((5,)),
     "operand must have 4 or more elements along axis 1, not shape (5,)"),
    (lambda: Pad((1,), (1 << 26,)).shape((3,)),
     "result must have at most 67108864 elements, not shape (67108868,): use a smaller input"),
    (lambda: Concat(0).shape(), "operands must have one shape but for axis 0, not none"),
    (lambda: Concat(0).shape((2, 3), (2, 4)),
     "operands must have one shape but for axis 0, not (2, 3), (2, 4)"),
    (lambda: Concat(1).shape((2,), (2,)),
     "operands must have one shape but for axis 1, not (2,), (2,)"),
    (lambda: Concat(1).shape((2,), (2, 5)),
     "operands must have one shape but for axis 1, not (2,), (2, 5)"),
])
def test_fields_and_operands_are_checked(build, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        build()
