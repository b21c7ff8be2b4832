import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from eie_compiler.compression.quantisers import KMEANS_INITS, QUANTISERS
from eie_compiler.compression.weight_sharing import share_weights
from eie_compiler.errors import CompressError


@pytest.fixture
def pruned():
    """Weights as after pruning: none small, few large."""
    values = np.random.default_rng(33).normal(size=20_000)
    return values[np.abs(values) > 1]


def error(values, codebook, codes):
    return ((values - codebook[codes]) ** 2).mean()


def start_alone(values, n_shared, start, monkeypatch, seed=0):
    monkeypatch.setattr("eie_compiler.compression.weight_sharing._MAX_ROUNDS", 0)
    return share_weights(values, n_shared, start, seed)


@pytest.mark.parametrize("start", KMEANS_INITS)
@pytest.mark.parametrize("n_shared", [3, 15, 255])
def test_shared_weights_are_the_means_of_their_members(pruned, start, n_shared):
    codebook, codes = share_weights(pruned, n_shared, start)
    assert codebook.shape == (n_shared + 1,)
    assert codebook[0] == 0
    assert codes.dtype == np.uint8
    assert codes.min() >= 1
    n_used = int(codes.max())
    assert (np.diff(codebook[1:n_used + 1]) > 0).all()
    assert (codebook[n_used + 1:] == 0).all()
    counts = np.bincount(codes)[1:]
    np.testing.assert_allclose(codebook[1:n_used + 1], np.bincount(codes, pruned)[1:] / counts)
    # Every value has the nearest shared value.
    nearest = np.abs(pruned[:, None] - codebook[1:n_used + 1]).min(axis=1)
    np.testing.assert_allclose(np.abs(pruned - codebook[codes]), nearest, atol=1e-12)


def test_a_linear_start_is_at_even_distances(monkeypatch):
    values = np.random.default_rng(34).uniform(-1, 3, 2000)
    codebook, _ = start_alone(values, 15, "linear", monkeypatch)
    np.testing.assert_allclose(codebook[1:], np.linspace(values.min(), values.max(), 15))


def test_a_density_start_gives_all_the_same_number(pruned, monkeypatch):
    codebook, _ = start_alone(pruned, 15, "density", monkeypatch)
    ranks = np.searchsorted(np.sort(pruned), codebook[1:])
    np.testing.assert_allclose(ranks, (np.arange(15) + 0.5) * len(pruned) / 15, atol=1)


def test_a_random_start_draws_weights_by_its_seed(pruned, monkeypatch):
    first, again, other = (start_alone(pruned, 15, "random", monkeypatch, seed)[0][1:]
                           for seed in (1, 1, 2))
    assert np.isin(first, pruned).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize("n_shared", [3, 15, 63])
def test_no_start_beats_the_exact_one(pruned, n_shared):
    least = error(pruned, *share_weights(pruned, n_shared, "exact"))
    for start in KMEANS_INITS:
        assert error(pruned, *share_weights(pruned, n_shared, start)) >= least * (1 - 1e-12)


def test_the_exact_start_of_many_values_is_nearly_exact(pruned, monkeypatch):
    exact = error(pruned, *share_weights(pruned, 15, "exact"))
    monkeypatch.setattr("eie_compiler.compression.weight_sharing._MAX_EXACT", 500)
    assert error(pruned, *share_weights(pruned, 15, "exact")) <= 1.01 * exact


def test_an_outlier_keeps_a_weight_of_its_own():
    values = np.append(np.linspace(-1, 1, 1000), 100.0)
    codebook, codes = share_weights(values, 7)
    assert codebook[codes[-1]] == 100
    assert np.count_nonzero(codes == codes[-1]) == 1


def test_unused_values_of_a_codebook_are_zero_and_last():
    values = np.append(np.linspace(1, 2, 1000), [5.0, 100.0])
    codebook, codes = share_weights(values, 15, "linear")
    assert codebook.tolist() == [0, pytest.approx(1.5), 5, 100, *[0] * 12]
    assert np.unique(codes).tolist() == [1, 2, 3]


