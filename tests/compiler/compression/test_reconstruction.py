import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.compression import reconstruction
from eie_compiler.compression.prune import prune
from eie_compiler.compression.reconstruction import reconstruct_layer
from eie_compiler.compression.weight_sharing import share_weights

RNG = np.random.default_rng(3)
WEIGHT = RNG.normal(size=(20, 30))
#: Ten numbers decide thirty inputs.
INPUTS = RNG.normal(size=(500, 10)) @ RNG.normal(size=(10, 30)) + RNG.normal(size=30)


def share(weight, density=1.0, n_shared=7):
    kept = prune(weight, density=density)
    codebook, codes = share_weights(kept.data, n_shared)
    return codebook, csc_array((codes, kept.indices, kept.indptr), shape=kept.shape)


def error(codebook, codes):
    """Variance of the errors of the results, relative to that of the results."""
    change = INPUTS @ (codebook[codes.toarray()] - WEIGHT).T
    return (change.var(axis=0).sum() / (INPUTS @ WEIGHT.T).var(axis=0).sum())


@pytest.mark.parametrize("density", [1.0, 0.4])
def test_results_have_less_than_half_the_error(density):
    codebook, codes = share(WEIGHT, density)
    better, chosen = reconstruct_layer(WEIGHT, codebook, codes, INPUTS)
    assert error(better, chosen) < 0.5 * error(codebook, codes)
    assert better.shape == codebook.shape
    assert better[0] == 0
    assert chosen.nnz <= codes.nnz
    assert not chosen.toarray()[codes.toarray() == 0].any()    # what is pruned stays so


def test_a_sparse_matrix_gives_the_same_as_a_dense_one():
    start = share(WEIGHT)
    dense, sparse = (reconstruct_layer(weight, *start, INPUTS)
                     for weight in (WEIGHT, csc_array(WEIGHT)))
    np.testing.assert_array_equal(dense[0], sparse[0])
    np.testing.assert_array_equal(dense[1].toarray(), sparse[1].toarray())


def test_codes_alone_are_chosen_without_a_fit():
    start = share(WEIGHT)
    codebook, codes = reconstruct_layer(WEIGHT, *start, INPUTS, fit=False)
    np.testing.assert_array_equal(codebook, start[0])
    fitted = reconstruct_layer(WEIGHT, *start, INPUTS)
    assert error(*fitted) < error(codebook, codes) < 0.6 * error(*start)


def test_no_single_change_of_a_code_lowers_the_error():
    codebook, codes = reconstruct_layer(WEIGHT, *share(WEIGHT), INPUTS)
    numbers, least = codes.toarray(), error(codebook, codes)
    for at in np.argwhere(numbers)[::37]:
        for code in range(8):
            other = numbers.copy()
            other[tuple(at)] = code
            # The damping and the last fit of the values decide a little, too.
            assert error(codebook, csc_array(other)) > 0.97 * least


def test_weights_of_inputs_that_never_vary_stay_close():
    start = share(WEIGHT)
    far, near = (((codebook[codes.toarray()] - WEIGHT) ** 2).sum() for codebook, codes in (
        start, reconstruct_layer(WEIGHT, *start, np.ones((4, 30)))))
    assert near <= far


def test_a_large_layer_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(reconstruction, "_MAX_PRODUCTS", 20 * 30 ** 2 - 1)
    codebook, codes = share(WEIGHT)
    assert reconstruct_layer(WEIGHT, codebook, codes, INPUTS) == (codebook, codes)
