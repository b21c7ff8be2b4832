"""Files of trained weights, readable by `eie compress` and NumPy."""

from pathlib import Path

import numpy as np

from eie_hdl.files import open_output

from ..model import Model

__all__ = ["write_weights"]


def write_weights(path: str | Path, model: Model) -> None:
    """Write ``NAME.weight`` and ``NAME.bias`` of each layer in order, as float32.

    All layers but the last must end in a ReLU, which readers assume.
    """
    arrays = {f"{layer.name}.{field}": getattr(layer, field).astype(np.float32)
              for layer in model.layers for field in ("weight", "bias")}
    with open_output(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
