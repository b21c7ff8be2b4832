"""`eie_compiler.lowering.loop_geometry`: joined rows of maps, and strips along a row."""

import numpy as np
import pytest

from eie_compiler.lowering.loop_geometry import join_rows, list_strips, map_width
from eie_compiler.patches import Patches


@pytest.mark.parametrize("patches, expected", [
    (Patches((1, 5, 5), (3, 3)), [1, 2, 3, 4]),
    (Patches((1, 9, 9), (5, 5)), [1, 2, 3, 4, 5, 8]),
    (Patches((1, 3, 3)), [1, 2, 3, 4, 5, 8, 9, 16]),
    (Patches((1, 1, 40), (1, 3)), [1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16])])
def test_strips_to_choose_from_are_powers_of_two_and_divisions_of_a_row(patches, expected):
    assert list_strips(patches) == expected


@pytest.mark.parametrize("patches, width", [
    (Patches((3, 5, 9)), 45),
    (Patches((3, 5, 9), stride=(1, 2)), 5),
    (Patches((3, 5, 9), kernel=(2, 9), stride=(1, 4)), 4),       # kernels of whole rows
    (Patches((3, 5, 9), kernel=(5, 9)), 1),
    (Patches((3, 5, 9), kernel=(2, 9), padding=(0, 0, 1, 0)), 1),
    (Patches((3, 5, 9), kernel=(2, 8)), 2),
    (Patches((3, 1, 9), kernel=(1, 3)), 7),
])
def test_rows_are_joined_if_no_kernel_is_in_parts_of_several(patches, width):
    assert map_width(patches) == width
    joined = join_rows(patches)
    assert joined.shape == patches.shape or joined.shape == (3, 1, 45)
    # Patches have the same elements in the same order.
    images = np.arange(np.prod(patches.shape)).reshape(1, *patches.shape)
    np.testing.assert_array_equal(joined.cut(images.reshape(1, *joined.shape)),
                                  patches.cut(images))
