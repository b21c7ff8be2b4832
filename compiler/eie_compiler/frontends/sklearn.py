"""Front end for perceptrons of scikit-learn."""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..model import Model
from .chain import Chain
from .common import FrontEndError, at

__all__ = ["from_sklearn"]


def from_sklearn(estimator: Any) -> Model:
    """Read a perceptron, or a pipeline of scalers and a perceptron.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        Fitted, with activation ``relu`` or ``identity``. A regressor must have no function after
        the last layer, unlike one with the loss ``poisson``.

    Returns
    -------
    :class:`~..model.Model`
        Model of the scores before the softmax or the logistic function, which keep their order:
        the greatest gives the class. With two classes there is one score, positive for the second
        class.

    Raises
    ------
    FrontEndError
        If the estimator is unsupported or not fitted.
    """
    chain = Chain(choose="pass the part of it that can be read")
    steps = list(estimator.named_steps.items()) if isinstance(estimator, Pipeline) \
        else [(type(estimator).__name__, estimator)]
    for number, (name, step) in enumerate(steps, 1):
        with at(f"step {name!r}"):
            is_last = number == len(steps)
            kinds: tuple[type, ...] = (MLPClassifier, MLPRegressor) if is_last else tuple(_SCALERS)
            if not isinstance(step, kinds):
                raise FrontEndError(f"must be {' or '.join(kind.__name__ for kind in kinds)}, not "
                                    f"{type(step).__name__}")
            try:
                check_is_fitted(step)
            except ValueError as error:
                raise FrontEndError("must be fitted") from error
            if is_last:
                _perceptron(chain, step)
            else:
                scale = next(_SCALERS[kind] for kind in _SCALERS if isinstance(step, kind))
                scale(chain, step)
    return chain.model()


def _standard(chain: Chain, scaler: Any) -> None:
    if scaler.with_mean:
        chain.arithmetic("-", scaler.mean_)
    if scaler.with_std:
        chain.arithmetic("/", scaler.scale_)


def _min_max(chain: Chain, scaler: Any) -> None:
    if scaler.clip:
        raise FrontEndError("clip must be false: clip the inputs before, and fit without it")
    chain.affine(scaler.scale_, scaler.min_)


def _robust(chain: Chain, scaler: Any) -> None:
    if scaler.with_centering:
        chain.arithmetic("-", scaler.center_)
    if scaler.with_scaling:
        chain.arithmetic("/", scaler.scale_)


_SCALERS = {StandardScaler: _standard, MinMaxScaler: _min_max, RobustScaler: _robust,
            MaxAbsScaler: lambda chain, scaler: chain.arithmetic("/", scaler.scale_)}


def _perceptron(chain: Chain, estimator: Any) -> None:
    if estimator.activation not in ("relu", "identity"):
        raise FrontEndError(f"activation must be relu or identity, not {estimator.activation}")
    if isinstance(estimator, MLPRegressor) and estimator.out_activation_ != "identity":
        raise FrontEndError("out_activation_ of a regressor must be identity, not "
                            f"{estimator.out_activation_} of loss={estimator.loss!r}: fit it with "
                            f"loss='squared_error'")
    n = len(estimator.coefs_)
    for number, (weight, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_), 1):
        chain.linear(f"layer{number}", np.ascontiguousarray(weight.T), bias)
        if number < n and estimator.activation == "relu":
            chain.relu()
