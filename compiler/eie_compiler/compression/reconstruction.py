"""Shared weights that reproduce the results of a layer, not each weight alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

__all__ = ["reconstruct_layer"]

#: Most columns of a layer, and products of a sweep; larger layers keep the nearest values.
_MAX_COLUMNS = 1 << 12
_MAX_PRODUCTS = 1 << 32

#: Most sweeps over all weights; few change after the first.
_MAX_SWEEPS = 12

#: Damping by default, so that few samples decide little.
_DAMPING = 0.01

#: Least share of the error that a sweep must remove for another one.
_MIN_GAIN = 0.002

Floats = NDArray[np.float64]


def reconstruct_layer(weight: NDArray[np.float64] | csc_array, codebook: Floats,
                      codes: csc_array, inputs: Floats, *, fit: bool = True,
                      damping: float = _DAMPING) -> tuple[Floats, csc_array]:
    """Choose codes and shared values of least error of the results, after their bias is corrected.

    Errors of weights whose inputs are correlated cancel, those of pruned weights included. Weights
    take the best value in turn, given all others of their row; the values are then fitted to all
    results by least squares. Frantar et al., `Optimal Brain Compression
    <https://arxiv.org/abs/2208.11580>`_, 2022, do so for evenly spaced values.

    Parameters
    ----------
    weight : float64, n_rows × n_cols
        Weights to reproduce, dense or sparse.
    codebook : float64
        0, then the shared values to start from, then 0 for unused codes.
    codes : :class:`scipy.sparse.csc_array` of uint8, n_rows × n_cols
        Code of each weight that is kept, to start from.
    inputs : float64 (count, n_cols)
        Samples of the inputs.
    fit : :class:`bool`
        False to keep the shared values and to choose codes alone.
    damping : :class:`float`, above 0
        Share of the mean variance that is added to each input. More keeps each weight nearer to its
        value, for inputs unlike the samples.

    Returns
    -------
    codebook : float64
        As long as before.
    codes : :class:`scipy.sparse.csc_array` of uint8, n_rows × n_cols
        Without stored zeros: a weight may become zero.
    """
    n_rows, n_cols = weight.shape
    if n_cols > _MAX_COLUMNS or n_rows * n_cols ** 2 > _MAX_PRODUCTS:
        return codebook, codes
    covariance = np.cov(inputs, rowvar=False, bias=True).reshape(n_cols, n_cols)
    covariance[np.diag_indices(n_cols)] += damping * (np.trace(covariance) / n_cols or 1.0)
    dense = weight if isinstance(weight, np.ndarray) else weight.toarray()
    chosen = _Fit(dense, codebook, codes, covariance)
    error = chosen.error
    for _ in range(_MAX_SWEEPS):
        chosen.choose_codes()
        if fit:
            chosen.fit_values()
        chosen.update()
        if chosen.error > (1 - _MIN_GAIN) * error:
            break
        error = chosen.error
    return chosen.result(len(codebook))


class _Fit:
    """Weights of a layer while they are chosen.

    Parameters
    ----------
    weight : float64, n_rows × n_cols
        Weights to reproduce.
    codebook : float64
        Values to start from.
    codes : :class:`scipy.sparse.csc_array` of uint8, n_rows × n_cols
        Codes to start from.
    covariance : float64, n_cols × n_cols
        Of the inputs, positive definite.
    """

    def __init__(self, weight: Floats, codebook: Floats, codes: csc_array, covariance: Floats
                 ) -> None:
        self._weight, self._codes, self._covariance = weight, codes, covariance
        self._places = codes.indices, np.repeat(np.arange(codes.shape[1]), np.diff(codes.indptr))
        self._values = np.unique(codebook)    # ascending, with zero among them
        #: Number of the value of each weight that is kept.
        self._chosen = np.searchsorted(self._values, codebook[codes.data])
        self.update()

    def update(self) -> None:
        """Compute the error and its gradients for the present weights."""
        change = -self._weight
        change[self._places] += self._values[self._chosen]
        #: Derivative of the error for each weight, halved.
        self._gradients = change @ self._covariance
        self.error = float((change * self._gradients).sum())

    def choose_codes(self) -> None:
        """Choose the best value of each weight, column by column, given the others of its row."""
        boundaries = (self._values[1:] + self._values[:-1]) / 2
        for column, start, end in zip(range(self._weight.shape[1]), self._codes.indptr,
                                      self._codes.indptr[1:]):
            rows, present = self._codes.indices[start:end], self._values[self._chosen[start:end]]
            best = present - self._gradients[rows, column] / self._covariance[column, column]
            self._chosen[start:end] = np.searchsorted(boundaries, best)
            moved = self._values[self._chosen[start:end]] - present
            changed = moved != 0
            self._gradients[rows[changed]] += moved[changed, None] * self._covariance[column]

    def fit_values(self) -> None:
        """Fit the values to the results, for the codes that are chosen."""
        count = len(self._values)
        used = np.unique(self._chosen[self._values[self._chosen] != 0])
        squares, products = np.zeros((count, count)), np.zeros(count)
        for number in used:
            mine = self._chosen == number
            ones = csr_array((np.ones(np.count_nonzero(mine)),
                              (self._places[0][mine], self._places[1][mine])),
                             shape=self._weight.shape)
            effect = ones @ self._covariance
            squares[number] = np.bincount(self._chosen, effect[self._places], count)
            products[number] = (effect * self._weight).sum()
        self._values[used] = np.linalg.solve(squares[np.ix_(used, used)], products[used])
        order = np.argsort(self._values, kind="stable")
        self._chosen = np.argsort(order)[self._chosen]
        self._values = self._values[order]

    def result(self, length: int) -> tuple[Floats, csc_array]:
        """Codebook of some length, and codes."""
        found = self._values[self._chosen]
        used = np.unique(found[found != 0])
        codebook = np.zeros(length)
        codebook[1:len(used) + 1] = used
        numbers = np.where(found == 0, 0, np.searchsorted(used, found) + 1).astype(np.uint8)
        codes = csc_array((numbers, self._codes.indices, self._codes.indptr),
                          shape=self._codes.shape, copy=True)
        codes.eliminate_zeros()
        return codebook, codes
