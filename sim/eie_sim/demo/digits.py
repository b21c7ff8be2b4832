"""Handwritten digits of scikit-learn, split into training and held-out images."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_hdl.extras import missing

from ..rtl.toolchain import ToolError

__all__ = ["FOLDER", "HELD_OUT", "Digits", "load_digits"]

#: Folder of the trained networks: dense.npz before compression, digits.npz after it.
FOLDER = Path(__file__).parent

#: Number of held-out images: a fifth of 1,797, rounded up.
HELD_OUT = 360

_SEED = 2016


class Digits(NamedTuple):
    """Images as vectors of 64 numbers from 0 to 1, and their digits as labels."""

    train: NDArray[np.float64]
    train_labels: NDArray[np.int64]
    test: NDArray[np.float64]
    test_labels: NDArray[np.int64]

    def first(self, images: int | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the first held-out images and their labels, or all of them.

        Raises
        ------
        ValueError
            If there are not that many.
        """
        if images is not None and not 1 <= images <= len(self.test):
            raise ValueError(f"images must be from 1 to {len(self.test)}, the held-out images, not "
                             f"{images}")
        return self.test[:images], self.test_labels[:images]


def load_digits() -> Digits:
    """Load the digits; the held-out images are the same in every call, stratified by digit.

    Raises
    ------
    ToolError
        If scikit-learn, which contains them, is not installed.
    """
    try:
        from sklearn import datasets, model_selection
    except ImportError as error:
        raise ToolError(missing("scikit-learn", "for the handwritten digits", "demo")) from error
    pixels, labels = datasets.load_digits(return_X_y=True)
    train, test, train_labels, test_labels = model_selection.train_test_split(
        pixels / 16, labels, test_size=HELD_OUT, stratify=labels, random_state=_SEED)
    return Digits(train, train_labels, test, test_labels)
