"""Arrays in files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayError", "read_array"]


class ArrayError(ValueError):
    """A file that is no array; the message names it."""


def read_array(path: Path) -> NDArray[Any]:
    """Read an .npy file, without pickle.

    Raises
    ------
    ArrayError
        If it is none.
    """
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArrayError(f"{path}: must be an .npy file of numbers: {error}") from error
