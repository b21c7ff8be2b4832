import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.compression.groups import count_groups
from eie_compiler.patches import Patches

PATCHES = Patches((6, 5, 5), (2, 3))


@pytest.mark.parametrize("n_groups", [1, 2, 3, 6])
@pytest.mark.parametrize("kind", [np.asarray, csc_array])
def test_groups_are_those_of_rows_and_channels(n_groups, kind):
    ones = np.ones((12 // n_groups, 36 // n_groups))
    assert count_groups(kind(np.kron(np.eye(n_groups), ones)), PATCHES) == n_groups


def test_a_single_weight_between_groups_makes_them_one():
    weight = np.kron(np.eye(6), np.ones((2, 6)))
    weight[0, -1] = 1
    assert count_groups(weight, PATCHES) == 1


def test_matrices_of_vectors_have_no_groups():
    assert count_groups(np.eye(6), None) == 1
