"""Weight sharing: k-means of the weights of a layer, in one dimension (Deep Compression, §3)."""

import kmeans1d
import numpy as np
from numpy.typing import NDArray

from ..errors import CompressError
from .kmeans_inits import START_NAMES

__all__ = ["STARTS", "check_sharing", "share_weights"]

#: Lloyd's iteration ends by itself; this only bounds it.
_MAX_ROUNDS = 1000

#: Values that are clustered exactly: with 255 centroids, a few seconds and 0.1 GB.
_MAX_EXACT = 1 << 14


def share_weights(values: NDArray[np.float64], n_shared: int, start: str = "exact", seed: int = 0
                  ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Replace values by the nearest of a few, which are the means of what they replace.

    In one dimension a cluster is a stretch of the sorted values, so that a round of k-means needs
    only the boundaries and a running sum.

    Parameters
    ----------
    values : float64
        Weights that are not zero; there may be none.
    n_shared : :class:`int`, 1 to 255
        Values to share. If there are no more distinct ones, they stay as they are.
    start : :class:`str`
        Where the centroids begin: ``exact``, where the squared error is least; ``linear``, at even
        distances from the least to the greatest weight; ``density``, so that each stands for the
        same number of weights; ``random``, at weights drawn with `seed`. The last three are those
        of the paper, of which it found linear best, since it keeps centroids for the few large
        weights. The exact one is found for every n-th of the sorted values if there are more
        than 16,384.
    seed : :class:`int`
        For a random start.

    Returns
    -------
    codebook : float64, n_shared + 1
        0, then the shared values in ascending order, then 0 where no code needs one.
    codes : uint8, like `values`
        Index of each value, 1 or more.

    Raises
    ------
    CompressError
        If there is no such start.
    """
    _check_start(start)
    codebook = np.zeros(n_shared + 1)
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    if len(distinct) <= n_shared:
        codebook[1:len(distinct) + 1] = distinct
        return codebook, (np.searchsorted(distinct, values) + 1).astype(np.uint8)
    centroids = _improve(ordered, STARTS[start](ordered, n_shared, seed))
    nearest = np.searchsorted(_between(centroids), values)
    # A centroid that began among no weights, as beside an outlier, may have no members at the end.
    used = np.bincount(nearest, minlength=n_shared) > 0
    codebook[1:np.count_nonzero(used) + 1] = centroids[used]
    return codebook, np.cumsum(used)[nearest].astype(np.uint8)


def check_sharing(v_width: int, start: str) -> None:
    """Raise :class:`CompressError` if there are no codes so wide, or no such start."""
    if type(v_width) is not int or not 2 <= v_width <= 8:
        raise CompressError(f"v_width must be an integer from 2 to 8, not {v_width!r}")
    _check_start(start)


def _check_start(start: str) -> None:
    if start not in STARTS:
        *most, last = STARTS
        raise CompressError(f"start must be {', '.join(most)} or {last}, not {start!r}")


def _exact(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    some = ordered[::-(-len(ordered) // _MAX_EXACT)]
    return np.sort(kmeans1d.cluster(some, n_shared).centroids)


def _linear(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return np.linspace(ordered[0], ordered[-1], n_shared)


def _density(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return ordered[((np.arange(n_shared) + 0.5) / n_shared * len(ordered)).astype(np.int64)]


def _random(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return np.sort(np.random.default_rng(seed).choice(ordered, n_shared, replace=False))


#: Centroids to start from, ascending, by name: of sorted values, their number and a seed.
STARTS = dict(zip(START_NAMES, (_exact, _linear, _density, _random), strict=True))


def _improve(ordered: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lloyd's iteration: each centroid to the mean of the values that it is nearest to."""
    running = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(_MAX_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(ordered, _between(centroids)), [len(ordered)]])
        sizes = np.diff(edges)
        means = np.diff(running[edges]) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, means, centroids)    # an empty cluster stays where it is
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _between(centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where one centroid ceases to be the nearest and the next begins."""
    return (centroids[1:] + centroids[:-1]) / 2
