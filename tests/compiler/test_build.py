"""Builds: words of inputs."""

import dataclasses

import numpy as np
import pytest

from eie_compiler.build import Build
from eie_compiler.vectors import VectorError
from support.saved_builds import compile_small


def test_words_of_inputs_that_are_never_negative_are_checked():
    build: Build = dataclasses.replace(compile_small(), nonnegative_inputs=True)
    assert build.to_words(np.arange(9)[None], words=True).values.tolist() == [[*range(9)]]
    with pytest.raises(VectorError, match=r"^Inputs must not be negative, as the network was "
                                          r"compressed for inputs that never are, but element "
                                          r"\[0, 3\] is -1: "):
        build.to_words(np.array([[0, 1, 2, -1, 4, 5, -6, 7, 8]]), words=True)
    words, saturated = build.to_words(np.array([[0, 1, 2, -1, 4, 5, -6, 7, 7.5]]))
    assert (words.min(), saturated.tolist()) == (0, [2])
