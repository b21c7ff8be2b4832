import re

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array

from eie_compiler.compression.prune import density_of, prune, prune_by_effect
from eie_compiler.errors import CompressError


@pytest.fixture
def dense():
    return np.random.default_rng(31).normal(size=(20, 30))


def per_pe(weight, n_pe):
    return np.bincount(weight.indices % n_pe, minlength=n_pe).tolist()


def test_density_keeps_the_greatest_magnitudes(dense):
    kept = prune(dense, density=0.1).toarray()
    assert np.count_nonzero(kept) == 60
    np.testing.assert_array_equal(kept[kept != 0], dense[kept != 0])
    assert np.abs(dense[kept != 0]).min() > np.abs(dense[kept == 0]).max()


@pytest.mark.parametrize("quality", [0.0, 0.5, 1.5])
def test_quality_is_a_threshold_in_standard_deviations_of_the_nonzeros(dense, quality):
    dense[:10] = 0
    kept = prune(dense, quality=quality).toarray()
    threshold = quality * dense[10:].std()
    np.testing.assert_array_equal(kept, np.where(np.abs(dense) >= threshold, dense, 0))


@pytest.mark.parametrize("kind", [csc_array, csr_array])
@pytest.mark.parametrize("options", [{"density": 0.2}, {"quality": 1.0},
                                     {"density": 0.2, "balance": 3}])
def test_sparse_weights_are_pruned_as_dense_ones(dense, kind, options):
    dense[dense > 1] = 0
    expected = prune(dense, **options)
    sparse = kind(dense)
    assert (prune(sparse, **options) != expected).nnz == 0
    np.testing.assert_array_equal(sparse.toarray(), dense)    # and are left as they were


def test_kept_weights_are_sorted_and_include_no_zero(dense):
    dense[3] = 0
    sparse = csc_array(dense)
    sparse.data[:7] = 0
    kept = prune(sparse, density=1.0)
    assert kept.nnz == np.count_nonzero(sparse.data) == np.count_nonzero(kept.data)
    columns = np.repeat(np.arange(30), np.diff(kept.indptr))
    np.testing.assert_array_equal(np.lexsort((kept.indices, columns)), np.arange(kept.nnz))


@pytest.mark.parametrize("options", [{"density": 1.0}, {"density": 0.001}, {"quality": 0.0},
                                     {"quality": 9.0}])
def test_zeros_are_always_pruned_and_the_greatest_weight_is_kept(options):
    dense = np.zeros((10, 10), np.float32)
    dense[3, 4], dense[2, 2] = -2, 0.5
    kept = prune(dense, **options)
    assert kept.toarray()[3, 4] == -2
    assert kept.nnz <= 2
    assert kept.dtype == np.float64


def test_a_layer_of_zeros_stays_empty():
    assert prune(np.zeros((4, 5)), density=0.5).nnz == 0
    assert prune(np.zeros((4, 5)), quality=1.0, balance=2).nnz == 0


@pytest.mark.parametrize("balance", [1, 3, 8, 20])
def test_balance_gives_all_pes_the_same_number(dense, balance):
    kept = prune(dense, density=0.3, balance=balance)
    share = round(180 / balance)
    assert per_pe(kept, balance) == [share] * balance
    for pe in range(balance):
        mine, before = np.abs(kept.toarray()[pe::balance]), np.abs(dense[pe::balance])
        assert before[mine > 0].min() > before[mine == 0].max()


def test_balance_shares_out_what_quality_leaves(dense):
    dense[0::4] *= 3    # without balance, PE 0 would keep most
    unbalanced = prune(dense, quality=1.0)
    assert per_pe(unbalanced, 4)[0] > 0.5 * unbalanced.nnz
    assert per_pe(prune(dense, quality=1.0, balance=4), 4) == [round(unbalanced.nnz / 4)] * 4


def test_balance_leaves_all_to_a_pe_that_has_less_than_its_share(dense):
    dense[2::4, 3:] = 0    # PE 2 has 15 nonzeros left
    dense[3::4] = 0
    assert per_pe(prune(dense, density=0.1, balance=4), 4) == [15, 15, 15, 0]
    assert per_pe(prune(dense, density=0.2, balance=4), 4) == [30, 30, 15, 0]


def test_balance_alone_cuts_off_what_is_above_the_mean(dense):
    dense[2::4, 3:] = 0    # 150, 150, 15 and 150 nonzeros
    assert per_pe(prune(dense, density=1.0, balance=4), 4) == [116, 116, 15, 116]


def test_balance_leaves_out_pes_without_rows(dense):
    assert per_pe(prune(dense, density=0.5, balance=32), 32) == [15] * 20 + [0] * 12


def test_balance_takes_any_number_of_pes(dense):
    assert (prune(dense, density=0.5, balance=10 ** 30) != prune(dense, density=0.5, balance=20)
            ).nnz == 0


@pytest.mark.parametrize("quality, kept", [(0.0, 300), (1.0, None), (99.0, 1)])
def test_the_density_of_a_quality_is_what_it_leaves(dense, quality, kept):
    dense[10:] = 0
    left = prune(dense, quality=quality)
    assert kept in (None, left.nnz)
    assert round(density_of(dense, quality) * 600) == left.nnz
    assert (prune(dense, density=density_of(dense, quality)) != left).nnz == 0


@pytest.mark.parametrize("options, message", [
    ({}, "exactly one of density and quality must be given"),
    ({"density": 0.5, "quality": 1.0}, "exactly one of density and quality must be given"),
    ({"density": 0.0}, "density must be above 0 and at most 1, not 0.0"),
    ({"density": 1.01}, "density must be above 0 and at most 1, not 1.01"),
    ({"density": float("nan")}, "density must be above 0 and at most 1, not nan"),
    ({"quality": -1.0}, "quality must be 0 or more and finite, not -1.0"),
    ({"quality": float("inf")}, "quality must be 0 or more and finite, not inf"),
    ({"density": 0.5, "balance": 0}, "balance must be a number of PEs, 1 or more, not 0"),
    ({"density": 0.5, "balance": 2.0}, "balance must be a number of PEs, 1 or more, not 2.0"),
])
def test_wrong_options_are_refused(dense, options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        prune(dense, **options)


@pytest.mark.parametrize("kind", [np.asarray, csc_array])
def test_weights_whose_products_vary_most_are_kept(kind):
    rng = np.random.default_rng(8)
    weight, deviation = rng.normal(size=(8, 5)), np.array([0, 1e-3, 1, 10, 100])
    inputs = rng.normal(size=(1000, 5)) * deviation + 7
    kept = prune_by_effect(kind(weight), 0.4, inputs).toarray()
    effects = np.abs(weight) * inputs.std(axis=0)
    expected = effects >= np.sort(effects.ravel())[-16]
    np.testing.assert_array_equal(kept, np.where(expected, weight, 0))


def test_inputs_that_never_vary_lose_no_weights_without_need():
    weight = np.random.default_rng(8).normal(size=(3, 4))
    np.testing.assert_array_equal(prune_by_effect(weight, 1.0, np.ones((9, 4))).toarray(), weight)
    inputs = np.random.default_rng(9).normal(size=(9, 4)) * [1, 0, 1, 0]
    kept = prune_by_effect(weight, 0.75, inputs).toarray()
    assert np.count_nonzero(kept) == 9
    assert kept[:, [0, 2]].all()
