"""Sizes and strides in C: the elements of NumPy's views."""

import itertools
import re

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_driver.c_elements import broadcast_strides, elements, strides_of


def read(text):
    """Read the initialiser of a struct: sizes, and the strides of two tensors."""
    arrays = [[int(number) for number in numbers.split(", ")]
              for numbers in re.findall(r"\[\]\){([^}]*)}", text)]
    assert len(arrays) == 3
    assert {len(array) for array in arrays} == {int(text[1:text.index(",")])}
    return arrays


def places(sizes, strides):
    return [int(np.dot(at, strides)) for at in itertools.product(*map(range, sizes))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_axes_of_a_transpose_are_joined_where_they_can_be(order):
    shape = (2, 1, 3, 4)
    view = np.arange(24).reshape(shape).transpose(order)
    strides = tuple(strides_of(shape)[axis] for axis in order)
    sizes, one, other = read(elements(view.shape, strides, strides_of(view.shape)))
    assert places(sizes, one) == view.ravel().tolist()
    assert places(sizes, other) == list(range(24))
    if order == (0, 1, 2, 3):
        assert (sizes, one, other) == ([24], [1], [1])


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (3, 4), (2, 1, 1), (2, 3, 4)])
def test_tensors_are_broadcast_as_by_numpy(shape):
    tensor = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    result = (2, 3, 4)
    sizes, one, _ = read(elements(result, broadcast_strides(shape, result), strides_of(result)))
    assert places(sizes, one) == np.broadcast_to(tensor, result).ravel().tolist()


def test_one_element_has_one_axis():
    assert elements((1, 1), (0, 0), (1, 1)) == (
        "{1, (const size_t[]){1}, {(const ptrdiff_t[]){0}, (const ptrdiff_t[]){0}}}")


def test_axes_that_cannot_be_joined_are_at_most_eight():
    shape = (2,) * 9
    with pytest.raises(GraphError, match="^operation must have at most 8 axes that cannot be "
                                         "joined in C, not 9: divide it into several$"):
        elements(shape, strides_of(shape)[::-1], strides_of(shape))
    assert read(elements(shape, strides_of(shape), strides_of(shape)))[0] == [512]
