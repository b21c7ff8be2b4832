import re

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array

from eie_compiler.model import Model, ModelError, ModelLayer

WEIGHT = np.array([[1.0, -2, 0], [0, 0.5, 3]])


@pytest.mark.parametrize("make", [np.asarray, csc_array, coo_array])
def test_layers_are_computed_one_after_another(make):
    model = Model((ModelLayer("a", make(WEIGHT), np.array([0.5, -1]), relu=True),
                   ModelLayer("b", make(np.array([[2.0, 1]])))))
    x = np.array([[1.0, 2, 3], [3, 1, -1]])
    hidden = np.array([[0, 9], [1.5, 0]])    # without ReLU: -2.5, 9 and 1.5, -3.5
    np.testing.assert_array_equal(model.layers[0](x), hidden)
    np.testing.assert_array_equal(model(x), [[9], [3]])
    assert (model.layers[0].n_rows, model.layers[0].n_cols) == (2, 3)


def test_entries_stored_twice_are_added_in_a_copy():
    stored = csc_array((np.array([1.0, 2, 4]), np.array([1, 0, 1]), np.array([0, 3])), shape=(2, 1))
    layer = ModelLayer("a", stored)
    assert layer.weight.indices.tolist() == [0, 1] and layer.weight.data.tolist() == [2, 5]
    assert stored.data.tolist() == [1, 2, 4]


def test_numbers_become_float64_and_a_missing_bias_zeros():
    layer = ModelLayer("a", WEIGHT.astype(np.float16))
    assert layer.weight.dtype == layer.bias.dtype == np.float64
    assert layer.bias.tolist() == [0, 0]


@pytest.mark.parametrize("weight, bias, message", [
    (np.ones((2, 3), int), None, "layer 'a': weight must be a matrix of floating-point numbers, "
                                 "not int64 of shape (2, 3)"),
    (np.ones(3), None, "layer 'a': weight must be a matrix of floating-point numbers, not float64 "
                       "of shape (3,)"),
    ([[1.0]], None, "layer 'a': weight must be a matrix of floating-point numbers, not list of "
                    "shape ()"),
    (WEIGHT, np.ones(3), "layer 'a': bias must be floating-point numbers of shape (2,), not "
                         "float64 of shape (3,)"),
    (np.array([[1, np.inf]]), None, "layer 'a': weight and bias must be finite"),
    (WEIGHT, np.array([0, np.nan]), "layer 'a': weight and bias must be finite"),
])
def test_an_invalid_layer_is_refused(weight, bias, message):
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        ModelLayer("a", weight, bias)


@pytest.mark.parametrize("layers, message", [
    ((), "layers must be a tuple of one or more layers"),
    ([ModelLayer("a", WEIGHT)], "layers must be a tuple of one or more layers"),
    ((ModelLayer("a", WEIGHT), ModelLayer("b", WEIGHT)),
     "layer 'b': weight must have 2 columns, one for each row of 'a', not 3: "
     "layers are computed in the order given"),
])
def test_layers_that_do_not_fit_together_are_refused(layers, message):
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        Model(layers)
