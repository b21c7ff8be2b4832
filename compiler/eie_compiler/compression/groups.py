"""Groups of convolutions, between which their matrices have zeros that are no weights."""

import math
from typing import Any

from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..patches import Patches

__all__ = ["count_groups"]


def count_groups(weight: NDArray[Any] | csc_array, patches: Patches | None) -> int:
    """Count the groups of the convolution that a matrix computes; 1 if it is none.

    Parameters
    ----------
    weight : n_rows × n_cols
        Matrix, dense or sparse.
    patches : :class:`~..patches.Patches`, optional
        Patches that it is applied to.
    """
    if patches is None:
        return 1
    n_rows, channels = weight.shape[0], patches.shape[0]
    rows, columns = weight.nonzero()
    inputs = columns // (patches.n_inputs // channels)
    most = math.gcd(n_rows, channels)
    return next(count for count in range(most, 0, -1) if not most % count and (
        rows * count // n_rows == inputs * count // channels).all())
