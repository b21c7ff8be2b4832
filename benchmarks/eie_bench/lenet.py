"""The published LeNet-300-100, pruned by its authors, and images of MNIST in random order."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eie_compiler.compression.compress import compress
from eie_compiler.frontends import read_chain
from eie_compiler.network import CompressedNetwork

__all__ = ["Lenet", "prepare_lenet"]

#: Every how many-th training image calibrates formats and scales.
_CALIBRATION = 20


class Lenet(NamedTuple):
    """The network and its images.

    Attributes
    ----------
    network : :class:`~eie_compiler.network.CompressedNetwork`
        The network with shared weights, not retrained.
    calibration : float64 (n, n_inputs)
        Training images that calibrated it.
    images : float64 (n, n_inputs)
        Test images with values from 0 to 1.
    order : int64 (n,)
        Their numbers in the file, which is grouped by class.
    """

    network: CompressedNetwork
    calibration: NDArray[np.float64]
    images: NDArray[np.float64]
    order: NDArray[np.int64]


def prepare_lenet(model: Path, arrays: Mapping[str, NDArray[Any]], seed: int) -> Lenet:
    """Share the weights of the pruned model, and draw the test images at random.

    Parameters
    ----------
    arrays
        ``train_images`` and ``test_images`` by name, with pixels from 0 to 255.

    Raises
    ------
    ArchiveError, CompressError, ModelError
        If the model cannot be read or compressed.
    """
    train, test = (arrays[name].reshape(len(arrays[name]), -1) / 256
                   for name in ("train_images", "test_images"))
    order = np.random.default_rng(seed).permutation(len(test))
    calibration = train[::_CALIBRATION]
    return Lenet(compress(read_chain(model), calibration=calibration), calibration, test[order],
                 order)
