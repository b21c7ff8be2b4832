"""Evenly spread places."""

import numpy as np
import pytest

from eie_compiler.sampling import spread


@pytest.mark.parametrize("n, most, expected", [
    (0, 3, []), (1, 3, [0]), (3, 3, [0, 1, 2]), (2, 3, [0, 1]), (9, 3, [0, 4, 8]),
    (10, 4, [0, 3, 6, 9]), (5, 1, [0])])
def test_places_are_evenly_spread_from_the_first_to_the_last(n, most, expected):
    chosen = spread(n, most)
    assert chosen.dtype == np.int64 and chosen.tolist() == expected
