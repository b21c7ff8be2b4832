from fractions import Fraction

import numpy as np
import pytest

from eie_compiler.graph.operation import rescale


@pytest.mark.parametrize("to", [-3, 0, 4, 9])
def test_rescale_rounds_half_up(to):
    words = np.arange(-40, 41)
    expected = [(Fraction(int(word), 1 << 4) * Fraction(2) ** to + Fraction(1, 2)).__floor__()
                for word in words]
    np.testing.assert_array_equal(rescale(words, 4, to), expected)
