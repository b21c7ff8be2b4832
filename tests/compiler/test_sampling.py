"""Evenly spread places, and shares of them."""

import numpy as np
import pytest

from eie_compiler.sampling import divide, spread


@pytest.mark.parametrize("n, most, expected", [
    (0, 3, []), (1, 3, [0]), (3, 3, [0, 1, 2]), (2, 3, [0, 1]), (9, 3, [0, 4, 8]),
    (10, 4, [0, 3, 6, 9]), (5, 1, [0])])
def test_places_are_evenly_spread_from_the_first_to_the_last(n, most, expected):
    chosen = spread(n, most)
    assert chosen.dtype == np.int64 and chosen.tolist() == expected


@pytest.mark.parametrize("n, most, length, expected", [
    (0, 6, 3, []), (3, 6, 3, [0, 1, 2]), (6, 1, 3, [0, 1, 2]),
    (15, 7, 3, [0, 1, 2, 12, 13, 14]), (8, 6, 2, [0, 1, 2, 3, 6, 7])])
def test_whole_sequences_are_chosen_of_places_that_have_them(n, most, length, expected):
    chosen = spread(n, most, length)
    assert chosen.dtype == np.int64 and chosen.tolist() == expected


@pytest.mark.parametrize("n, parts, length, expected", [
    (0, 2, 1, [0, 0]), (7, 2, 1, [3, 4]), (2, 4, 1, [0, 1, 0, 1]), (9, 2, 3, [3, 6]),
    (3, 2, 3, [0, 3])])
def test_places_are_divided_in_whole_sequences(n, parts, length, expected):
    shares = divide(n, parts, length)
    assert [share.stop - share.start for share in shares] == expected
    assert [place for share in shares for place in range(n)[share]] == [*range(n)]


def test_places_that_are_not_whole_sequences_are_not_divided():
    with pytest.raises(ValueError, match="^n must be a multiple of 3, not 7$"):
        divide(7, 2, 3)
