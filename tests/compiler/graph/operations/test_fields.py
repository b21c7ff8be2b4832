import re

import numpy as np
import pytest

from eie_compiler.graph.operation import GraphError
from eie_compiler.graph.operations.fields import (
    broadcast,
    check_constant,
    check_integer,
    check_integers,
    check_number,
    check_size,
    expand,
    only,
)


def test_valid_fields_pass():
    check_integer("n", 0, 0)
    check_integers("n", (), 1)
    check_integers("n", (2, 3), 1, length=2)
    check_number("x", -1)
    check_number("x", np.float64(0.5))
    check_number("x", -1 << 53)
    check_number("x", float("-inf"), finite=False)
    check_constant("x", np.array(0.5))
    check_constant("x", np.zeros((0, 2)))
    assert check_size([2, 3]) == (2, 3)
    assert only([(2, 3)], rank=2) == (2, 3)
    assert broadcast((3, 1), (4,), ()) == (3, 4)


def test_axes_are_inserted_after_the_batch():
    assert expand(np.zeros((5, 3)), 3).shape == (5, 1, 1, 3)
    assert expand(np.zeros((0, 3)), 1).shape == (0, 3)


@pytest.mark.parametrize("check, message", [
    (lambda: check_integer("n", 1 << 31, 0), "n must be an integer of 0 or more, not 2147483648"),
    (lambda: check_integer("n", np.int64(1), 0),
     f"n must be an integer of 0 or more, not {np.int64(1)!r}"),
    (lambda: check_integers("n", (1, None), 0),
     "n must be a tuple of integers of 0 or more, not (1, None)"),
    (lambda: check_number("x", 1j), "x must be a finite number, not 1j"),
    (lambda: check_size((1 << 40,)), "result must have at most 67108864 elements, not shape "
                                     "(1099511627776,): use a smaller input"),
    (lambda: check_number("x", -10 ** 400), "x must be at most 2 ** 53 if it is an integer, not "
     f"-1{'0' * 38}: write it with a decimal point"),
    (lambda: check_number("x", float("inf")), "x must be a finite number, not inf"),
    (lambda: check_number("x", float("nan"), finite=False), "x must be a number, not nan"),
    (lambda: check_size([1] * 9), "result must have at most 8 dimensions, not 9"),
    (lambda: check_size([1 << 20] * 2, what="image"), "image must have at most 67108864 elements, "
     "not shape (1048576, 1048576): use a smaller input"),
    (lambda: only([]), "there must be one operand, not 0"),
    (lambda: broadcast((2,), (3,)),
     "operands must have shapes that broadcast together, not (2,) and (3,)"),
])
def test_invalid_fields_are_refused(check, message):
    with pytest.raises(GraphError, match=f"^{re.escape(message)}$"):
        check()
