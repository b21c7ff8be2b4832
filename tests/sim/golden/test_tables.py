"""`eie_sim.golden.tables`, against the operations of graphs, for every word."""

import numpy as np
import pytest

from eie_compiler.graph.operations import Sigmoid, Tanh
from eie_hdl.format import Table
from eie_hdl.numeric import limits
from eie_sim.golden.tables import apply_table


@pytest.mark.parametrize("width", range(6, 19))
@pytest.mark.parametrize("table, operation", [(Table.SIGMOID, Sigmoid()), (Table.TANH, Tanh())])
def test_functions_are_those_of_graphs(table, operation, width):
    low, high = limits(width)
    words = np.arange(low, high + 1)
    expected = operation.words(words, fracs=[width - 5], frac=width - 2)
    np.testing.assert_array_equal(apply_table(table.value, words, width), expected)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("width", range(19, 25))
@pytest.mark.parametrize("table, operation", [(Table.SIGMOID, Sigmoid()), (Table.TANH, Tanh())])
def test_functions_of_wide_words_are_those_of_graphs(table, operation, width, seed):
    low, high = limits(width)
    words = np.random.default_rng(seed).integers(low, high + 1, 1 << 17)
    words[:512] = np.arange(-256, 256)
    words[512:514] = low, high
    expected = operation.words(words, fracs=[width - 5], frac=width - 2)
    np.testing.assert_array_equal(apply_table(table.value, words, width), expected)


def test_no_function_leaves_words_as_they_are():
    words = np.arange(-8, 8)
    np.testing.assert_array_equal(apply_table(Table.NONE.value, words, 16), words)


def test_values_at_hand():
    """Of 16 bits: operands with 11 fraction bits, results with 14."""
    words = np.array([0, 1 << 11, -(1 << 11), 32767, -32768])
    one = round(np.tanh(1) * 2 ** 14)
    assert apply_table(Table.TANH.value, words, 16).tolist() == [0, one, -one, 1 << 14, -(1 << 14)]
    half = round(2 ** 14 / (1 + np.exp(-1)))
    assert apply_table(Table.SIGMOID.value, words, 16).tolist() \
        == [1 << 13, half, (1 << 14) - half, 1 << 14, 0]
