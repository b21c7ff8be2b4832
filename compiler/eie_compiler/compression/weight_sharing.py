"""Weight sharing by one-dimensional k-means (Deep Compression, section 3), or even spacing."""

import kmeans1d
import numpy as np
from numpy.typing import NDArray

from ..errors import CompressError
from .quantisers import KMEANS_INITS, QUANTISERS

__all__ = ["check_sharing", "share_weights"]

#: Maximum number of Lloyd's iterations; it converges sooner.
_MAX_ROUNDS = 1000

#: Steps of the running sum for each value, if there are few values.
_STEPS_PER_VALUE = 4

#: Maximum number of values clustered exactly: a few seconds and 0.1 GB with 255 centroids.
_MAX_EXACT = 1 << 14


def share_weights(values: NDArray[np.float64], n_shared: int, kmeans_init: str = "exact",
                  seed: int = 0, importance: NDArray[np.float64] | None = None, *,
                  quantiser: str = QUANTISERS[0]
                  ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Replace each value by the nearest of a few shared ones.

    By default they are the means of clusters, which k-means finds. In one dimension a cluster is a
    range of the sorted values, so an iteration needs only the boundaries and a running sum.

    Parameters
    ----------
    values : float64
        Nonzero weights; may be empty.
    n_shared : :class:`int`, 1 to 255
        Number of shared values. If there are no more distinct values, they stay unchanged.
    kmeans_init : :class:`str`
        Initial centroids: ``exact``, of least squared error; ``linear``, evenly spaced from the
        least to the greatest weight; ``density``, so that each represents the same number of
        weights; ``random``, weights drawn with `seed`. The last three are those of the paper, which
        found linear best because it keeps centroids for the few large weights. The exact ones are
        found for every n-th of the sorted values if there are more than 16,384; with `importance`,
        for values at even steps of its running sum.
    seed : :class:`int`
        Seed of the random initialisation.
    importance : float64, like `values`, optional
        Factor of the squared error of each value, 0 or more. None: all the same.
    quantiser : :class:`str`
        ``kmeans``; or ``uniform``, shared values evenly spaced from the least to the greatest
        weight, whatever `kmeans_init` and `importance` are.

    Returns
    -------
    codebook : float64, n_shared + 1
        0, then the shared values in ascending order, then 0 for unused codes.
    codes : uint8, like `values`
        Index of each value, 1 or more.

    Raises
    ------
    CompressError
        If the quantiser or the initialisation is unknown.
    """
    _check_names(quantiser, kmeans_init)
    codebook = np.zeros(n_shared + 1)
    ordered = np.sort(values)
    distinct = np.unique(ordered)
    if len(distinct) <= n_shared:
        codebook[1:len(distinct) + 1] = distinct
        return codebook, (np.searchsorted(distinct, values) + 1).astype(np.uint8)
    if quantiser == "uniform":
        centroids = _linear(ordered, n_shared, seed)
    else:
        centroids = _cluster(values, ordered, n_shared, kmeans_init, seed, importance)
    nearest = np.searchsorted(_boundaries(centroids), values)
    # A centroid far from all weights, as next to an outlier, may be without members.
    used = np.bincount(nearest, minlength=n_shared) > 0
    codebook[1:np.count_nonzero(used) + 1] = centroids[used]
    return codebook, np.cumsum(used)[nearest].astype(np.uint8)


def check_sharing(v_width: int, kmeans_init: str, quantiser: str = QUANTISERS[0]) -> None:
    """Check the options of weight sharing; raise :class:`CompressError`."""
    if type(v_width) is not int or not 2 <= v_width <= 8:
        raise CompressError(f"v_width must be an integer from 2 to 8, not {v_width!r}")
    _check_names(quantiser, kmeans_init)


def _check_names(quantiser: str, kmeans_init: str) -> None:
    for option, name, known in (("quantiser", quantiser, QUANTISERS),
                                ("kmeans_init", kmeans_init, KMEANS_INITS)):
        if name not in known:
            *most, last = known
            raise CompressError(f"{option} must be {', '.join(most)} or {last}, not {name!r}")


def _cluster(values: NDArray[np.float64], ordered: NDArray[np.float64], n_shared: int,
             kmeans_init: str, seed: int, importance: NDArray[np.float64] | None
             ) -> NDArray[np.float64]:
    """Find centroids by k-means; `ordered` are the sorted values."""
    centroids = _INITIALISERS[kmeans_init](ordered, n_shared, seed)
    if importance is None or not importance.any():
        return _iterate(ordered, np.ones(len(ordered)), centroids)
    factors = importance[np.argsort(values)]
    if kmeans_init == KMEANS_INITS[0]:
        centroids = _exact(_even_steps(ordered, factors), n_shared, seed)
    return _iterate(ordered, factors, centroids)


def _exact(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    subset = ordered[::-(-len(ordered) // _MAX_EXACT)]
    return np.sort(kmeans1d.cluster(subset, n_shared).centroids)


def _even_steps(ordered: NDArray[np.float64], factors: NDArray[np.float64]
                ) -> NDArray[np.float64]:
    """Values at even steps of the running sum of their factors, for which all are then 1."""
    running = np.cumsum(factors)
    count = min(_MAX_EXACT, _STEPS_PER_VALUE * len(ordered))
    return ordered[np.searchsorted(running, (np.arange(count) + 0.5) / count * running[-1])]


def _linear(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return np.linspace(ordered[0], ordered[-1], n_shared)


def _density(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return ordered[((np.arange(n_shared) + 0.5) / n_shared * len(ordered)).astype(np.int64)]


def _random(ordered: NDArray[np.float64], n_shared: int, seed: int) -> NDArray[np.float64]:
    return np.sort(np.random.default_rng(seed).choice(ordered, n_shared, replace=False))


#: Functions of the sorted values, the number of centroids and a seed to ascending centroids.
_INITIALISERS = dict(zip(KMEANS_INITS, (_exact, _linear, _density, _random), strict=True))


def _iterate(ordered: NDArray[np.float64], factors: NDArray[np.float64],
             centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move each centroid to the mean of the values nearest to it, until none moves (Lloyd)."""
    total = np.concatenate([[0.0], np.cumsum(factors)])
    running = np.concatenate([[0.0], np.cumsum(factors * ordered)])
    for _ in range(_MAX_ROUNDS):
        inner = np.searchsorted(ordered, _boundaries(centroids))
        edges = np.concatenate([[0], inner, [len(ordered)]])
        sizes = np.diff(total[edges])
        means = np.diff(running[edges]) / np.where(sizes > 0, sizes, 1)
        moved = np.where(sizes > 0, means, centroids)    # an empty cluster does not move
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _boundaries(centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boundaries between neighbouring centroids."""
    return (centroids[1:] + centroids[:-1]) / 2
