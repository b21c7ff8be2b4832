"""Data sets for training, validation and test."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..accuracy import describe_classes
from ..files.untrusted_npz import ArchiveError, read_arrays
from ..remedies import advise, same_order
from .errors import TrainingError

__all__ = ["Data", "Part", "read_data"]

Floats = NDArray[np.float32]

#: A layer has a row for each class: a single label must not request terabytes.
_MAX_CLASSES = 1 << 20


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Inputs, float32 (n, n_inputs), and targets.

    Targets are classes, int64 (n,), or values for regression, float32 (n, n_outputs).
    """

    inputs: Floats
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Data set in three parts.

    Attributes
    ----------
    train : :class:`Part`
        Training data.
    validation : :class:`Part`
        Data held out of the training data, to monitor training and to choose options by. May be
        empty.
    test : :class:`Part`
        Test data, for reports only.
    shape : :class:`tuple` of :class:`int`, optional
        Shape of an input before it was flattened; None if unknown.
    """

    train: Part
    validation: Part
    test: Part
    shape: tuple[int, ...] | None = None

    @property
    def held_out(self) -> tuple[str, Part]:
        """Data that were not trained with, and their name: validation, else test."""
        return ("validation", self.validation) if len(self.validation) else ("test", self.test)

    @property
    def classifies(self) -> bool:
        """True if targets are classes."""
        return self.train.targets.dtype.kind == "i"

    @property
    def n_inputs(self) -> int:
        """Number of elements of an input."""
        return self.train.inputs.shape[1]

    @property
    def n_outputs(self) -> int:
        """Number of classes, or of elements of a target."""
        if not self.classifies:
            return int(self.train.targets.shape[1])
        # All inputs of a rare class may be held out.
        return 1 + max(int(part.targets.max()) for part in (self.train, self.validation)
                       if len(part))

    def check_shape(self, shape: Sequence[int]) -> None:
        """Check that inputs, flattened and reshaped to a shape, keep the meaning of their axes.

        Raises
        ------
        TrainingError
            If they do not.
        """
        wanted, given = tuple(shape), self.shape
        if given is None or len(given) == 1 or same_order(given, wanted):
            return
        sizes, found = (", ".join(map(str, ("n", *one))) for one in (wanted, given))
        raise TrainingError(f"inputs of the data must be of shape ({sizes}), or rows of "
                            f"{math.prod(wanted)} numbers, not of shape ({found})"
                            f"{advise(self.train.inputs.reshape(-1, *given), wanted)}")


def read_data(path: str | Path, *, validation: float = 0.1, seed: int = 0) -> Data:
    """Read a data set from an .npz file, without pickle.

    The file holds ``train_inputs`` and ``test_inputs``, numbers (n, ...), which are flattened, or
    ``train_images`` and ``test_images``, uint8 (n, ...), which are also divided by 256;
    and ``train_labels`` and ``test_labels``, integers (n,) from 0 for classes or floating-point
    numbers (n, n_outputs) for regression.

    Parameters
    ----------
    validation : :class:`float`, 0 to below 1
        Share of the training data to hold out.
    seed : :class:`int`
        Seed of the choice of held-out data.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TrainingError
        If the file is corrupt, or an array is missing or invalid.
    """
    if not 0 <= validation < 1:
        raise TrainingError(f"validation must be a share from 0 to below 1, not {validation}")
    try:
        arrays = read_arrays(path)
        (train, shape), (test, test_shape) = (_read_part(arrays, which)
                                              for which in ("train", "test"))
        if test_shape != shape \
                or test.targets.dtype != train.targets.dtype \
                or test.targets.shape[1:] != train.targets.shape[1:]:
            raise TrainingError("training and test data must be of the same kind and size")
        if train.targets.dtype.kind == "i" and test.targets.max() > train.targets.max():
            raise TrainingError(f"test_labels must be classes of train_labels, 0 to "
                                f"{train.targets.max()}, not {test.targets.max()}")
    except (ArchiveError, TrainingError) as error:
        raise TrainingError(f"{path}: {error}") from error
    order = np.random.default_rng(seed).permutation(len(train))
    n_held_out = round(validation * len(train))
    if n_held_out == len(train):
        raise TrainingError(f"{path}: validation must leave training data, but {validation} of "
                            f"{len(train)} leaves none")
    held_out, kept = (Part(train.inputs[chosen], train.targets[chosen])
                      for chosen in (order[:n_held_out], order[n_held_out:]))
    return Data(kept, held_out, test, shape)


def _read_part(arrays: dict[str, NDArray[Any]], which: str) -> tuple[Part, tuple[int, ...]]:
    """Read a part of the data, and the shape of an input."""
    images, inputs, labels = f"{which}_images", f"{which}_inputs", f"{which}_labels"
    if labels not in arrays or (images in arrays) == (inputs in arrays):
        raise TrainingError(f"arrays must be {labels} and either {inputs} or {images}, "
                            f"not {', '.join(arrays)}")
    if images in arrays:
        values, targets = arrays[images], arrays[labels]
        if values.dtype != np.uint8 or values.ndim < 2 or not values.size:
            raise TrainingError(f"{images} must be one or more images of uint8, not "
                                f"{values.dtype} of shape {values.shape}")
        scale = 256
    else:
        values, targets = arrays[inputs], arrays[labels]
        scale = 1
        if values.dtype.kind not in "iuf" or values.ndim < 2 or not values.size \
                or not np.isfinite(values).all():
            raise TrainingError(f"{inputs} must be one or more rows of finite numbers, not "
                                f"{values.dtype} of shape {values.shape}"
                                f"{advise(values, (math.prod(values.shape[1:]),))}")
    whole = targets.dtype.kind in "iu" and targets.ndim == 1
    if targets.dtype.kind in "SU":
        raise TrainingError(f"{labels} must be numbers, not {targets.dtype} of shape "
                            f"{targets.shape}{describe_classes(targets)}")
    if not (whole or targets.dtype.kind == "f" and targets.ndim == 2 and targets.size) \
            or len(targets) != len(values) or not np.isfinite(targets).all():
        raise TrainingError(f"{labels} must be classes from 0 or rows of finite floating-point "
                            f"numbers, one for each of {len(values)} inputs, not "
                            f"{targets.dtype} of shape {targets.shape}"
                            + (": convert classes to integers, or reshape numbers to "
                               f"{(len(targets), 1)}" if targets.dtype.kind == "f"
                               and targets.ndim == 1 else ""))
    for label in (targets.min(), targets.max()) if whole else ():
        if not 0 <= label < _MAX_CLASSES:
            raise TrainingError(f"{labels} must be classes from 0 to {_MAX_CLASSES - 1}, "
                                f"not {label}{describe_classes(targets)}")
    flat = values.reshape(len(values), -1).astype(np.float32)
    flat /= scale
    return Part(flat, targets.astype(np.int64 if whole else np.float32)), values.shape[1:]
