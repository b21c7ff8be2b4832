"""Pruning by magnitude."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array

from ..errors import CompressError

__all__ = ["check_pruning", "density_of", "prune", "prune_by_deviation", "prune_by_effect"]


def prune(weight: NDArray[np.floating[Any]] | csc_array, *, density: float | None = None,
          quality: float | None = None, balance: int | None = None) -> csc_array:
    """Keep the weights of greatest magnitude: never zeros, and at least one nonzero.

    Parameters
    ----------
    weight : n_rows × n_cols
        Weights of a layer, dense or sparse.
    density : :class:`float`, above 0 to 1, optional
        Share of all weights, zeros included, that stays.
    quality : :class:`float`, 0 or more, optional
        Threshold: `quality` times the standard deviation of the nonzero weights (Han et al., NIPS
        2015). Exactly one of `density` and `quality` must be given.
    balance : :class:`int`, 1 or more, optional
        Number of PEs among which rows are interleaved: row `i` belongs to PE ``i mod balance``.
        Every PE with rows keeps the same number of weights, so that none waits for another (Han et
        al., ESE, FPGA 2017); a PE with fewer nonzeros keeps all of them.

    Returns
    -------
    csc_array of float64, n_rows × n_cols
        Remaining weights without stored zeros; row indices ascend in each column.

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
    before = np.concatenate([[0], np.cumsum(kept)])    # number of kept weights before each
    return csc_array((sparse.data[kept], sparse.indices[kept], before[sparse.indptr]),
                     shape=sparse.shape)


def prune_by_effect(weight: NDArray[np.floating[Any]] | csc_array, density: float,
                    inputs: NDArray[np.float64], balance: int | None = None) -> csc_array:
    """Keep the weights whose products with their inputs vary most (Sun et al., `Wanda
    <https://arxiv.org/abs/2306.11695>`_, 2023), as :func:`prune` keeps the greatest.

    Parameters
    ----------
    weight, density, balance
        As for :func:`prune`.
    inputs : float64 (count, n_cols)
        Samples of the inputs.
    """
    return prune_by_deviation(weight, density, inputs.std(axis=0), balance)


def prune_by_deviation(weight: NDArray[np.floating[Any]] | csc_array, density: float,
                       deviation: NDArray[np.float64], balance: int | None = None) -> csc_array:
    """Prune as :func:`prune_by_effect` does, by the standard deviation of each input (n_cols,)."""
    # Weights of inputs that never vary go first.
    deviation = np.maximum(deviation, 1e-9 * deviation.max()) if deviation.any() \
        else np.ones_like(deviation)
    sparse = _nonzeros(weight)
    kept = prune(sparse @ diags_array(deviation), density=density, balance=balance)
    # The weights themselves, to the last bit.
    data = sparse.data[np.searchsorted(_places(sparse), _places(kept))]
    return csc_array((data, kept.indices, kept.indptr), shape=kept.shape)


def density_of(weight: NDArray[np.floating[Any]] | csc_array, quality: float) -> float:
    """Compute the density, above 0, that a quality of :func:`prune` gives.

    Pruning in steps must go by this density: the standard deviation of the remaining weights grows
    with every step.
    """
    sparse = _nonzeros(weight)
    threshold = quality * sparse.data.std() if sparse.nnz else 0.0
    n_kept = np.count_nonzero(np.abs(sparse.data) >= threshold)
    return max(int(n_kept), 1) / (sparse.shape[0] * sparse.shape[1])


def _places(sparse: csc_array) -> NDArray[np.int64]:
    """Number of each element, column by column."""
    columns = np.repeat(np.arange(sparse.shape[1]), np.diff(sparse.indptr))
    return columns * sparse.shape[0] + sparse.indices


def _nonzeros(weight: NDArray[np.floating[Any]] | csc_array) -> csc_array:
    """Sorted copy without stored zeros."""
    sparse = csc_array(weight, dtype=np.float64, copy=True)
    sparse.sum_duplicates()
    sparse.eliminate_zeros()
    return sparse


def _greatest(magnitude: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of the `count` greatest, or all if there are fewer."""
    if count >= len(magnitude):
        return np.arange(len(magnitude))
    return np.argpartition(magnitude, len(magnitude) - count)[len(magnitude) - count:]


def check_pruning(density: float | None, quality: float | None, balance: int | None = None
                  ) -> None:
    """Check that the options of :func:`prune` are in range; raise :class:`CompressError`."""
    if (density is None) == (quality is None):
        raise CompressError("exactly one of density and quality must be given")
    if density is not None and not 0 < density <= 1:
        raise CompressError(f"density must be above 0 and at most 1, not {density}")
    if quality is not None and not 0 <= quality < np.inf:
        raise CompressError(f"quality must be 0 or more and finite, not {quality}")
    if balance is not None and (type(balance) is not int or balance < 1):
        raise CompressError(f"balance must be a number of PEs, 1 or more, not {balance!r}")
