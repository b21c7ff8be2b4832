"""Root mean square errors of the vectors of a network, batch by batch."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LayerErrors"]

Vectors = Sequence[NDArray[np.float64]]


class LayerErrors:
    """Sums of squares of the input and the results of each layer, by number of the vector.

    Parameters
    ----------
    factors : sequence of float64 n_rows
        Factors of the results of each layer of the model in the network; empty if all are 1.
    """

    def __init__(self, factors: Vectors = ()) -> None:
        self._factors = [np.ones(1), *factors]    # none for the input
        self._squares: defaultdict[tuple[str, int], float] = defaultdict(float)

    def add(self, model: Vectors, shared: Vectors, machine: Vectors) -> None:
        """Count a batch: vectors of the model, of the shared weights in floating point, and of the
        machine."""
        for number, (dense, ideal, fixed) in enumerate(zip(model, shared, machine, strict=True)):
            if number < len(self._factors):
                dense = dense * self._factors[number]
            for name, values in (("model", dense), ("shared", ideal), ("error", fixed - dense),
                                 ("rounding", fixed - ideal)):
                self._squares[name, number] += float((values ** 2).sum())

    def error(self, number: int) -> float | None:
        """Error against the model, relative to it; None if the model computes only zeros."""
        return self._ratio("error", "model", number)

    def rounding_error(self, number: int) -> float | None:
        """Error against the shared weights in floating point: what the arithmetic alone costs."""
        return self._ratio("rounding", "shared", number)

    def _ratio(self, part: str, whole: str, number: int) -> float | None:
        power = self._squares[whole, number]
        return (self._squares[part, number] / power) ** 0.5 if power else None
