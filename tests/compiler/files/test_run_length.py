import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.sparse import csc_array

from eie_compiler.files.run_length import MAX_RUN_WIDTH, Entries, RunError, from_entries, to_entries
from eie_compiler.random_networks import random_codes


@settings(max_examples=50)
@given(n_rows=st.integers(1, 30), n_cols=st.integers(1, 30),
       density=st.sampled_from([0.0, 0.02, 0.3, 1.0]), seed=st.integers(0, 1 << 32))
def test_entries_give_the_matrix_back(n_rows, n_cols, density, seed):
    codes = csc_array(random_codes(np.random.default_rng(seed), n_rows, n_cols, density))
    entries = to_entries(codes)
    assert 1 <= entries.run_width <= MAX_RUN_WIDTH and entries.z.max(initial=0) \
        < 1 << entries.run_width
    again = from_entries(entries, codes.shape)
    for field in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(again, field), getattr(codes, field))
    assert again.dtype == np.uint8


def test_zeros_are_counted_row_by_row():
    codes = np.array([[0, 0, 1], [0, 0, 0], [2, 3, 0]], np.uint8)
    entries = to_entries(csc_array(codes))
    assert entries.run_width >= 2
    assert entries.v.tolist() == [1, 2, 3] and entries.z.tolist() == [2, 3, 0]


def test_a_run_that_is_too_long_is_padded():
    # 0 0 1 2 0×18 3, the paper's example with runs of four bits
    expected = np.zeros((1, 23), np.uint8)
    expected[0, [2, 3, 22]] = 1, 2, 3
    entries = Entries(np.array([1, 2, 0, 3], np.uint8), np.array([2, 0, 15, 2], np.uint16), 4)
    assert from_entries(entries, (1, 23)).toarray().tolist() == expected.tolist()


def test_the_longest_runs_are_padded():
    codes = np.zeros((3, 3000), np.uint8)
    codes[2, 2999] = 1
    entries = to_entries(csc_array(codes))
    assert entries.v.tolist()[-1] == 1 and not entries.v[:-1].any() and len(entries.v) > 1
    assert (entries.z[:-1] == (1 << entries.run_width) - 1).all()
    assert from_entries(entries, codes.shape).toarray().tolist() == codes.tolist()


@pytest.mark.parametrize("v, z, message", [
    ([0, 1], [2, 0], "runs[0] must be 3, the run of padding (code 0), not 2"),
    ([1, 0], [0, 3], "codes must not end with padding (code 0)"),
    ([1, 1, 1], [3, 3, 2], "runs must end within the 2 × 5 weights, not at weight 10"),
])
def test_entries_of_no_matrix_are_refused(v, z, message):
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        from_entries(Entries(np.array(v, np.uint8), np.array(z, np.uint16), 2), (2, 5))
