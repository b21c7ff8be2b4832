"""Perceptrons of scikit-learn."""

import warnings

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError

neural_network = pytest.importorskip("sklearn.neural_network")

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from eie_compiler.frontends.sklearn import from_sklearn  # noqa: E402

MLPClassifier, MLPRegressor = neural_network.MLPClassifier, neural_network.MLPRegressor
X = np.random.default_rng(0).normal(3, 2, (80, 5))
OPTIONS = {"hidden_layer_sizes": (9, 6), "max_iter": 5, "random_state": 0}


def fit(estimator, y):
    """Fit an estimator briefly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")    # it need not converge
        return estimator.fit(X, y)


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_a_regressor_computes_what_it_did(activation, n_outputs):
    y = X[:, :n_outputs] ** 2
    regressor = fit(MLPRegressor(activation=activation, **OPTIONS),
                    y.ravel() if n_outputs == 1 else y)
    model = from_sklearn(regressor)
    np.testing.assert_allclose(model(X).reshape(regressor.predict(X).shape), regressor.predict(X))
    assert [layer.relu for layer in model.layers] == [activation == "relu"] * 2 + [False]


def test_a_classifier_gives_its_scores():
    classifier = fit(MLPClassifier(**OPTIONS), np.arange(80) % 4)
    scores = np.exp(from_sklearn(classifier)(X))
    np.testing.assert_allclose(scores / scores.sum(axis=1, keepdims=True),
                               classifier.predict_proba(X))


def test_a_classifier_of_two_classes_gives_one_score():
    classifier = fit(MLPClassifier(**OPTIONS | {"max_iter": 100}), X[:, 0] > 3)
    score, = from_sklearn(classifier)(X).T
    assert (score > 0).tolist() == classifier.predict(X).tolist()
    assert len(set(score > 0)) == 2


@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_mean=False),
                                    StandardScaler(with_std=False), MinMaxScaler((-2, 3)),
                                    MaxAbsScaler(), RobustScaler(),
                                    RobustScaler(with_centering=False),
                                    RobustScaler(with_scaling=False)])
def test_scalers_before_a_perceptron_are_folded(scaler):
    pipeline = fit(make_pipeline(scaler, MLPRegressor(**OPTIONS)), X[:, 0])
    np.testing.assert_allclose(from_sklearn(pipeline)(X).ravel(), pipeline.predict(X))


@pytest.mark.parametrize("estimator, message", [
    (MLPClassifier(activation="tanh", **OPTIONS),
     "step 'MLPClassifier': activation must be relu or identity, not tanh"),
    (LogisticRegression(), "step 'LogisticRegression': must be MLPClassifier or MLPRegressor, not "
     "LogisticRegression"),
    (make_pipeline(Normalizer(), MLPClassifier(**OPTIONS)),
     "step 'normalizer': must be StandardScaler or MinMaxScaler or RobustScaler or MaxAbsScaler, "
     "not Normalizer"),
    (make_pipeline(MinMaxScaler(clip=True), MLPClassifier(**OPTIONS)),
     "step 'minmaxscaler': clip must be false: clip the inputs before, and fit without it"),
])
def test_other_estimators_are_refused(estimator, message):
    with pytest.raises(FrontEndError, match=f"^{message}$"):
        from_sklearn(fit(estimator, np.arange(80) % 2))


def test_a_function_after_the_last_layer_of_a_regressor_is_refused():
    regressor = fit(MLPRegressor(**OPTIONS), X[:, 0])
    regressor.out_activation_ = "exp"    # as with loss="poisson"
    with pytest.raises(FrontEndError, match="^step 'MLPRegressor': out_activation_ of a regressor "
                                            "must be identity, not exp of loss="):
        from_sklearn(regressor)


def test_an_estimator_must_be_fitted():
    with pytest.raises(FrontEndError, match="^step 'MLPClassifier': must be fitted$"):
        from_sklearn(MLPClassifier())
