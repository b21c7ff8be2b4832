"""Choice of some places of many."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread"]


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Choose up to `most` of `n` places, evenly spread, the first and the last among them.

    A single one of several is the first.
    """
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)
