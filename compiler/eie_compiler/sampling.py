"""Choice of some places of many, and division of many among several."""

import itertools

import numpy as np
from numpy.typing import NDArray

__all__ = ["divide", "spread", "whole_sequences"]


def spread(n: int, most: int, length: int = 1) -> NDArray[np.int64]:
    """Choose up to `most` of `n` places, evenly spread, the first and the last among them.

    A single one of several is the first. Places in sequences of `length` are chosen as whole
    sequences, at least one if there is any.
    """
    n_sequences = n // length
    first = np.linspace(0, n_sequences - 1, min(n_sequences, max(1, most // length)))
    return whole_sequences(first.astype(np.int64), length)


def whole_sequences(sequences: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return the numbers of all places of sequences of `length`, given by their numbers."""
    return (sequences[:, np.newaxis] * length + np.arange(length)).ravel()


def divide(n: int, parts: int, length: int = 1) -> list[slice]:
    """Divide `n` places into parts of successive ones; the last part is never smaller.

    Raises
    ------
    ValueError
        If the places are not whole sequences of `length`, which are not divided.
    """
    if n % length:
        raise ValueError(f"n must be a multiple of {length}, not {n}")
    ends = np.linspace(0, n // length, parts + 1).astype(np.int64) * length
    return [slice(first, last) for first, last in itertools.pairwise(ends.tolist())]
