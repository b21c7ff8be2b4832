"""Squared error and accuracy of shared weights, by code width and k-means initialisation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.compress import compress
from eie_compiler.compression.decompress import decompress
from eie_compiler.compression.quantisers import KMEANS_INITS
from eie_compiler.files.untrusted_npz import read_arrays
from eie_compiler.model import Model

__all__ = ["DataError", "Digits", "Row", "V_WIDTHS", "measure_all", "read_digits",
           "summarise"]

#: Measured code widths in bits.
V_WIDTHS = (2, 3, 4, 5, 8)


class DataError(ValueError):
    """Test data that do not fit the model; the message says what they must be."""


class Digits(NamedTuple):
    """Test images, one per row with values in [0, 1), and their classes."""

    inputs: NDArray[np.float64]
    labels: NDArray[Any]

    def accuracy(self, model: Model) -> float:
        """Return the share of the images whose greatest output is that of their class."""
        return float((model(self.inputs).argmax(axis=1) == self.labels).mean())


class Row(NamedTuple):
    """Figures of a model with shared weights.

    Attributes
    ----------
    v_width : :class:`int`
        Bits of a code.
    kmeans_init : :class:`str`
        Initialisation of k-means.
    squared_error : :class:`float`
        Mean over the weights that are not zero.
    accuracy : :class:`float`
        Share of the test images that are recognised.
    """

    v_width: int
    kmeans_init: str
    squared_error: float
    accuracy: float


def read_digits(path: str | Path) -> Digits:
    """Read ``test_images`` (uint8) and ``test_labels`` of an .npz file.

    Raises
    ------
    DataError
        If one of them is missing, or their numbers differ.
    ArchiveError
        If the file is not an archive of plain arrays.
    """
    arrays = read_arrays(path)
    images, labels = arrays.get("test_images"), arrays.get("test_labels")
    if images is None or labels is None or len(images) != len(labels) or not len(images):
        raise DataError(f"{path} must contain test_images and as many test_labels, not "
                        f"{', '.join(arrays)}")
    return Digits(images.reshape(len(images), -1) / 256, labels)


def measure_all(model: Model, digits: Digits) -> Iterator[Row]:
    """Share the weights of a model in each way; nothing is pruned or retrained."""
    for v_width in V_WIDTHS:
        for init in KMEANS_INITS:
            shared = decompress(compress(model, v_width=v_width, kmeans_init=init))
            yield Row(v_width, init, _squared_error(model, shared), digits.accuracy(shared))


def summarise(accuracy: float, rows: list[Row]) -> dict[str, Any]:
    """Return the accuracy of the model before sharing, and the rows, as plain JSON."""
    return {"accuracy": accuracy, "rows": [row._asdict() for row in rows]}


def _squared_error(model: Model, shared: Model) -> float:
    errors = [np.asarray(after.weight[before.weight != 0]) - before.weight[before.weight != 0]
              for before, after in zip(model.layers, shared.layers)]
    return float((np.concatenate(errors) ** 2).mean())
