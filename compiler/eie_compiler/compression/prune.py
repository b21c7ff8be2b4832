"""Pruning by magnitude: the weights that are worth a place in the memories."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..errors import CompressError

__all__ = ["check_pruning", "density_of", "prune"]


def prune(weight: NDArray[np.floating[Any]] | csc_array, *, density: float | None = None,
          quality: float | None = None, balance: int | None = None) -> csc_array:
    """Keep the weights that are greatest by magnitude. Zeros never stay, one other always does.

    Parameters
    ----------
    weight : n_rows × n_cols
        Weights of a layer, dense or sparse.
    density : :class:`float`, above 0 to 1, or None
        Share of all weights, zeros among them, that stays.
    quality : :class:`float`, 0 or more, or None
        Weights stay from `quality` times the standard deviation of the nonzero ones up (Han et
        al., NIPS 2015). Just one of `density` and `quality` is given.
    balance : :class:`int`, 1 or more, or None
        Processing elements among which rows are interleaved: row `i` belongs to PE ``i mod
        balance``. What stays is shared out equally among those that have rows, so that none has to
        wait for another (Han et al., ESE, FPGA 2017): each keeps the same number of its weights.
        Only one that has fewer nonzeros keeps fewer, namely all.

    Returns
    -------
    csc_array of float64, n_rows × n_cols
        What stays, without stored zeros; rows ascend in each column.

    Raises
    ------
    CompressError
        If an option is out of range.
    """
    check_pruning(density, quality, balance)
    sparse = _nonzeros(weight)
    if quality is not None:
        density = density_of(sparse, quality)
    magnitude = np.abs(sparse.data)
    n_kept = min(round(density * sparse.shape[0] * sparse.shape[1]), sparse.nnz)
    kept = np.zeros(sparse.nnz, bool)
    if balance is None:
        kept[_greatest(magnitude, max(n_kept, 1))] = True
    else:
        n_owners = min(balance, sparse.shape[0])    # PEs that have rows
        owner = sparse.indices % n_owners
        ends = np.cumsum(np.bincount(owner, minlength=n_owners))
        for mine in np.split(np.argsort(owner, kind="stable"), ends[:-1]):
            kept[mine[_greatest(magnitude[mine], max(round(n_kept / n_owners), 1))]] = True
    before = np.concatenate([[0], np.cumsum(kept)])    # kept ones in front of each
    return csc_array((sparse.data[kept], sparse.indices[kept], before[sparse.indptr]),
                     shape=sparse.shape)


def density_of(weight: NDArray[np.floating[Any]] | csc_array, quality: float) -> float:
    """Share of the weights of a layer that a quality leaves, as for :func:`prune`; above 0.

    It is what pruning in steps must go by: of the weights that are left, the standard deviation is
    greater after each of them.
    """
    sparse = _nonzeros(weight)
    threshold = quality * sparse.data.std() if sparse.nnz else 0.0
    n_kept = np.count_nonzero(np.abs(sparse.data) >= threshold)
    return max(int(n_kept), 1) / (sparse.shape[0] * sparse.shape[1])


def _nonzeros(weight: NDArray[np.floating[Any]] | csc_array) -> csc_array:
    """A copy without stored zeros, in order."""
    sparse = csc_array(weight, dtype=np.float64, copy=True)
    sparse.sum_duplicates()
    sparse.eliminate_zeros()
    return sparse


def _greatest(magnitude: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of the `count` greatest, or of all if there are fewer."""
    if count >= len(magnitude):
        return np.arange(len(magnitude))
    return np.argpartition(magnitude, len(magnitude) - count)[len(magnitude) - count:]


def check_pruning(density: float | None, quality: float | None, balance: int | None = None
                  ) -> None:
    """Raise :class:`CompressError` if an option of :func:`prune` is out of range."""
    if (density is None) == (quality is None):
        raise CompressError("density or quality must be given, and not both")
    if density is not None and not 0 < density <= 1:
        raise CompressError(f"density must be above 0 and at most 1, not {density}")
    if quality is not None and not 0 <= quality < np.inf:
        raise CompressError(f"quality must be 0 or more and finite, not {quality}")
    if balance is not None and (type(balance) is not int or balance < 1):
        raise CompressError(f"balance must be a number of PEs, 1 or more, not {balance!r}")
