"""Random networks for tests and benchmarks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from .network import CompressedNetwork, Layer

__all__ = ["make_layer", "random_codes", "random_network"]


def random_codes(rng: np.random.Generator, n_rows: int, n_cols: int, density: float,
                 v_width: int = 4) -> NDArray[np.uint8]:
    """Draw a dense matrix of codes, uint8 n_rows × n_cols, of about this density."""
    codes = rng.integers(1, 1 << v_width, (n_rows, n_cols), np.uint8)
    return np.where(rng.random((n_rows, n_cols)) < density, codes, np.uint8(0))


def make_layer(codes: NDArray[np.uint8], *, codebook: Sequence[float] | NDArray[np.float64],
               name: str = "fc1", bias: NDArray[np.float64] | None = None, relu: bool = False,
               output_frac: int = 8) -> Layer:
    """Make a layer from a dense matrix of codes. A bias of None is zero."""
    return Layer(name=name, codes=csc_array(codes), codebook=np.array(codebook, np.float64),
                 bias=np.zeros(len(codes)) if bias is None else bias, relu=relu,
                 output_frac=output_frac)


def random_network(rng: np.random.Generator, sizes: Sequence[int], *, density: float = 0.2,
                   v_width: int = 4, frac: int = 8, relu: bool = True) -> CompressedNetwork:
    """Draw a network with ``sizes[0]`` inputs; if `relu`, all but the last layer end in a ReLU.

    Weights are scaled so that the magnitude of activations stays about the same.
    """
    layers = []
    for number, (n_cols, n_rows) in enumerate(zip(sizes, sizes[1:]), 1):
        scale = 1 / max(1.0, n_cols * density) ** 0.5
        codebook = np.concatenate([[0.0], rng.normal(0, scale, (1 << v_width) - 1)])
        layers.append(make_layer(
            random_codes(rng, n_rows, n_cols, density, v_width), codebook=codebook,
            name=f"fc{number}", bias=rng.normal(0, 0.25, n_rows),
            relu=relu and number < len(sizes) - 1, output_frac=frac))
    return CompressedNetwork(tuple(layers), input_frac=frac, v_width=v_width)
