"""Masks of elements: each result depends on the elements that its links name, and on no others."""

import numpy as np
import pytest

from eie_compiler.graph.operations import (
    OPERATIONS,
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    LeakyRelu,
    MaxPool,
    Mean,
    Pad,
    Quantise,
    Reshape,
    Reverse,
    Slice,
    Transpose,
)
from eie_compiler.lowering.element_masks import along, fill, link, select, shape_of
from support import operations
from support.graphs import Sum

CASES = [
    (Add(), [(3, 2, 4), (2, 1)]), (Concat(1), [(3, 2), (3, 4)]), (Clip(0.0, 1.0), [(3, 2)]),
    (Affine(np.array([[2.0], [1.0], [3.0]]), 0.5), [(3, 2)]), (Reshape((4, 3)), [(2, 6)]),
    (Quantise(np.array([[2.0], [9.0], [5.0]]), -9, 9), [(3, 2)]),
    (LeakyRelu(np.array([0.1, 0.2])), [(3, 2)]),
    (Transpose((1, 0)), [(2, 3)]), (Reverse(0), [(3, 2)]),
    (Slice(0, 1, 6, 2), [(6, 2)]), (Pad((1, 0), (0, 2)), [(2, 3)]),
    (Mean((0,)), [(3, 4)]), (Mean((1, 2), True), [(2, 3, 4)]),
]
POOLS = [(MaxPool((2, 2), (1, 1), (1, 0, 0, 0)), [(3, 3, 4)]), (AveragePool((2, 2), (2, 2)),
                                                                [(2, 4, 4)])]

#: Operations of which no element can be removed: a new one is to be linked, or listed here.
OPAQUE: set[str] = set()


def test_each_operation_is_linked_or_opaque():
    linked = {type(operation).__name__ for operation, shapes in operations.CASES
              if link(operation, shapes) is not None}
    assert linked == set(OPERATIONS) - OPAQUE


@pytest.mark.parametrize("operation, shapes", CASES + POOLS)
def test_results_depend_on_the_elements_that_links_name(operation, shapes):
    links = link(operation, shapes)
    for number, shape in enumerate(shapes):
        for at in np.ndindex(shape):
            operands = [np.zeros((1, *one)) for one in shapes]
            operands[number][0][at] = np.nan
            depends = np.isnan(operation.real(*operands)[0])
            one = np.zeros(shape, bool)
            one[at] = True
            found = links[number].forward(one) & ~_padding(operation, shape)
            # Those of a window are found channel by channel.
            assert (depends <= found).all()
            assert (operation, shapes) in POOLS or (found == depends).all()
            assert links[number].backward(depends)[at] == depends.any()


def _padding(operation, shape):
    """Elements of a result that are of no operand."""
    return operation.real(np.ones((1, *shape)))[0] == 0 if isinstance(operation, Pad) else False


@pytest.mark.parametrize("operation, shapes", CASES + POOLS)
def test_a_selected_operation_computes_the_elements_that_remain(operation, shapes):
    rng = np.random.default_rng(1)
    links = link(operation, shapes)
    for axis in range(len(shapes[0])):
        masks = [np.zeros(shape, bool) for shape in shapes]
        result = np.zeros(operation.shape(*shapes), bool)
        np.moveaxis(masks[0], axis, 0)[-1:] = True
        for one in masks:    # no shape has zeros
            one.ravel()[-1] = True
        for _ in range(4):    # what depends on each other
            for number, one in enumerate(links):
                result = fill(result | one.forward(masks[number]))
                masks[number] = fill(masks[number] | one.backward(result))
        if (selected := select(operation, masks[0], result)) is None:
            continue
        operands = [rng.normal(size=(2, *shape)) for shape in shapes]
        taken = [one[:, mask].reshape(2, *shape_of(mask)) for one, mask in zip(operands, masks)]
        np.testing.assert_allclose(
            selected.real(*taken), operation.real(*operands)[:, result].reshape(
                2, *shape_of(result)))


def test_operations_that_repeat_elements_or_are_not_known_have_no_links():
    assert link(Affine(np.ones((3, 1)), 0.0), [(2,)]) is None
    assert link(Sum(), [(2,), (2,)]) is None


def test_a_slice_of_uneven_elements_cannot_be_selected():
    kept = np.array([True, True, True, False, True])
    assert select(Slice(0, 0, 5, 2), kept, kept[::2]) is None
    assert select(Slice(0, 0, 5, 4), kept, kept[::4]) == Slice(0, 0, 4, 3)


def test_constants_are_selected_with_their_channels():
    kept = fill(np.array([True, False, True])[:, np.newaxis] & np.ones(2, bool))
    slopes = select(LeakyRelu(np.array([[1.0], [2.0], [3.0]])), kept, kept).slope
    np.testing.assert_array_equal(slopes, [[1.0], [3.0]])


def test_a_mask_is_filled_to_rows_of_each_axis():
    mask = np.zeros((3, 4), bool)
    mask[0, 1] = mask[2, 3] = True
    filled = fill(mask)
    assert filled.tolist() == [[False, True] * 2, [False] * 4, [False, True] * 2]
    assert shape_of(filled) == (2, 2)
    assert along(filled, 1).tolist() == [False, True, False, True]
    assert fill(np.array(True)) == np.array(True)
