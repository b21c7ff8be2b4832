"""Steps of the rows of a matrix of quantised weights."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ..graph.operation import Floats

__all__ = ["find_steps"]

#: Greatest magnitude of an integer: 8 bits without sign, with any zero point.
_MOST = 255

#: Greatest distance of a weight from a multiple of a step, in steps. Products of a scale and an
#: integer in single precision are within.
_TOLERANCE = 3e-5


def find_steps(weight: Any) -> Floats | None:
    """Find the step of each row of which all its weights are multiples, if there are any.

    Rows of quantised weights are integers of a few bits, times a scale that is not known. The
    integers found fill the range of those of the whole matrix: they are as great as they can be
    without one, of either sign, that is greater than all others need.

    Parameters
    ----------
    weight : float64 (n_rows, n_cols), dense or sparse
        Matrix.

    Returns
    -------
    float64 (n_rows,), or None
        Steps above 0, 1 of rows without weights. None if a row has no step with which its integers
        are at most 255.
    """
    rows = csr_array(weight)
    rows.eliminate_zeros()
    sizes = np.diff(rows.indptr)
    filled = np.flatnonzero(sizes)
    if not len(filled):
        return np.ones(len(sizes))
    starts = rows.indptr[:-1][filled]
    numbers = np.repeat(np.arange(len(filled)), sizes[filled])
    greatest = np.maximum.reduceat(np.abs(rows.data), starts)
    relative = rows.data / greatest[numbers]
    counts = np.zeros(len(filled), np.int64)    # greatest integer of each row
    open_rows = np.arange(len(filled))
    for count in range(1, _MOST + 1):
        inside = np.isin(numbers, open_rows)
        multiples = relative[inside] * count
        errors = np.abs(multiples - np.rint(multiples))
        worst = np.zeros(len(filled))
        np.maximum.at(worst, numbers[inside], errors)
        found = open_rows[worst[open_rows] <= _TOLERANCE]
        counts[found] = count
        open_rows = np.setdiff1d(open_rows, found, assume_unique=True)
        if not len(open_rows):
            break
    else:
        return None
    integers = np.rint(relative * counts[numbers])
    highest = np.maximum.reduceat(integers, starts)
    lowest = np.minimum.reduceat(integers, starts)
    factors = np.full(len(filled), np.inf)
    for ends in (np.maximum(highest, 0), np.maximum(-lowest, 0)):
        used = ends > 0
        factors[used] = np.minimum(factors[used], ends.max() // ends[used])
    steps = np.ones(len(sizes))
    steps[filled] = greatest / (counts * factors)
    return steps