@pytest.mark.parametrize("quantiser", QUANTISERS)
@pytest.mark.parametrize("start", KMEANS_INITS)
@given(values=st.lists(st.sampled_from([-2.5, -1.0, 0.5, 3.0]), max_size=20))
def test_few_distinct_values_are_kept_exactly(quantiser, start, values):
    values = np.array(values, np.float64)
    codebook, codes = share_weights(values, 7, start, quantiser=quantiser)
    np.testing.assert_array_equal(codebook[codes], values)
    assert codes.dtype == np.uint8


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(KMEANS_INITS)))
def test_sharing_what_is_shared_changes_nothing(seed, start):
    values = np.random.default_rng(seed).standard_cauchy(200)
    codebook, codes = share_weights(values, 15, start)
    again, kept = share_weights(codebook[codes], 15)
    np.testing.assert_array_equal(again[kept], codebook[codes])


@pytest.mark.parametrize("options, message", [
    ({"kmeans_init": "uniform"},
     "kmeans_init must be exact, linear, density or random, not 'uniform'"),
    ({"quantiser": "exact"}, "quantiser must be kmeans or uniform, not 'exact'")])
def test_another_name_is_refused(options, message):
    with pytest.raises(CompressError, match=f"^{re.escape(message)}$"):
        share_weights(np.ones(3), 7, **options)


@pytest.mark.parametrize("n_shared", [3, 15, 255])
def test_uniform_values_are_at_even_distances_and_the_nearest_is_taken(pruned, n_shared):
    codebook, codes = share_weights(pruned, n_shared, quantiser="uniform")
    grid = np.linspace(pruned.min(), pruned.max(), n_shared)
    assert set(codebook[1:codes.max() + 1]) <= set(grid)    # without those between -1 and 1
    distances = np.abs(pruned[:, None] - grid)
    np.testing.assert_allclose(np.abs(pruned - codebook[codes]), distances.min(axis=1))
    assert error(pruned, codebook, codes) > error(pruned, *share_weights(pruned, n_shared))


def test_importance_does_not_move_uniform_values(pruned):
    importance = np.random.default_rng(62).uniform(size=len(pruned))
    (plain, codes), (weighted, others) = (
        share_weights(pruned, 15, importance=each, quantiser="uniform")
        for each in (None, importance))
    np.testing.assert_array_equal(plain, weighted)
    np.testing.assert_array_equal(codes, others)


@pytest.mark.parametrize("kmeans_init", KMEANS_INITS)
def test_errors_count_by_their_importance(kmeans_init):
    rng = np.random.default_rng(60)
    values = rng.normal(size=2000)
    values[::10] *= 300
    importance = np.where(np.arange(2000) % 10, 1.0, 0)
    codebook, codes = share_weights(values, 15, kmeans_init, importance=importance)
    plain, plain_codes = share_weights(values, 15, kmeans_init)
    weighted, unweighted = (importance @ (book[found] - values) ** 2
                            for book, found in ((codebook, codes), (plain, plain_codes)))
    assert weighted < unweighted
    if kmeans_init == "exact":
        alone, alone_codes = share_weights(values[importance > 0], 15)
        best = ((alone[alone_codes] - values[importance > 0]) ** 2).sum()
        assert best <= weighted < 1.02 * best


def test_equal_importance_changes_little():
    values = np.random.default_rng(61).normal(size=3000)
    codebook, codes = share_weights(values, 15, importance=np.full(3000, 7.0))
    best, best_codes = share_weights(values, 15)
    assert ((codebook[codes] - values) ** 2).sum() \
        < 1.01 * ((best[best_codes] - values) ** 2).sum()
    none, none_codes = share_weights(values, 15, importance=np.zeros(3000))
    assert (none.tolist(), none_codes.tolist()) == (best.tolist(), best_codes.tolist())
