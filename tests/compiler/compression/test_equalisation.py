import numpy as np
import pytest
from scipy.sparse import csc_array

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.equalisation import equalise, find_factors
from eie_compiler.compression.fidelity import measure_fidelity
from eie_compiler.model import Model, ModelLayer
from eie_hdl.config import EIEConfig

X = np.random.default_rng(8).normal(size=(200, 12))


def model_of(factors, *, relu=True, sparse=False):
    """Three layers, of which the second has rows and columns scaled without effect."""
    rng = np.random.default_rng(9)
    weights = [rng.normal(size=shape) for shape in ((16, 12), (10, 16), (3, 10))]
    weights[0] *= factors[:, None]
    weights[1] /= factors
    biases = [rng.normal(size=16) * factors, rng.normal(size=10), None]
    return Model(tuple(ModelLayer(name, csc_array(weight) if sparse else weight, bias,
                                  relu and name != "c")
                       for name, weight, bias in zip("abc", weights, biases)))


WILD = 10 ** np.random.default_rng(10).uniform(-2, 2, 16)


def error(model, network):
    """Relative error of the results."""
    expected = model(X)
    return np.abs(decompress(network)(X) - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_results_do_not_change(relu, sparse):
    model = model_of(WILD, relu=relu, sparse=sparse)
    changed = equalise(model, 15)
    np.testing.assert_allclose(changed(X), model(X), rtol=1e-12)
    before, after = (abs(m.layers[0].weight).max(axis=1) for m in (model, changed))
    before, after = (np.asarray(m.toarray() if sparse else m) for m in (before, after))
    assert before.max() / before.min() > 1000
    assert after.max() / after.min() < 8
    ratio = after / before
    assert (ratio == 2.0 ** np.round(np.log2(ratio))).all()


def test_rows_and_columns_of_several_magnitudes_share_a_codebook():
    model, even = model_of(WILD), model_of(np.ones(16))
    np.testing.assert_allclose(model(X), even(X))
    assert error(model, compress(model)) < 2 * error(even, compress(even)) < 0.3


def test_layers_without_folded_scales_stay_unchanged():
    even = model_of(np.ones(16))
    assert all(one is other for one, other in zip(equalise(even, 15).layers, even.layers))


def test_shared_weights_stay_unchanged():
    model = decompress(compress(model_of(np.ones(16)), v_width=3))
    first = ModelLayer("a", model.layers[0].weight.toarray() * WILD[:, None], relu=True)
    model = Model((first, *model.layers[1:]))
    assert all(one is other for one, other in zip(equalise(model, 15).layers, model.layers))


def test_rows_that_are_never_active_are_left_out():
    model = model_of(np.where(np.arange(16) == 4, 1e-6, 1))    # its columns are 1e6
    active = [np.arange(16) != 4, np.ones(10, bool), np.ones(3, bool)]
    assert equalise(model, 15, active).layers[0] is model.layers[0]
    assert equalise(model, 15).layers[0] is not model.layers[0]


def test_samples_keep_unused_columns_out_of_a_codebook():
    model = model_of(np.ones(16))
    weight, bias = model.layers[0].weight.copy(), model.layers[0].bias.copy()
    after = model.layers[1].weight.copy()
    bias[4], after[:, 4] = -1000, 1000 * after[:, 4]    # as normalisation scales a dead unit
    dead = Model((ModelLayer("a", weight, bias, True), ModelLayer("b", after, relu=True),
                  model.layers[2]))
    assert error(dead, compress(dead, calibration=X)) < 0.2
    assert error(dead, compress(dead)) > 0.2


@pytest.mark.parametrize("factors", [WILD, np.ones(16)])
@pytest.mark.parametrize("density", [1, 0.4])
def test_factors_are_found_again(factors, density):
    model = model_of(factors)
    changed = equalise(model, 15)
    expected = [np.abs(after.weight).max(axis=1) / np.abs(before.weight).max(axis=1)
                for before, after in zip(model.layers[:1], changed.layers)]
    found = find_factors(model, compress(model, density=density))
    np.testing.assert_array_equal(found[0], expected[0])
    assert all((each == 1).all() for each in found[1:])


def test_errors_of_layers_are_free_of_the_factors():
    model, even = model_of(WILD), model_of(np.ones(16))
    errors = [[row["error"] for row in measure_fidelity(
        one, compress(one, calibration=X), EIEConfig(), X)["layers"]] for one in (model, even)]
    np.testing.assert_allclose(errors[0], errors[1], rtol=1)
    assert max(errors[0]) < 0.2
