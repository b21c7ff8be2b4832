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


@pytest.mark.parametrize("steps, reset, expected", [
    (0, 0, [7, 7, 7, 7, 7]), (1, 2, [7, 7, 7, 7, 7]), (2, 3, [7, 10, 7, 10, 7])])
def test_only_the_first_vector_of_a_sequence_resets_the_states(steps, reset, expected):
    build = dataclasses.replace(compile_small(), first_descriptor=7, steps=steps, reset=reset)
    assert [build.descriptor(number) for number in range(5)] == expected
    assert build.sequence_length == max(1, steps)


def test_a_batch_of_a_program_with_states_must_be_whole_sequences():
    build = dataclasses.replace(compile_small(), steps=3)
    assert len(build.to_words(np.zeros((6, 9), np.int64)).values) == 6
    with pytest.raises(VectorError, match=(
            "^Batch must be whole sequences of 3 vectors, as the program keeps states from one to "
            "the next, not 7 vectors$")):
        build.to_words(np.zeros((7, 9), np.int64))
