"""Constants before the first layer: folded, or kept as preprocessing.

The arithmetic of constants is that of `eie_compiler.frontends.assembly`.
"""

import re

import numpy as np
import pytest

from eie_compiler.frontends import FrontEndError
from eie_compiler.frontends.chain import Chain
from eie_compiler.frontends.geometry import Geometry

WEIGHT = np.random.default_rng(1).normal(size=(4, 3))
X = np.random.default_rng(2).normal(size=(9, 3))


def chain_of(*steps):
    """Model of arithmetic steps and a linear layer without bias."""
    chain = Chain(choose="choose")
    for operation, constant in steps:
        chain.arithmetic(operation, constant)
    chain.linear("a", WEIGHT)
    return chain.model()


def test_scales_that_differ_are_kept():
    model = chain_of(("-", [1, 2, 3]), ("/", [0.5, 4, -8]))
    assert model.preprocessing.offset.tolist() == [1, 2, 3]
    assert model.preprocessing.scale.tolist() == [2, 0.25, -0.125]
    assert model.layers[0].weight.tolist() == WEIGHT.tolist()
    assert not model.layers[0].bias.any()
    np.testing.assert_allclose(model(X), (X - [1, 2, 3]) / [0.5, 4, -8] @ WEIGHT.T)


def test_successive_steps_are_one():
    model = chain_of(("-", 5), ("*", [1, 2, 3]), ("+", 0.25), ("*", [1, 1, -0.5]), ("/", 2))
    np.testing.assert_allclose(
        model(X), (((X - 5) * [1, 2, 3] + 0.25) * [1, 1, -0.5] / 2) @ WEIGHT.T)
    assert model.layers[0].weight.tolist() == WEIGHT.tolist()


@pytest.mark.parametrize("steps", [[("-", [1, 2, 3])], [("*", 4), ("+", 1)], [("/", [2, 2, 2])],
                                   [("*", [1, 2, 4]), ("/", [1, 2, 4])]])
def test_one_scale_is_folded(steps):
    model = chain_of(*steps)
    assert model.preprocessing is None
    compute = {"-": np.subtract, "+": np.add, "*": np.multiply, "/": np.divide}
    x = X
    for operation, constant in steps:
        x = compute[operation](x, constant)
    np.testing.assert_allclose(model(X), x @ WEIGHT.T)


def test_large_shifts_are_kept():
    for shift, kept in ((16, False), (-16, False), (16.5, True), (-300, True)):
        model = chain_of(("*", 2), ("+", [0, shift, 1]))
        assert (model.preprocessing is not None) == kept
        np.testing.assert_allclose(model(X), (X * 2 + [0, shift, 1]) @ WEIGHT.T)
        if kept:
            assert model.preprocessing.scale.tolist() == [2, 2, 2]
            assert model.preprocessing.offset.tolist() == [0, -shift / 2, -0.5]


def test_an_input_times_zero_is_a_constant():
    model = chain_of(("*", [1, 0, 3]), ("+", [1, 2, 0]))
    assert model.preprocessing.scale.tolist() == [1, 1, 3]
    assert not model.layers[0].weight[:, 1].any()
    np.testing.assert_allclose(model(X), (X * [1, 0, 3] + [1, 2, 0]) @ WEIGHT.T)


def test_scales_of_channels_hold_for_all_their_pixels():
    mean, deviation = np.array([0.5, 0.4]), np.array([0.2, 0.3])
    chain = Chain(choose="choose", image=(2, 5, 6))
    chain.arithmetic("-", mean.reshape(2, 1, 1))
    chain.arithmetic("/", deviation.reshape(2, 1, 1))
    weight = np.random.default_rng(3).normal(size=(3, 8))
    chain.convolve("a", weight, Geometry.simple((2, 2)))
    model = chain.model()
    images = np.random.default_rng(4).uniform(size=(3, 2, 5, 6))
    scaled = (images - mean.reshape(2, 1, 1)) / deviation.reshape(2, 1, 1)
    np.testing.assert_allclose(model(model.patches.cut(images)),
                               model.patches.cut(scaled) @ weight.T)
    assert model.layers[0].weight.tolist() == weight.tolist()


def test_constants_must_be_finite():
    message = "constant scale and shift before the first layer must be finite"
    with pytest.raises(FrontEndError, match=f"^{re.escape(message)}$"):
        chain_of(("*", [1, np.inf, 1]))


def test_constants_after_a_relu_are_folded():
    chain = Chain(choose="choose")
    chain.linear("a", np.eye(3))
    chain.relu()
    chain.affine([1, 2, -3], [4, 5, 6])
    chain.linear("b", WEIGHT)
    np.testing.assert_allclose(chain.model()(X),
                               (np.maximum(X, 0) * [1, 2, -3] + [4, 5, 6]) @ WEIGHT.T)
    assert chain.model().preprocessing is None
