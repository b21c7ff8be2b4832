"""A trained network in a file that `eie compress` and NumPy read."""

from pathlib import Path

import numpy as np

from ..model import Model

__all__ = ["write_weights"]


def write_weights(path: str | Path, model: Model) -> None:
    """Write ``NAME.weight`` and ``NAME.bias`` of each layer, in order, as float32.

    All layers but the last must end in a ReLU: that is how they are read.
    """
    arrays = {f"{layer.name}.{field}": getattr(layer, field).astype(np.float32)
              for layer in model.layers for field in ("weight", "bias")}
    with Path(path).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
