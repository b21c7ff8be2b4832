"""Selection and order of the layers of a file."""

import numpy as np
import pytest

from eie_compiler.frontends.common import FrontEndError
from eie_compiler.frontends.parts import Part, join_parts, require_layers

PARTS = {"a": Part(np.ones((3, 2)), np.ones(3)), "b": Part(np.ones((2, 3))),
         "c": Part(np.ones((2, 2)))}


@pytest.mark.parametrize("options, expected", [
    ({}, [("a", True), ("b", True), ("c", False)]),
    ({"layers": ["c", "a"]}, [("c", True), ("a", False)]),
    ({"relu": [False, False, True]}, [("a", False), ("b", False), ("c", True)]),
])
def test_layers_and_relus_are_those_asked_for(options, expected):
    model = join_parts(PARTS, **options)
    assert [(layer.name, layer.relu) for layer in model.layers] == expected


@pytest.mark.parametrize("options, message", [
    ({"relu": [True]}, "^relu must have one for each of 3 layers, not 1$"),
    ({"layers": ["a", "c"]}, "^layer 'c': must have 3 inputs, the results of 'a', not 2: weights "
                             "must be n_out × n_in, so store the transposes if these are n_in × "
                             "n_out, as of Keras, or name the layers in order of computation with "
                             "layers=NAMES$"),
    ({"layers": ["b", "c", "b"]}, "^layer 'b': must have 2 inputs, the results of 'c', not 3: name "
                                  "the layers of a chain in order of computation with "
                                  "layers=NAMES$"),
])
def test_layers_and_relus_that_do_not_match_are_refused(options, message):
    with pytest.raises(FrontEndError, match=message):
        join_parts(PARTS, **options)


def test_the_first_unknown_layer_is_named():
    with pytest.raises(FrontEndError, match="^layers must be among a, b, c, not d$"):
        require_layers(["a", "d", "e"], PARTS)


def test_a_matrix_that_fits_its_bias_only_when_transposed_is_refused():
    with pytest.raises(FrontEndError, match=(
            "^layer 'a': weight must be n_out × n_in with n_out = 2, as many as its bias has, not "
            "3 × 2: store its transpose$")):
        join_parts({"a": Part(np.ones((3, 2)), np.ones(2))})
