from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError, rescale, rescale_error


@pytest.mark.parametrize("to", [-60, -3, 0, 4, 9, 24])
def test_rescale_rounds_half_up(to):
    words = np.arange(-40, 41)
    expected = [(Fraction(int(word), 1 << 4) * Fraction(2) ** to + Fraction(1, 2)).__floor__()
                for word in words]
    np.testing.assert_array_equal(rescale(words, 4, to), expected)
    errors = abs(np.array(expected) * 2.0 ** -to - words / 16)
    assert errors.max() <= rescale_error(4, to) <= 2.0 ** -(to + 1)


def test_rescale_limits_the_fraction_bits_that_it_adds():
    with pytest.raises(GraphError, match="^result must have at most 24 fraction bits, 20 more than "
                                         "an operand, not 25: choose a coarser format$"):
        rescale(np.ones(3, np.int64), 4, 25)


def test_rescale_from_the_finest_to_the_coarsest_format_leaves_zeros():
    assert rescale(np.array([-1 << 23, (1 << 23) - 1]), 64, -64).tolist() == [0, 0]
